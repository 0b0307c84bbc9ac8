"""What the study's answers say of one system beside another: figures over held-out patches, and paired differences.

The unit is the slide group. Systems are compared on the runs that both of them have, and on the same patches.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evidence.study.jobs import Job
from model.train.metrics import (
    auc,
    calibration_error,
    calibration_slope,
    hierarchical_bootstrap,
    pooled_within_auc,
    summary,
    within_group_auc,
)
from model.train.pcam import Split

Array = NDArray[Any]
ROUNDS = 1000


@dataclass(frozen=True)
class Answer:
    """A run's logits on the patches that it was not trained on, by split."""

    job: Job
    parameters: int
    patches: int
    logits: dict[str, Array]


def read_answers(directory: Path) -> list[Answer]:
    """All answers of a directory, by name."""
    return [_answer(path) for path in sorted(directory.glob("*[0-9].npz"))]


def _answer(path: Path) -> Answer:
    with np.load(path) as content:
        about = json.loads(str(content["about"]))
        parameters, patches = about.pop("parameters"), about.pop("patches")
        about.pop("name")
        return Answer(Job(**about), parameters, patches, {k: content[k] for k in content.files if k != "about"})


@dataclass(frozen=True)
class HeldOut:
    """HeldOut-out patches of some runs, one after the other: their labels, slide groups, and a system's logits."""

    labels: Array
    groups: Array
    logits: Array


def gather(answers: Iterable[Answer], split_of: Callable[[Job], Split], part: str) -> HeldOut:
    """The answers' logits beside the truth."""
    pairs = [(split_of(answer.job), answer.logits[part]) for answer in answers]
    return HeldOut(
        np.concatenate([split.labels for split, _ in pairs]),
        np.concatenate([split.groups for split, _ in pairs]),
        np.concatenate([logits for _, logits in pairs]),
    )


def figures_of(held: HeldOut) -> dict[str, Any]:
    """One system's figures."""
    slope, _ = calibration_slope(held.labels, held.logits)
    interval = hierarchical_bootstrap(held.labels, [held.logits], held.groups, auc, ROUNDS)
    return {
        **summary(held.labels, held.logits),
        "auc_interval": interval,
        "within_slide_auc": pooled_within_auc(held.labels, held.logits, held.groups),
        "calibration_error": calibration_error(held.labels, held.logits),
        "calibration_slope": slope,
    }


@dataclass(frozen=True)
class Paired:
    """One system against another: AUC, mine less the other's."""

    difference: float
    interval: tuple[float, float]
    better_slides: int
    slides: int

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval[0] > 0 or self.interval[1] < 0


def paired(mine: HeldOut, other: HeldOut, seed: int = 0) -> Paired:
    """Of the same patches: difference of AUC, bootstrapped over slide groups, and in how many slides mine is better."""
    members = [np.flatnonzero(mine.groups == group) for group in np.unique(mine.groups)]
    rng, found = np.random.default_rng(seed), []
    for _ in range(ROUNDS):
        chosen = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        found.append(_difference(mine, other, chosen))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    ours, theirs = (within_group_auc(one.labels, one.logits, one.groups) for one in (mine, other))
    better = sum(ours[group] > theirs[group] for group in ours)
    everything = np.arange(len(mine.labels))
    return Paired(_difference(mine, other, everything), (float(low), float(high)), better, len(ours))


def _difference(mine: HeldOut, other: HeldOut, chosen: Array) -> float:
    labels = mine.labels[chosen]
    return auc(labels, mine.logits[chosen]) - auc(labels, other.logits[chosen])
