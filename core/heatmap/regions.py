"""Draws regions: connected cells above the threshold, ranked, with outlines in level-0 pixels.

Cells are 4-connected. 8-connectivity would merge lesions that touch only at a corner.

An outline (core.heatmap.outlines) follows the edges of the cells' own squares of 16 network pixels. A cell's label is
about 32 px (PCam labels the centre of a patch), twice its square, so squares reach up to 8 px over the tumour on every
side. Both areas are given: `area_um2` of the squares, and `area_corrected_um2` of the squares eroded by half a cell
(8 px), never below a quarter of the first: erosion would take all of a region that is one cell wide.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.heatmap.grid import affine_to_l0
from core.heatmap.outlines import Corner, outlines
from core.heatmap.planes import Values
from core.pixels.frame import Frame

MIN_CELLS = 2
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class FoundRegion:
    """One region. `rings`: closed, in level-0 px; the first is the outline, the others are holes."""

    rank: int
    cells: int
    max_score: float
    mean_score: float
    peak_l0: tuple[float, float]
    bbox_l0: tuple[float, float, float, float]
    area_um2: float
    area_corrected_um2: float
    rings: list[Points]

    def to_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)


def find_regions(scores: Values, threshold: float, frame: Frame) -> list[FoundRegion]:
    """Returns all regions of at least MIN_CELLS cells with score ≥ threshold, by highest score, area, place.

    `scores`: float32 (rows, cols), NaN where not analysed, which is above no threshold.
    """
    over = scores >= threshold  # False where NaN
    count, labels = cv2.connectedComponents(over.astype(np.uint8), connectivity=4)
    cells = np.flatnonzero(over)
    # One pass over the cells above the threshold. A mask of the grid for each region would cost regions × cells.
    named = labels.ravel()[cells]
    labels.ravel()[cells[np.bincount(named, minlength=count)[named] < MIN_CELLS]] = 0  # no outline of what is no region
    rings = outlines(labels)
    # Cells by region and, as the sort is stable, in reading order. Integers of 16 bits or less take a radix sort.
    order = cells[np.argsort(named.astype(np.min_scalar_type(count)), kind="stable")]
    bounds = np.cumsum([0, *np.bincount(named, minlength=count)[1:]])
    regions = []
    for first, last in pairwise(bounds):
        if last - first >= MIN_CELLS:
            rows, cols = np.unravel_index(order[first:last], scores.shape)
            regions.append(_describe(scores, rows, cols, rings[labels[rows[0], cols[0]]], frame))
    regions.sort(key=lambda region: (-region.max_score, -region.cells, region.bbox_l0))
    return [FoundRegion(**{**region.__dict__, "rank": i + 1}) for i, region in enumerate(regions)]


def _describe(
    scores: Values, rows: NDArray[Any], cols: NDArray[Any], rings: list[list[Corner]], frame: Frame
) -> FoundRegion:
    values = scores[rows, cols]
    peak = int(values.argmax())
    a, _, c, _, e, f = affine_to_l0(frame)  # b and d are 0: the grid's axes are the slide's
    area = len(rows) * frame.cell_area_um2()
    box = (
        a * (cols.min() - 0.5) + c,
        e * (rows.min() - 0.5) + f,
        a * (cols.max() + 0.5) + c,
        e * (rows.max() + 0.5) + f,
    )
    return FoundRegion(
        rank=0,
        cells=len(rows),
        max_score=float(values[peak]),
        mean_score=float(values.mean()),
        peak_l0=(float(a * cols[peak] + c), float(e * rows[peak] + f)),
        bbox_l0=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        area_um2=area,
        area_corrected_um2=max(area / 4, _inner_share(rows, cols) * area),
        rings=[[(a * (x - 0.5) + c, e * (y - 0.5) + f) for x, y in ring] for ring in rings],
    )


def _inner_share(rows: NDArray[Any], cols: NDArray[Any]) -> float:
    """Returns the share of the squares' area that is left after eroding half a cell (8 px) from every side.

    On a grid of twice the resolution a cell is 2×2 pixels, and half a cell one pixel: erosion by a 3×3 square.
    """
    fine = np.zeros((2 * int(np.ptp(rows)) + 4, 2 * int(np.ptp(cols)) + 4), np.uint8)
    for dy in (0, 1):
        for dx in (0, 1):
            fine[2 * (rows - rows.min()) + 1 + dy, 2 * (cols - cols.min()) + 1 + dx] = 1
    return float(cv2.erode(fine, np.ones((3, 3), np.uint8)).sum()) / (4 * len(rows))
