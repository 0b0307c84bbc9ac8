"""Polygons on pixel grids: which pixel centres lie inside, by the even-odd rule."""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]
FINE_PX = 2048
MOST_AT_ONCE, MOST_PAIRS = 1 << 21, 1 << 28  # crossings that are in memory; pairs of edges that are looked at
FLAT = 1e-9  # of its length: an outline that is no wider than rounding encloses nothing


def fill(vertices: Points, shape: tuple[int, int]) -> Mask:
    """The pixels of a grid whose centres (col + ½, row + ½) lie inside the outline.

    Along each row every edge that crosses the row's centre line flips all pixels to its right, so a pixel is inside
    where it was flipped an odd number of times: one running parity a row. O(crossings + pixels of the outline's box).

    Args:
        vertices: (n, 2) x, y in pixels of the grid, not closed; parts outside the grid are cut off.
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
    flips = np.zeros((bottom - top, right - left + 1), np.uint8)
    ends, at_once = np.roll(vertices, -1, axis=0), max(1, MOST_AT_ONCE // (bottom - top))
    for first in range(0, len(vertices), at_once):  # a zigzag crosses every row with every edge
        edges = slice(first, first + at_once)
        rows, xs = _crossings(vertices[edges], ends[edges], top, bottom)
        cols = np.clip(np.ceil(xs - 0.5), left, right).astype(np.int64) - left
        np.bitwise_xor.at(flips, (rows - top, cols), 1)
    mask[top:bottom, left:right] = np.bitwise_xor.accumulate(flips, axis=1)[:, :-1]
    return mask


def _crossings(a: Points, b: Points, top: int, bottom: int) -> tuple[NDArray[np.int64], Points]:
    """Where edges from a to b cross the centre lines of rows top … bottom − 1: row and x of each."""
    low, high = np.minimum(a[:, 1], b[:, 1]), np.maximum(a[:, 1], b[:, 1])
    first = np.clip(np.ceil(low - 0.5), top, bottom).astype(np.int64)
    last = np.clip(np.ceil(high - 0.5), top, bottom).astype(np.int64)  # half open, so a shared vertex counts once
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(a)), counts)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    start, end = a[edge], b[edge]
    along = (rows + 0.5 - start[:, 1]) / (end[:, 1] - start[:, 1])
    return rows, start[:, 0] + along * (end[:, 0] - start[:, 0])


def shoelace_area(vertices: Points) -> float:
    """Signed area of the outline as it was drawn: a loop drawn against the rest counts less, one drawn twice double."""
    x, y = (vertices - vertices.mean(0)).T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def even_odd_area(vertices: Points) -> float:
    """Area inside by the even-odd rule, measured on a grid of 2048×2048 px.

    The outline is turned to its principal axes first, and each is stretched to fill the grid: a thin sliver, lying at
    any angle, is measured as well as a disc. Such a map multiplies every area by the same number.
    """
    centred = vertices - vertices.mean(0)
    turned = centred @ np.linalg.eigh(centred.T @ centred)[1]
    size = np.ptp(turned, axis=0)
    if size.min() <= FLAT * size.max():
        return 0.0
    fine = (turned - turned.min(0)) / size * FINE_PX
    return int(fill(fine, (FINE_PX, FINE_PX)).sum()) / FINE_PX**2 * float(size.prod())


def first_crossing(vertices: Points) -> tuple[float, float]:
    """The first point where the outline crosses itself, following it; its first vertex when none crosses properly,
    or when so many edges went before that looking further would take minutes.
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
