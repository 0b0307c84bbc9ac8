"""Figures of the study's answers over held-out patches, and paired differences between networks.

The unit is the slide group. Networks are compared on the runs that both have, and on the same patches.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evidence.study.data import Data
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
US = "p4m-densenet"  # the network that the others are compared with
SPLITS = ("valid", "test")
ROUNDS = 1000  # of each bootstrap


@dataclass(frozen=True)
class Answer:
    """A job's stored answer: its logits (N,) of the patches that it was not trained on, by part."""

    job: Job
    parameters: int  # of the network; 0 for the boosted trees
    patches: int  # that it was trained on
    logits: dict[str, Array]


def read_answers(directory: Path) -> list[Answer]:
    """All answers of a directory, sorted by name."""
    return [_answer(path) for path in sorted(directory.glob("*[0-9].npz"))]


def _answer(path: Path) -> Answer:
    with np.load(path) as content:
        about = json.loads(str(content["about"]))
        parameters, patches = about.pop("parameters"), about.pop("patches")
        about.pop("name")
        return Answer(Job(**about), parameters, patches, {k: content[k] for k in content.files if k != "about"})


@dataclass(frozen=True)
class HeldOut:
    """Held-out patches of some runs, one after the other: labels, slide groups and a network's logits, (N,) each."""

    labels: Array
    groups: Array
    logits: Array


def gather(answers: Iterable[Answer], split_of: Callable[[Job], Split], part: str) -> HeldOut:
    """One part of some answers, with the labels and groups of its patches."""
    pairs = [(split_of(answer.job), answer.logits[part]) for answer in answers]
    return HeldOut(
        np.concatenate([split.labels for split, _ in pairs]),
        np.concatenate([split.groups for split, _ in pairs]),
        np.concatenate([logits for _, logits in pairs]),
    )


def figures_of(patches: HeldOut) -> dict[str, Any]:
    """A network's figures over held-out patches."""
    slope, _ = calibration_slope(patches.labels, patches.logits)
    interval = hierarchical_bootstrap(patches.labels, [patches.logits], patches.groups, auc, ROUNDS)
    return {
        **summary(patches.labels, patches.logits),
        "auc_interval": interval,
        "within_slide_auc": pooled_within_auc(patches.labels, patches.logits, patches.groups),
        "calibration_error": calibration_error(patches.labels, patches.logits),
        "calibration_slope": slope,
    }


@dataclass(frozen=True)
class Paired:
    """One network against another on the same patches."""

    difference: float  # of AUC, mine less the other's
    interval: tuple[float, float]  # 95 %, over slide groups
    better_slides: int  # slide groups with both labels in which my AUC is higher
    slides: int  # slide groups with both labels

    @property
    def decided(self) -> bool:
        """Whether the interval excludes zero."""
        return self.interval[0] > 0 or self.interval[1] < 0


def paired(mine: HeldOut, other: HeldOut, seed: int = 0) -> Paired:
    """Compares two networks on the same patches by a paired bootstrap over slide groups."""
    members = [np.flatnonzero(mine.groups == group) for group in np.unique(mine.groups)]
    rng, differences = np.random.default_rng(seed), []
    for _ in range(ROUNDS):
        drawn = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        differences.append(_difference(mine, other, drawn))
    low, high = np.nanpercentile(differences, [2.5, 97.5])
    ours, theirs = (within_group_auc(one.labels, one.logits, one.groups) for one in (mine, other))
    better = sum(ours[group] > theirs[group] for group in ours)
    everything = np.arange(len(mine.labels))
    return Paired(_difference(mine, other, everything), (float(low), float(high)), better, len(ours))


def _difference(mine: HeldOut, other: HeldOut, rows: Array) -> float:
    labels = mine.labels[rows]
    return auc(labels, mine.logits[rows]) - auc(labels, other.logits[rows])


def held_out(answer: Answer, data: Data, part: str) -> HeldOut:
    """One answer on valid or test."""
    split = data.valid if part == "valid" else data.test
    return HeldOut(split.labels, split.groups, answer.logits[part])


def mean_difference(mine: list[Answer], other: list[Answer], data: Data) -> tuple[float, tuple[float, float]]:
    """Mean difference of AUC on valid over the seeds that both have, and its interval over seeds and slide groups."""
    seeds = sorted({one.job.seed for one in mine} & {one.job.seed for one in other})
    ours, theirs = ({one.job.seed: one.logits["valid"] for one in runs} for runs in (mine, other))
    pairs = [np.stack([ours[seed], theirs[seed]], 1) for seed in seeds]
    labels, groups = data.valid.labels, data.valid.groups
    mean = float(np.mean([_auc_difference(labels, pair) for pair in pairs]))
    return mean, hierarchical_bootstrap(labels, pairs, groups, _auc_difference, 500)


def _auc_difference(labels: Array, pair: Array) -> float:
    return auc(labels, pair[:, 0]) - auc(labels, pair[:, 1])


def mean_auc(runs: list[Answer], data: Data, part: str = "valid") -> tuple[float, tuple[float, float]]:
    """Mean AUC of some runs on valid or test, and its interval over runs and slide groups."""
    logits, first = [run.logits[part] for run in runs], held_out(runs[0], data, part)
    labels, groups = first.labels, first.groups
    value = float(np.mean([auc(labels, one) for one in logits]))
    return value, hierarchical_bootstrap(labels, logits, groups, auc, 500)
