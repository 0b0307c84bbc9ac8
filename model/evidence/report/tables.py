"""Tables."""

import numpy as np

from model.evidence.report.comparison import Answer, Array, HeldOut
from model.evidence.study.data import Data
from model.train.metrics import auc, hierarchical_bootstrap

US = "p4m-densenet"
SPLITS = ("valid", "test")
Row = list[str]


def table(head: Row, rows: list[Row]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def between(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def held_out(answer: Answer, data: Data, part: str) -> HeldOut:
    split = data.valid if part == "valid" else data.test
    return HeldOut(split.labels, split.groups, answer.logits[part])


def mean_difference(mine: list[Answer], other: list[Answer], data: Data) -> tuple[float, tuple[float, float]]:
    """Of the same seeds and patches: mean difference of AUC on valid, resampled by seed and slide group."""
    seeds = sorted({one.job.seed for one in mine} & {one.job.seed for one in other})
    ours, theirs = ({one.job.seed: one.logits["valid"] for one in ones} for ones in (mine, other))
    pairs = [np.stack([ours[seed], theirs[seed]], 1) for seed in seeds]
    labels, groups = data.valid.labels, data.valid.groups
    mean = float(np.mean([_less(labels, pair) for pair in pairs]))
    return mean, hierarchical_bootstrap(labels, pairs, groups, _less, 500)


def _less(labels: Array, pair: Array) -> float:
    return auc(labels, pair[:, 0]) - auc(labels, pair[:, 1])


def mean_auc(runs: list[Answer], data: Data, part: str = "valid") -> tuple[float, tuple[float, float]]:
    logits, first = [run.logits[part] for run in runs], held_out(runs[0], data, part)
    labels, groups = first.labels, first.groups
    value = float(np.mean([auc(labels, one) for one in logits]))
    return value, hierarchical_bootstrap(labels, logits, groups, auc, 500)
