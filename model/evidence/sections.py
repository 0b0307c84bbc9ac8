"""Sections of docs/detector.md that the runs of the study fill; those whose runs are missing say so.

Each draws its figure, if it has one, into the folder that it is given.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from model.evidence.comparison import Answer, Array, Held, gather, paired, row_of
from model.evidence.figures import Points, draw_flops, draw_fractions
from model.evidence.study import FLOOR, PLANS, RIVALS, STEPS, Data
from model.networks.systems import SYSTEMS
from model.train.metrics import auc, hierarchical_bootstrap

US = "p4m-densenet"
SPLITS = ("valid", "test")
FIGURES = ["AUC", "within slides", "accuracy", "NLL", "Brier", "calibration error", "slope"]
SIZES = ("parameters", "half_parameters", "mflop_per_cell", "cells_per_second")
Row = list[str]


def table(head: Row, rows: list[Row]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def between(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def rivals(answers: list[Answer], data: Data, found: dict[str, Any], folder: Path) -> str:
    """Every system on the folds that all of them have."""
    by_fold: dict[int, dict[str, Answer]] = defaultdict(dict)
    for answer in answers:
        if answer.job.plan == "folds":
            by_fold[answer.job.fold][answer.job.system] = answer
    names = (*RIVALS, FLOOR)
    folds = [fold for fold, systems in sorted(by_fold.items()) if set(names) <= set(systems)]
    if not folds:
        return "## Rivals\n\nNo fold has been run for every system yet: `python -m model.evidence.study DIR --plans folds`."
    held = {
        name: gather([by_fold[f][name] for f in folds], lambda job: data.of(job)[1]["fold"], "fold") for name in names
    }
    rows = {name: row_of(one) for name, one in held.items()}
    aucs = {name: row["auc"] for name, row in rows.items() if name in SYSTEMS}
    draw_flops(folder / "detector-flops.png", found["systems"], aucs)
    return f"""## Rivals

{len(folds)} of 5 folds over the {len(np.unique(held[US].groups))} slide groups that they hold out ({len(held[US].labels)}
patches), test untouched; each system at about a quarter of its parameters (z2-wide: of p4m's FLOPs), {by_fold[folds[0]][US].job.steps}
steps of 32 patches, one seed, augmentation at 0.3. Scores are as trained, without a temperature; those of the folds'
networks are pooled. Intervals are over slide groups alone: how far another seed would move a system is not in them.

{table(["system", *FIGURES], [_rival(*row) for row in rows.items()])}

{_against(held)}

{_sizes(found)}

![AUC against work](detector-flops.png)"""


def _rival(name: str, row: dict[str, Any]) -> Row:
    keys = ("within_slide_auc", "accuracy", "nll", "brier", "calibration_error", "calibration_slope")
    return [name, f"{row['auc']:.3f} {between(row['auc_interval'])}", *(f"{row[key]:.3f}" for key in keys)]


def on_splits(answers: list[Answer], data: Data) -> str:
    """Every system trained on the known slides of train, on valid and, once, on test."""
    ours = {answer.job.system: answer for answer in answers if answer.job.plan == "rivals"}
    if not set(RIVALS) <= set(ours):
        return "### On valid and on test\n\nNot run for every system yet: `python -m model.evidence.study DIR --plans rivals`."
    rows = []
    for name in (name for name in (*RIVALS, FLOOR) if name in ours):
        valid, test = (row_of(_held(ours[name], data, part)) for part in SPLITS)
        rows.append([*_rival(name, valid)[:3], *_rival(name, test)[1:]])
    head = ["system", "valid: AUC", "within slides", "test: AUC", *FIGURES[1:]]
    return f"""### On valid and on test

The same recipe ({ours[US].job.steps} steps, one seed, half width) on the {ours[US].patches:,} patches of train's known
slides; on test each was run once. These networks are served by name, for comparison (`python -m model.evidence.ship_rivals`).

{table(head, rows)}

{_verdicts(ours, data)}"""


def _verdicts(ours: dict[str, Answer], data: Data) -> str:
    """Whom p4m clearly leads and whom it clearly trails, of all that were asked, in a sentence for each split."""
    said = []
    for part in SPLITS:
        mine = _held(ours[US], data, part)
        others = {name: paired(mine, _held(one, data, part)) for name, one in ours.items() if name != US}
        ahead = [name for name, one in others.items() if one.interval[0] > 0]
        behind = [name for name, one in others.items() if one.interval[1] < 0]
        told = f"clearly ahead of {', '.join(ahead) or 'none'}, clearly behind {', '.join(behind) or 'none'}"
        said.append(f"On {part} {US} is {told} (paired over slide groups).")
    return " ".join(said)


def _held(answer: Answer, data: Data, part: str) -> Held:
    split = data.valid if part == "valid" else data.test
    return Held(split.labels, split.groups, answer.logits[part])


def _against(held: dict[str, Held]) -> str:
    """p4m beside each, in a table and in a sentence that says where it does not win."""
    rows, undecided, lost = [], [], []
    for name, other in held.items():
        if name == US:
            continue
        one = paired(held[US], other)
        rows.append([name, f"{one.difference:+.3f} {between(one.interval)}", f"{one.better_slides} of {one.slides}"])
        if not one.decided:
            undecided.append(name)
        elif one.difference < 0:
            lost.append(name)
    head = table([f"{US} against", "AUC, difference", "better within slides"], rows)
    said = f"\n\nNot decided by this one seed (the interval holds zero): {', '.join(undecided)}." if undecided else ""
    return head + said + (f" **With this seed {US} loses to {', '.join(lost)}.**" if lost else "")


def _sizes(found: dict[str, Any]) -> str:
    rows = [
        [name, SYSTEMS[name].about, *(f"{one[key]:,.0f}" for key in SIZES)] for name, one in found["systems"].items()
    ]
    return table(["system", "what it is", "parameters", "here", "MFLOP a cell", "cells/s, one thread"], rows)


def fractions(answers: list[Answer], data: Data, folder: Path) -> str:
    """AUC on valid against the share of the training data."""
    curves: dict[tuple[str, str], dict[float, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        if answer.job.plan == "fractions":
            curves[(answer.job.system, answer.job.by)][answer.job.fraction].append(answer)
    if not curves:
        return "## Less to learn from\n\nNot run yet: `python -m model.evidence.study DIR --plans fractions`."
    rows, points = [], {}
    for (system, by), parts in sorted(curves.items()):
        points[(system, by)] = {share: _mean_auc(runs, data) for share, runs in sorted(parts.items())}
        rows += [
            [system, by, f"{share:.0%}", f"{value:.3f} {between(interval)}", str(len(parts[share]))]
            for share, (value, interval) in points[(system, by)].items()
        ]
    draw_fractions(folder / "detector-fractions.png", points)
    return f"""## Less to learn from

Known slides of train, by patch and by slide group, equal steps; AUC on valid.

{table(["system", "by", "share", "AUC, mean of runs", "runs"], rows)}

{_ahead(curves, data)}

{_fewest_slides(points)}

![AUC against training fraction](detector-fractions.png)"""


def _fewest_slides(points: Points) -> str:
    """Who stands first where slides are fewest, and what that says of symmetry."""
    parts = {system: values for (system, by), values in points.items() if by == "slide"}
    if not parts:
        return "By slide it was not run yet."
    share = min(min(values) for values in parts.values())
    first = max(parts, key=lambda system: parts[system].get(share, (0.0,))[0])
    why = f"""Why symmetry does not show more: the plain rival is turned and mirrored while it learns, and sees every pose
of every patch in these steps, too. What is scarce at a small share of the slides is slides, with their stains, and no
quarter turn makes one: at {share:.0%} of them {first} stands first, with {parts[first][share][0]:.3f}."""
    return why + (" It knows no pose at all: colour and texture are what it reads." if first == FLOOR else "")


def _ahead(curves: dict[tuple[str, str], dict[float, list[Answer]]], data: Data) -> str:
    """p4m beside plain convolution and the floor at every share that both have; who wins, in a sentence."""
    rows, said = [], []
    for rival in ("z2-densenet", FLOOR):
        won, lost, asked = 0, 0, 0
        for by in ("patch", "slide"):
            mine, other = (curves.get((system, by), {}) for system in (US, rival))
            for share in sorted(set(mine) & set(other)):
                value, interval = _difference(mine[share], other[share], data)
                rows.append([rival, by, f"{share:.0%}", f"{value:+.3f} {between(interval)}"])
                won, lost, asked = won + (interval[0] > 0), lost + (interval[1] < 0), asked + 1
        said.append(f"Beside {rival} {US} is clearly ahead at {won} of {asked} shares and clearly behind at {lost}")
    head = ["rival", "by", "share", f"{US} less the rival, AUC"]
    return f"{table(head, rows)}\n\n{'. '.join(said)}. At the rest the interval holds zero."


def _difference(mine: list[Answer], other: list[Answer], data: Data) -> tuple[float, tuple[float, float]]:
    """Of the same seeds and patches: mean difference of AUC on valid, resampled by seed and slide group."""
    seeds = sorted({one.job.seed for one in mine} & {one.job.seed for one in other})
    ours, theirs = ({one.job.seed: one.logits["valid"] for one in ones} for ones in (mine, other))
    pairs = [np.stack([ours[seed], theirs[seed]], 1) for seed in seeds]
    labels, groups = data.valid.labels, data.valid.groups
    mean = float(np.mean([_less(labels, pair) for pair in pairs]))
    return mean, hierarchical_bootstrap(labels, pairs, groups, _less, 500)


def _less(labels: Array, pair: Array) -> float:
    return auc(labels, pair[:, 0]) - auc(labels, pair[:, 1])


def _mean_auc(runs: list[Answer], data: Data, part: str = "valid") -> tuple[float, tuple[float, float]]:
    logits, first = [run.logits[part] for run in runs], _held(runs[0], data, part)
    labels, groups = first.labels, first.groups
    value = float(np.mean([auc(labels, one) for one in logits]))
    return value, hierarchical_bootstrap(labels, logits, groups, auc, 500)


def trained_controls(answers: list[Answer], data: Data) -> str:
    """Runs that must know nothing, or little, beside one that was trained on the same patches as they are."""
    named = {"shuffled": "labels shuffled", "masked": "the labelled centre masked", "rivals": "nothing changed"}
    parts = (("valid", data.valid), ("test", data.test))
    rows = [
        [named[one.job.plan], str(one.job.steps)] + [f"{auc(split.labels, one.logits[p]):.3f}" for p, split in parts]
        for one in sorted(answers, key=lambda one: one.job.plan)
        if one.job.plan in named and one.job.system == US
    ]
    if len(rows) < len(named):
        return "## Trained controls\n\nNot run yet: `python -m model.evidence.study DIR --plans controls rivals`."
    return f"""## Trained controls

{table(["trained with", "steps", "AUC on valid", "AUC on test"], rows)}

Half width, one run each. Shuffled labels teach nothing, which is 0.5 on average; but slides differ in colour, so one
network that knows nothing may well lean to one side of it (random weights above do). {_what_the_centre_adds(answers, data)}"""


def _what_the_centre_adds(answers: list[Answer], data: Data) -> str:
    """Of the 32 px that the label speaks of, in a sentence that follows the figures."""
    whole, masked = (
        {one.job.plan: one for one in answers if one.job.system == US}[plan] for plan in ("rivals", "masked")
    )
    gains = {part: paired(_held(whole, data, part), _held(masked, data, part)) for part in SPLITS}
    reads = any(gain.interval[0] > 0 for gain in gains.values())
    told = "so it reads the centre too" if reads else "**so at this size and training it scores a neighbourhood**"
    figures = [f"{gain.difference:+.3f} {between(gain.interval)} on {part}" for part, gain in gains.items()]
    return f"Seeing the labelled centre adds {' and '.join(figures)} to its surroundings alone: {told}."


def repeated(answers: list[Answer], data: Data) -> str:
    """Seeds, strengths of augmentation, and the recipe without one of its steps, on known slides or on all."""
    runs: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.job.plan in ("known", "all") or answer.job.plan.startswith(("augment", "without")):
            runs[answer.job.plan].append(answer)
    if not runs:
        return "## Seeds and the recipe\n\nNot run yet: `python -m model.evidence.study DIR --plans seeds augmentation steps`."
    rows = []
    for _, ones in sorted(runs.items()):
        job, (value, interval) = ones[0].job, _mean_auc(ones, data)
        width, patches = "half" if job.half else "full", "known slides" if job.data == "known" else "all patches"
        figures = [f"{value:.3f} {between(interval)}", "" if job.half else f"{_mean_auc(ones, data, 'test')[0]:.3f}"]
        rows.append(
            [patches, width, f"{job.strength:.1f}", job.without or "nothing", str(job.steps), str(len(ones)), *figures]
        )
    head = ["trained on", "width", "H&E augmentation", "left out", "steps", "seeds", "AUC on valid, mean", "on test"]
    return f"""## Seeds and the recipe

{US}, from scratch with one recipe; intervals resample seeds and slide groups. The shipped weights went on for longer.
Gradient clipping is for runs that go wrong, and was not measured.

{table(head, rows)}

{_gains(runs, data)}"""


def _gains(runs: dict[str, list[Answer]], data: Data) -> str:
    """What each step of the recipe adds, and in a sentence which of them show it."""
    whole, steps = runs.get("augment03", []), {"H&E augmentation at 0.3": runs.get("augment00", [])}
    steps |= {step: runs.get(f"without-{step}", []) for step in STEPS}
    gains = {step: _difference(whole, ones, data) for step, ones in steps.items() if whole and ones}
    rows = [[step, f"{value:+.3f} {between(interval)}"] for step, (value, interval) in gains.items()]
    shown = [step for step, (_, interval) in gains.items() if interval[0] > 0]
    harmful = [step for step, (_, interval) in gains.items() if interval[1] < 0]
    told = f"""At this length and width shown to help: {", ".join(shown) or "none"}; shown to harm: {", ".join(harmful) or "none"}.
The shipped weights were made with all of them, before this was measured; no gain is claimed for what is not shown."""
    return f"{table(['step', 'AUC on valid: with it, less without'], rows)}\n\n{told}"


def left_out(answers: list[Answer]) -> str:
    """What was planned and is not here."""
    have = {answer.job.name for answer in answers}
    rows = []
    for name, plan in PLANS.items():
        planned = {job.name for job in plan()}
        rows.append([name, str(len(planned & have)), str(len(planned))])
    return f"""## What stands behind this page

{table(["plan of `python -m model.evidence.study`", "runs made", "runs planned"], rows)}

Runs that are not made are missing above, and no conclusion is drawn from them."""
