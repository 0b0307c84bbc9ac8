"""Figures of a binary detector. Intervals resample whole units, such as slides: patches of one slide are alike.

Labels are (N,) 0 or 1, logits and scores (N,), groups (N,) names of slide groups.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.01, 100.0
Array = NDArray[Any]
Measure = Callable[[Array, Array], float]
Measures = Callable[[Array, Array], dict[str, float]]


class CannotCalibrate(ValueError):
    """Logits that no temperature and bias calibrate."""


def auc(labels: Array, scores: Array) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order, ties counting half.

    NaN where one of the classes is empty. Computed from ranks (the Mann–Whitney statistic).
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # mean rank of each tie, from 1
    positive = labels.astype(bool)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if n_pos == 0 or n_neg == 0:
        return float("nan")
    return float((ranks[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def summary(labels: Array, logits: Array) -> dict[str, float]:
    """AUC, accuracy at logit 0, negative log likelihood in nats, and Brier score (Brier 1950)."""
    y = labels.astype(np.float64)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return {
        "auc": auc(labels, logits),
        "accuracy": float(((logits > 0) == (y > 0)).mean()),
        # logaddexp does not overflow where the likelihood rounds to 0.
        "nll": float(np.logaddexp(0, np.where(y > 0, -logits, logits)).mean()),
        "brier": float(((p - y) ** 2).mean()),
    }


def bootstrap(
    labels: Array, logits: Array, units: Array | None, measure: Measures, rounds: int = 2000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap percentile intervals of each figure of a measure.

    Resamples units, such as slide groups, where `units` (N,) is given, else patches. The same arguments draw the same
    samples.
    """
    rng = np.random.default_rng(seed)
    keys = np.arange(len(labels)) if units is None else units
    order = np.argsort(keys, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(np.unique(keys, return_inverse=True)[1][order])) + 1)
    drawn = []
    for _ in range(rounds):
        picked = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        drawn.append(measure(labels[picked], logits[picked]))
    ends = {name: np.nanpercentile([one[name] for one in drawn], [2.5, 97.5]) for name in drawn[0]}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def bootstrap_auc(
    labels: Array, scores: Array, units: Array | None, rounds: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The bootstrap interval of the AUC alone."""
    return bootstrap(labels, scores, units, lambda y, x: {"auc": auc(y, x)}, rounds, seed)["auc"]


def within_group_auc(labels: Array, scores: Array, groups: Array) -> dict[str, float]:
    """AUC inside each slide group that has both labels, by name."""
    by_group = {str(g): auc(labels[groups == g], scores[groups == g]) for g in np.unique(groups)}
    return {g: value for g, value in by_group.items() if not np.isnan(value)}


def pooled_within_auc(labels: Array, scores: Array, groups: Array) -> float:
    """The share of (positive, negative) pairs within a slide group that are in the right order, over all groups.

    Differences between slides, such as their stain, do not count. NaN where no group has both labels.
    """
    right, pairs = 0.0, 0
    for g in np.unique(groups):
        mine = groups == g
        count = int(labels[mine].sum()) * int((1 - labels[mine].astype(int)).sum())
        if count:
            right, pairs = right + auc(labels[mine], scores[mine]) * count, pairs + count
    return right / pairs if pairs else float("nan")


def calibration_error(labels: Array, logits: Array, bins: int = 15) -> float:
    """Root mean squared calibration error over bins of equal mass, debiased (Kumar, Liang & Ma 2019, eq. 6).

    Binning noise alone makes a perfect model look miscalibrated, so the variance of each bin's mean is subtracted.
    """
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    order = np.argsort(p, kind="stable")
    total = 0.0
    for part in np.array_split(order, bins):
        if len(part) > 1:
            rate = float(labels[part].mean())
            total += len(part) / len(p) * ((float(p[part].mean()) - rate) ** 2 - rate * (1 - rate) / (len(part) - 1))
    return float(np.sqrt(max(0.0, total)))


def logistic_regression(x: Array, y: Array) -> NDArray[np.float64]:
    """The coefficients β (K,) that maximise the likelihood of labels y (N,) under logistic(x β), x (N, K).

    Solved by Newton's method.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    beta = np.zeros(x.shape[1])  # from p = ½ everywhere, Newton does not overshoot
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -40, 40)))
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(x.shape[1]), x.T @ (y - p))
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    return beta


def calibration_slope(labels: Array, logits: Array) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of labels on logits (Cox 1958): 1 and 0 when calibrated.

    A slope under 1 means that scores are too extreme.
    """
    slope, intercept = logistic_regression(np.stack([logits.astype(np.float64), np.ones(len(logits))], 1), labels)
    return float(slope), float(intercept)


def hierarchical_bootstrap(
    labels: Array, runs: list[Array], groups: Array, measure: Measure, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap percentile interval of a measure averaged over runs, resampling runs and slide groups.

    With few groups such intervals are too narrow (11 of them under-cover), which a page that shows one has to say.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    values = []
    for _ in range(rounds):
        picked = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        chosen = [runs[i] for i in rng.integers(len(runs), size=len(runs))]
        values.append(np.mean([measure(labels[picked], run[picked]) for run in chosen]))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def fit_calibration(labels: Array, logits: Array) -> tuple[float, float]:
    """The temperature T and the bias b that minimise the NLL of logits / T + b (Platt 1999; Cox 1958).

    A temperature alone cannot mend scores that are too low, or too high, throughout.

    Raises:
        CannotCalibrate: the labels are of one class, the logits do not rise with them, or separate them so far that
            no temperature in LEAST_TEMPERATURE..MOST_TEMPERATURE fits.
    """
    if len(np.unique(labels)) < 2:
        raise CannotCalibrate("all labels are the same: there is nothing to calibrate")
    slope, bias = calibration_slope(labels, logits)
    if not 1 / MOST_TEMPERATURE <= slope <= 1 / LEAST_TEMPERATURE:
        raise CannotCalibrate(
            f"labels rise with the logits by a slope of {slope:.3g}: there is nothing to calibrate outside "
            f"{1 / MOST_TEMPERATURE:g} to {1 / LEAST_TEMPERATURE:g}"
        )
    return 1 / slope, bias
