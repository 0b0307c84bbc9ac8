"""Sections that compare the networks: on the folds, and on valid and test. Without their runs they say so."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from model.evidence.report.comparison import SPLITS, US, Answer, HeldOut, figures_of, gather, held_out, paired
from model.evidence.report.figures import draw_flops
from model.evidence.report.tables import Row, between, table
from model.evidence.study.data import Data
from model.evidence.study.jobs import FLOOR, RIVALS
from model.networks.registry import SYSTEMS

FIGURES = ["AUC", "within slides", "accuracy", "NLL", "Brier", "calibration error", "slope"]
SIZES = ("parameters", "half_parameters", "mflop_per_cell", "cells_per_second")


def rivals(answers: list[Answer], data: Data, probes: dict[str, Any], folder: Path) -> str:
    """Every network on the folds that all of them have; draws its figure into `folder`."""
    by_fold: dict[int, dict[str, Answer]] = defaultdict(dict)
    for answer in answers:
        if answer.job.plan == "folds":
            by_fold[answer.job.fold][answer.job.system] = answer
    names = (*RIVALS, FLOOR)
    folds = [fold for fold, systems in sorted(by_fold.items()) if set(names) <= set(systems)]
    if not folds:
        return "## Rivals\n\nNo fold has been run for every system yet: `python -m model.evidence.study DIR --plans folds`."
    patches = {
        name: gather([by_fold[f][name] for f in folds], lambda job: data.for_job(job)[1]["fold"], "fold")
        for name in names
    }
    rows = {name: figures_of(one) for name, one in patches.items()}
    aucs = {name: row["auc"] for name, row in rows.items() if name in SYSTEMS}
    draw_flops(folder / "detector-flops.png", probes["systems"], aucs)
    return f"""## Rivals

{len(folds)} of 5 folds, with {len(np.unique(patches[US].groups))} held-out slide groups ({len(patches[US].labels)} patches); test is not used. Each network has about a
quarter of its full parameters (z2-wide: of p4m's FLOPs) and was trained for {by_fold[folds[0]][US].job.steps} steps of 32 patches, with one seed and
augmentation at 0.3. Scores are as trained, uncalibrated, and pooled over the folds' networks. Intervals resample
slide groups alone, so they do not include the variation between seeds.

{table(["system", *FIGURES], [_rival(*row) for row in rows.items()])}

{_against(patches)}

{_sizes(probes)}

![AUC against work](detector-flops.png)"""


def _rival(name: str, row: dict[str, Any]) -> Row:
    keys = ("within_slide_auc", "accuracy", "nll", "brier", "calibration_error", "calibration_slope")
    return [name, f"{row['auc']:.3f} {between(row['auc_interval'])}", *(f"{row[key]:.3f}" for key in keys)]


def on_splits(answers: list[Answer], data: Data) -> str:
    """Every network trained on the known slides of train, on valid and, once, on test."""
    ours = {answer.job.system: answer for answer in answers if answer.job.plan == "rivals"}
    if not set(RIVALS) <= set(ours):
        return "### On valid and on test\n\nNot run for every system yet: `python -m model.evidence.study DIR --plans rivals`."
    rows = []
    for name in (name for name in (*RIVALS, FLOOR) if name in ours):
        valid, test = (figures_of(held_out(ours[name], data, part)) for part in SPLITS)
        rows.append([*_rival(name, valid)[:3], *_rival(name, test)[1:]])
    head = ["system", "valid: AUC", "within slides", "test: AUC", *FIGURES[1:]]
    return f"""### On valid and on test

The same recipe ({ours[US].job.steps} steps, one seed, half width) on the {ours[US].patches:,} patches of train's known
slides. Each was evaluated on test once. These networks are served by name, for comparison (`python -m model.evidence.ship_rivals`).

{table(head, rows)}

{_verdicts(ours, data)}"""


def _verdicts(ours: dict[str, Answer], data: Data) -> str:
    """A sentence for each split: which networks p4m is clearly ahead of, and which clearly behind."""
    sentences = []
    for part in SPLITS:
        mine = held_out(ours[US], data, part)
        others = {name: paired(mine, held_out(one, data, part)) for name, one in ours.items() if name != US}
        ahead = [name for name, one in others.items() if one.interval[0] > 0]
        behind = [name for name, one in others.items() if one.interval[1] < 0]
        verdict = f"clearly ahead of {', '.join(ahead) or 'none'}, clearly behind {', '.join(behind) or 'none'}"
        sentences.append(f"On {part} {US} is {verdict} (paired over slide groups).")
    return " ".join(sentences)


def _against(patches: dict[str, HeldOut]) -> str:
    """p4m against each network, in a table, and in a sentence that says where it does not win."""
    rows, undecided, lost = [], [], []
    for name, other in patches.items():
        if name == US:
            continue
        one = paired(patches[US], other)
        rows.append([name, f"{one.difference:+.3f} {between(one.interval)}", f"{one.better_slides} of {one.slides}"])
        if not one.decided:
            undecided.append(name)
        elif one.difference < 0:
            lost.append(name)
    head = table([f"{US} against", "AUC, difference", "better within slides"], rows)
    names = ", ".join(undecided)
    open_ = f"\n\nNot decided with this seed (the interval contains zero): {names}." if undecided else ""
    return head + open_ + (f" **With this seed {US} loses to {', '.join(lost)}.**" if lost else "")


def _sizes(probes: dict[str, Any]) -> str:
    rows = [
        [name, SYSTEMS[name].about, *(f"{one[key]:,.0f}" for key in SIZES)] for name, one in probes["systems"].items()
    ]
    return table(["system", "what it is", "parameters", "here", "MFLOP a cell", "cells/s, one thread"], rows)
