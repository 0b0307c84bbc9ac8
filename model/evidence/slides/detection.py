"""Lesions found and false regions of a heat map, by threshold: the points of a free-response curve (FROC).

Regions are those of an analysis: 4-connected cells whose score reaches the threshold, two at least. A lesion is found
when a region has one of its cells, or a cell next to them: such a cell's label overlaps the lesion. A region without
such a cell is false.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.evidence.slides.lesions import Cells, Field
from model.inference.dense import Logits

MIN_CELLS = 2  # of a region, as in core.heatmap.regions
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Map:
    """A field's heat map: calibrated logits (rows, cols)."""

    field: Field
    logits: Logits

    @cached_property
    def near(self) -> Cells:
        """The lesions and the cells next to them, by number. Lesions of a field are farther apart than that."""
        grown: Cells = cv2.dilate(self.field.lesions.astype(np.uint16), np.ones((3, 3), np.uint8)).astype(np.int64)
        return grown


def regions(logits: Logits, threshold: float) -> Cells:
    """The number of the region that each cell belongs to, from 1, or 0. `threshold`: a logit."""
    count, labels = cv2.connectedComponents((logits >= threshold).astype(np.uint8), connectivity=4)
    cells = np.bincount(labels.ravel(), minlength=count)
    numbered: Cells = np.where(cells[labels] < MIN_CELLS, 0, labels)
    return numbered


def detect(one: Map, threshold: float) -> tuple[int, int]:
    """How many lesions of a field are found at a threshold (a logit), and how many regions are false."""
    numbers, near = regions(one.logits, threshold), one.near
    detected = np.unique(near[(numbers > 0) & (near > 0)])
    true = np.unique(numbers[(numbers > 0) & (near > 0)])
    return len(detected), len(np.unique(numbers[numbers > 0])) - len(true)


def count(maps: Sequence[Map], thresholds: Sequence[float]) -> tuple[Counts, Counts]:
    """Lesions found and false regions, (maps, thresholds) each."""
    both = np.array([[detect(one, threshold) for threshold in thresholds] for one in maps], np.int64)
    return both[..., 0], both[..., 1]


def lesions_of(maps: Sequence[Map]) -> Counts:
    """How many lesions each field has, (maps,)."""
    return np.array([int(one.field.lesions.max()) for one in maps], np.int64)


def share_interval(detected: Counts, total: Counts, rounds: int = 2000, seed: int = 0) -> dict[str, Any]:
    """A share and its 95 % interval, which resamples fields: `detected` of `total` things in each field, (fields,)."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(total), size=(rounds, len(total)))
    low, high = np.percentile(detected[drawn].sum(1) / total[drawn].sum(1), [2.5, 97.5])
    return {"value": float(detected.sum() / total.sum()), "interval": (float(low), float(high))}
