"""Polygons on pixel grids: which pixel centres are inside, by the even-odd rule, and their areas."""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]
FINE_PX = 2048
MOST_AT_ONCE, MOST_PAIRS = 1 << 21, 1 << 28  # crossings in memory at once; pairs of edges compared
FLAT = 1e-9  # of its length: an outline no wider than rounding encloses nothing


def fill(vertices: Points, shape: tuple[int, int]) -> Mask:
    """Returns which pixels of a grid have their centre (col + ½, row + ½) inside the outline, bool `shape`.

    Each edge that crosses a row's centre line flips all pixels to its right. A pixel is inside where it was flipped an
    odd number of times, which is a running XOR along the row. O(crossings + pixels of the outline's box).

    Args:
        vertices: float64 (n, 2) of x, y in pixels of the grid, not closed. Parts outside the grid are clipped.
    """
    mask = np.zeros(shape, bool)
    top, bottom = (
        int(v) for v in np.clip([np.floor(vertices[:, 1].min()), np.ceil(vertices[:, 1].max())], 0, shape[0])
    )
    left, right = (
        int(v) for v in np.clip([np.floor(vertices[:, 0].min()), np.ceil(vertices[:, 0].max())], 0, shape[1])
    )
    if top >= bottom or left >= right:
        return mask
    # One column more than the box: a crossing right of the last centre flips nothing that is inside.
    flips = np.zeros((bottom - top, right - left + 1), np.uint8)
    ends, at_once = np.roll(vertices, -1, axis=0), max(1, MOST_AT_ONCE // (bottom - top))
    for first in range(0, len(vertices), at_once):  # in parts: a zigzag crosses every row with every edge
        edges = slice(first, first + at_once)
        rows, xs = _crossings(vertices[edges], ends[edges], top, bottom)
        # The first pixel whose centre is not left of the crossing.
        cols = np.clip(np.ceil(xs - 0.5), left, right).astype(np.int64) - left
        np.bitwise_xor.at(flips, (rows - top, cols), 1)
    mask[top:bottom, left:right] = np.bitwise_xor.accumulate(flips, axis=1)[:, :-1]
    return mask


def _crossings(a: Points, b: Points, top: int, bottom: int) -> tuple[NDArray[np.int64], Points]:
    """Returns row and x of each crossing of edges a → b with the centre lines y = row + ½ of rows top … bottom − 1."""
    low, high = np.minimum(a[:, 1], b[:, 1]), np.maximum(a[:, 1], b[:, 1])
    first = np.clip(np.ceil(low - 0.5), top, bottom).astype(np.int64)
    last = np.clip(np.ceil(high - 0.5), top, bottom).astype(np.int64)  # half open: a shared vertex counts once
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(a)), counts)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    start, end = a[edge], b[edge]  # never level: a level edge crosses no centre line and has a count of 0
    along = (rows + 0.5 - start[:, 1]) / (end[:, 1] - start[:, 1])
    return rows, start[:, 0] + along * (end[:, 0] - start[:, 0])


def shoelace_area(vertices: Points) -> float:
    """Returns the signed area ½ Σ (xᵢ·yᵢ₊₁ − xᵢ₊₁·yᵢ).

    A loop drawn the other way subtracts, and one drawn twice counts double.

    Coordinates are centred first, since differences of large products would lose the digits of a small outline.
    """
    x, y = (vertices - vertices.mean(0)).T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def even_odd_area(vertices: Points) -> float:
    """Returns the area inside by the even-odd rule, measured on a grid of 2048×2048 px.

    The outline is turned to its principal axes, and each axis is stretched to fill the grid, so that a thin sliver at
    any angle is measured as precisely as a disc. A linear map multiplies every area by its determinant.
    """
    centred = vertices - vertices.mean(0)
    turned = centred @ np.linalg.eigh(centred.T @ centred)[1]
    size = np.ptp(turned, axis=0)
    # A straight line has no inside, and stretching it would divide by zero.
    if size.min() <= FLAT * size.max():
        return 0.0
    fine = (turned - turned.min(0)) / size * FINE_PX
    return int(fill(fine, (FINE_PX, FINE_PX)).sum()) / FINE_PX**2 * float(size.prod())


def first_crossing(vertices: Points) -> tuple[float, float]:
    """Returns the first point where the outline crosses itself, in the order of its edges.

    Edges a + t·d and b + u·e cross where t = (b − a) × e / (d × e) and u = (b − a) × d / (d × e) both lie in (0, 1).
    Returns the first vertex when none cross so, or when MOST_PAIRS pairs of edges, which take minutes, are compared.
    """
    a, b = vertices, np.roll(vertices, -1, axis=0)
    for i in range(min(len(a), MOST_PAIRS // len(a))):
        d, e = b[i] - a[i], b - a
        between = a - a[i]
        cross = d[0] * e[:, 1] - d[1] * e[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (between[:, 0] * e[:, 1] - between[:, 1] * e[:, 0]) / cross
            u = (between[:, 0] * d[1] - between[:, 1] * d[0]) / cross
        hits = np.flatnonzero((t > 0) & (t < 1) & (u > 0) & (u < 1))
        if len(hits):
            x, y = a[i] + t[hits[0]] * d
            return float(x), float(y)
    return float(a[0, 0]), float(a[0, 1])
