"""Sections from the study's runs on PatchCamelyon's own train, judged on its valid: rivals, and the curve of data."""

from collections import defaultdict

import numpy as np

from model.evidence import cost
from model.evidence.report.comparison import US, Answer, Array
from model.evidence.report.tables import Row, between, table
from model.evidence.study.jobs import OFFICIAL_RIVALS, OFFICIAL_STEPS
from model.inference.frozen import freeze
from model.networks.densenet import DenseNet
from model.networks.registry import SYSTEMS
from model.train.metrics import auc, bootstrap, summary
from model.train.pcam import Split

BATCH = 32
EIGHTHS = "steerable-d8"
DECISIVE_SEEDS = 2


def official(answers: list[Answer], valid: Split | None) -> str:
    """The section on rivals at half width, and on shares of the data; says which runs are missing."""
    runs: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.job.plan == "official":
            runs[answer.job.system].append(answer)
    if US not in runs or valid is None:
        return """### On official valid

Not run yet, or without its files: `python -m model.evidence.study OFFICIAL --plans official curve`, `python -m model.evidence.report NAMED --official OFFICIAL`."""
    visits = OFFICIAL_STEPS * BATCH
    return f"""### On official valid

Half width, {OFFICIAL_STEPS:,} steps of {BATCH} patches: twice as long as above, and {visits / runs[US][0].patches:.1f} passes over the {runs[US][0].patches:,} patches, so no network is
trained out. Augmentation at 0.3; test is not used. Intervals resample clusters of overlapping patches, not slides and not seeds: they are too narrow.

{table(["system", "AUC on valid", "accuracy", "NLL", "MFLOP a cell", "seeds"], [_row(name, runs[name], valid) for name in OFFICIAL_RIVALS if name in runs])}

{_against(runs, valid)}

{_eighth_turns(runs, valid)}{_missing(runs)}

{_curve(answers, runs[US], valid)}"""


def _mean(runs: list[Answer]) -> Array:
    """(N, seeds): the logits of the runs of one network."""
    return np.stack([run.logits["valid"] for run in runs], 1)


def _figures(labels: Array, logits: Array) -> dict[str, float]:
    """The means over seeds of the figures, logits (N, seeds)."""
    each = [summary(labels, column) for column in logits.T]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def _row(name: str, runs: list[Answer], valid: Split) -> Row:
    logits = _mean(runs)
    figures = _figures(valid.labels, logits)
    intervals = bootstrap(valid.labels, logits, valid.units()[0], _figures, rounds=500)
    judged = [f"{figures[key]:.3f} {between(intervals[key])}" for key in ("auc", "accuracy", "nll")]
    return [name, *judged, f"{_mflop(name):.0f}", str(len(runs))]


def _against(runs: dict[str, list[Answer]], valid: Split) -> str:
    """p4m against each network on the seeds that both have."""
    rows, ahead, behind, single = list[Row](), list[str](), list[str](), list[str]()
    for name in OFFICIAL_RIVALS:
        if name == US or name not in runs:
            continue
        value, interval, seeds = difference(runs[US], runs[name], valid)
        rows.append([name, f"{value:+.3f} {between(interval)}", str(seeds)])
        if seeds < DECISIVE_SEEDS:
            single.append(name)
        elif interval[0] > 0 or interval[1] < 0:
            (ahead if interval[0] > 0 else behind).append(name)
    if not rows:
        return "No rival has run yet."
    verdict = f"{US} is clearly ahead of {', '.join(ahead) or 'none'}, clearly behind {', '.join(behind) or 'none'}."
    if single:
        verdict += f" With one seed nothing is decided, whatever the interval, since seeds differ: {', '.join(single)}."
    return f"{table([f'{US} against', 'AUC, difference', 'seeds'], rows)}\n\nAt this width and length {verdict}"


def difference(mine: list[Answer], other: list[Answer], valid: Split) -> tuple[float, tuple[float, float], int]:
    """The mean difference of AUC over the seeds that both have, its interval by cluster, and the number of seeds.

    NaN where they have no seed in common.
    """
    ours, theirs = ({one.job.seed: one.logits["valid"] for one in runs} for runs in (mine, other))
    seeds = sorted(set(ours) & set(theirs))
    if not seeds:
        return float("nan"), (float("nan"), float("nan")), 0
    both = np.stack([ours[seed] for seed in seeds] + [theirs[seed] for seed in seeds], 1)  # (N, 2 · seeds)

    def gain(labels: Array, logits: Array) -> dict[str, float]:
        aucs = [auc(labels, column) for column in logits.T]
        return {"auc": float(np.mean(aucs[: len(seeds)]) - np.mean(aucs[len(seeds) :]))}

    return (
        gain(valid.labels, both)["auc"],
        bootstrap(valid.labels, both, valid.units()[0], gain, rounds=1000)["auc"],
        len(seeds),
    )


def _eighth_turns(runs: dict[str, list[Answer]], valid: Split) -> str:
    """Whether eighth turns are worth their work in a network that keeps the promise of the eight views."""
    if EIGHTHS not in runs:
        return ""
    value, interval, seeds = difference(runs[EIGHTHS], runs[US], valid)
    if not seeds:
        return ""
    times = _mflop(EIGHTHS) / _mflop(US)
    worth = "pays for it" if interval[0] > 0 else "is not shown to pay for it"
    return f"""{EIGHTHS} is as invariant to the eight views as {US} and adds eighth turns, for {times:.1f} times the work of a cell: its gain here,
{value:+.3f} {between(interval)}, {worth}.

"""


def _mflop(name: str) -> float:
    """The work of a cell at half width."""
    return cost.flops_per_cell(freeze(DenseNet(SYSTEMS[name].small()))) / 1e6


def _missing(runs: dict[str, list[Answer]]) -> str:
    missing = [name for name in OFFICIAL_RIVALS if name not in runs]
    return f"Not run yet: {', '.join(missing)}." if missing else "All of these have run."


def _curve(answers: list[Answer], complete: list[Answer], valid: Split) -> str:
    """AUC on valid against the share of the training data, at equal steps."""
    parts = {answer.job.fraction: answer for answer in answers if answer.job.plan == "curve"}
    if not parts:
        return "**Data.** The curve over 10, 25, 50 and 100 % of the patches was not run at this length either."
    first = next((run for run in complete if run.job.seed == 1), complete[0])
    rows = []
    for share, one in sorted([*parts.items(), (1.0, first)]):
        interval = bootstrap(valid.labels, _mean([one]), valid.units()[0], _figures, rounds=500)["auc"]
        value = auc(valid.labels, one.logits["valid"])
        passes = OFFICIAL_STEPS * BATCH / one.patches
        rows.append([f"{share:.0%}", f"{one.patches:,}", f"{passes:.1f}", f"{value:.3f} {between(interval)}"])
    return f"""**Data.** {US} at half width on shares of the patches, equal steps, one seed:

{table(["share", "patches", "passes", "AUC on valid"], rows)}"""
