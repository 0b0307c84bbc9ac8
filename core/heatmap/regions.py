"""Draws regions: connected cells above the threshold, ranked, with outlines in level-0 pixels.

Cells are 4-connected. 8-connectivity would merge lesions that touch only at a corner.

An outline follows the edges of the cells' own squares of 16 network pixels. A cell's label is about 32 px (PCam labels
the centre of a patch), twice its square, so squares reach up to 8 px over the tumour on every side. Both areas are
given: `area_um2` of the squares, and `area_corrected_um2` of the squares eroded by half a cell (8 px), never below a
quarter of the first: erosion would take all of a region that is one cell wide.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.heatmap.grid import affine_to_l0
from core.heatmap.planes import Values
from core.pixels.frame import Frame

Corner = tuple[int, int]
MIN_CELLS = 2
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class FoundRegion:
    """One region. `rings`: closed polygons in level-0 px; the first is the outline, the others are holes."""

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
    # Cells by region and, as the sort is stable, in reading order. Integers of 16 bits or less take a radix sort.
    order = cells[np.argsort(named.astype(np.min_scalar_type(count)), kind="stable")]
    bounds = np.cumsum([0, *np.bincount(named, minlength=count)[1:]])
    regions = []
    for first, last in pairwise(bounds):
        if last - first >= MIN_CELLS:
            rows, cols = np.unravel_index(order[first:last], scores.shape)
            regions.append(_describe(scores, rows, cols, frame))
    regions.sort(key=lambda region: (-region.max_score, -region.cells, region.bbox_l0))
    return [FoundRegion(**{**region.__dict__, "rank": i + 1}) for i, region in enumerate(regions)]


def _describe(scores: Values, rows: NDArray[Any], cols: NDArray[Any], frame: Frame) -> FoundRegion:
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
        rings=[[(a * (x - 0.5) + c, e * (y - 0.5) + f) for x, y in ring] for ring in outline(rows, cols)],
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


def outline(rows: NDArray[Any], cols: NDArray[Any]) -> list[list[Corner]]:
    """Returns the closed boundary rings of a set of unit squares [c, c+1] × [r, r+1], as (x, y) corners.

    The outer ring is first. Each ring ends where it begins and contains only its corners.
    """
    edges = _edges(rows, cols)
    rings = []
    for start in sorted(edges):
        while start in edges:
            rings.append(_corners(_walk(edges, start)))
    # Holes lie inside the outer ring, so the largest ring is the outer one.
    return sorted(rings, key=lambda ring: -abs(_signed_area(ring)))


def _edges(rows: NDArray[Any], cols: NDArray[Any]) -> dict[Corner, list[Corner]]:
    """Returns the directed sides between a square and none, as start → ends, with the square on their right.

    Two sides start at a corner where squares touch diagonally.
    """
    top, left = int(rows.min()), int(cols.min())
    mask = np.zeros((int(np.ptp(rows)) + 3, int(np.ptp(cols)) + 3), bool)
    mask[rows - top + 1, cols - left + 1] = True  # a margin of one empty cell: sides at the border need a neighbour
    inside, edges = mask[1:-1, 1:-1], dict[Corner, list[Corner]]()
    for beyond, (x0, y0), (x1, y1) in (
        (mask[:-2, 1:-1], (0, 0), (1, 0)),
        (mask[1:-1, 2:], (1, 0), (1, 1)),
        (mask[2:, 1:-1], (1, 1), (0, 1)),
        (mask[1:-1, :-2], (0, 1), (0, 0)),
    ):
        y, x = (place.tolist() for place in np.nonzero(inside & ~beyond))
        for row, col in zip(y, x, strict=True):
            start, end = (col + left + x0, row + top + y0), (col + left + x1, row + top + y1)
            edges.setdefault(start, []).append(end)
    return edges


def _walk(edges: dict[Corner, list[Corner]], start: Corner) -> list[Corner]:
    """Follows directed sides (inside on the right) from a start back to it, and removes them.

    Where two sides start, the walk turns right, so that no ring passes through a corner where squares only touch.
    """
    ring, heading = [start], (1, 0)
    while True:
        here = ring[-1]
        ahead = max(edges[here], key=lambda end: _right_turn(heading, (end[0] - here[0], end[1] - here[1])))
        edges[here].remove(ahead)
        if not edges[here]:
            del edges[here]
        heading = (ahead[0] - here[0], ahead[1] - here[1])
        ring.append(ahead)
        if ahead == start:
            return ring


def _right_turn(heading: tuple[int, int], step: tuple[int, int]) -> int:
    """The cross product: positive for a right turn, as y points down."""
    return heading[0] * step[1] - heading[1] * step[0]


def _corners(ring: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns a closed ring without the points on its straight sides."""
    closed = [*ring, ring[1]]
    corners = [b for a, b, c in zip(closed, closed[1:], closed[2:], strict=False) if (a[0] == b[0]) != (b[0] == c[0])]
    return [*corners, corners[0]]


def _signed_area(ring: list[tuple[int, int]]) -> float:
    """The shoelace formula, ½ Σ (xᵢ·yᵢ₊₁ − xᵢ₊₁·yᵢ)."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) / 2
