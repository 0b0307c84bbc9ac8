"""Sums the heat map of a slide up in two figures, for sorting slides; neither is a diagnosis.

    peak       the highest mean score of 2×2 neighbouring cells: one cell alone reaches a quarter of its score
    area       the cells whose score reaches the threshold

2×2 is the smallest smoothing whose windows the eight views map onto each other. Cells that were not analysed, and those
beyond the edge, count as 0. Both figures are the same for the eight views of a grid, to the bit.

A combination of the two was measured and is not served: decision 29 says why.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class SlideScore:
    """`peak` in 0..1; `area_cells`: how many cells reach the threshold."""

    peak: float
    area_cells: int


def neighbourhoods(scores: Scores) -> Scores:
    """The mean of each 2×2 window, (rows, cols) with NaN where not analysed → (rows + 1, cols + 1).

    The four values are summed in ascending order, since floating-point sums depend on it and views change it.
    """
    padded = np.pad(np.nan_to_num(scores, nan=0.0), 1)
    windows = np.stack([padded[1:, 1:], padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]])
    windows.sort(0)
    means: Scores = windows.sum(0) / np.float32(4)
    return means


def slide_score(scores: Scores, threshold: float) -> SlideScore:
    """The figures of a plane of scores, (rows, cols) with NaN where not analysed."""
    return SlideScore(float(neighbourhoods(scores).max()), int((scores >= threshold).sum()))
