"""Thresholds for two uses of the same heat map, and what each costs.

    screening    SENSITIVITY of valid's tumour patches reach it: few are missed, and many others are shown
    specific     SPECIFICITY of valid's other patches stay below it: few others are shown, and more tumour is missed

Both are chosen on valid. Their figures on patches are test's; those on lesions are of composed fields.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from model.evidence.slides.detection import Map, count, lesions_of, share_interval
from model.evidence.slides.lesions import FIELD_MM2
from model.inference.dense import Logits
from model.train.metrics import bootstrap
from model.train.pcam import Split

SENSITIVITY, SPECIFICITY = 0.95, 0.99
AREA_MM2 = 10.0  # of tissue, to which false regions are referred
Preset = Literal["screening", "default", "specific"]


def thresholds(labels: np.ndarray[Any, Any], logits: Logits, default: float) -> dict[Preset, float]:
    """The score of each preset by valid's labels and calibrated logits, (N,) each, rounded to the safe side.

    `default`: the card's threshold.
    """
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    low = float(np.quantile(scores[labels == 1], 1 - SENSITIVITY))
    high = float(np.quantile(scores[labels == 0], SPECIFICITY))
    return {"screening": _rounded(low, np.floor), "default": default, "specific": _rounded(high, np.ceil)}


def _rounded(score: float, towards: Any) -> float:
    """A score with two decimals, or as many as tell it from 0 and 1, so that people can read and set it."""
    digits = max(2, -int(np.floor(np.log10(min(score, 1 - score)))))
    return round(float(towards(score * 10**digits) / 10**digits), digits)


def on_patches(split: Split, logits: Logits, threshold: float) -> dict[str, Any]:
    """Sensitivity and specificity of patches at a score, with 95 % intervals by `Split.units()`."""
    limit = _logit(threshold)

    def measure(labels: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> dict[str, float]:
        over = values >= limit
        positive = labels == 1
        return {"sensitivity": float(over[positive].mean()), "specificity": float((~over[~positive]).mean())}

    values = measure(split.labels, logits)
    intervals = bootstrap(split.labels, logits, split.units()[0], measure)
    return {**values, **{f"{name}_interval": interval for name, interval in intervals.items()}}


def detected(by_size: dict[int, list[Map]], threshold: float) -> dict[str, Any]:
    """The share of lesions found at a score, by size in cells."""
    limit = _logit(threshold)
    return {
        str(cells): share_interval(count(maps, [limit])[0][:, 0], lesions_of(maps)) for cells, maps in by_size.items()
    }


def false_regions(normal: Sequence[Map], threshold: float) -> dict[str, Any]:
    """The false regions at a score per AREA_MM2 of tissue. `normal`: fields without lesions."""
    area = np.full(len(normal), FIELD_MM2 / AREA_MM2)
    return share_interval(count(normal, [_logit(threshold)])[1][:, 0], area)


def _logit(score: float) -> float:
    return float(np.log(score / (1 - score)))
