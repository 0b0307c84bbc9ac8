"""Traces the outlines of labelled cells as rings that are valid by the OGC's rules for polygons.

OGC 06-103r4, 6.1.11.1: no ring touches or crosses itself, two rings of a polygon meet in single points only, and the
interior is connected. The cells of a label are 4-connected, so their interior is connected and one polygon each is
enough. What remains is the choice at a *pinch*, a corner where two cells touch diagonally and the other two are empty:

* Cells of one label: two rings meet there. 4-connected cells close a loop through the pinch, which separates the two
  empty cells, so each of these has a ring of its own. One ring round both would pass through the corner twice.
* Cells of two labels: each label's ring stays at its own cell.

In coordinates (x, y) outer rings have a positive area and holes a negative one, by the shoelace formula. That is
counter-clockwise and clockwise where y points up, as RFC 7946, 3.1.6 asks; on a screen, where y points down, outer
rings run clockwise.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]
Point = tuple[float, float]
Ring = tuple[Point, ...]
Integers = NDArray[Any]

# The cells around a corner as bits: 1 north-west, 2 north-east, 4 south-west, 8 south-east.
TURNS = np.zeros(16, np.uint8)  # how often an outline turns at a corner with these cells
TURNS[[1, 2, 4, 7, 8, 11, 13, 14]] = 1
FALLING, RISING = 1 | 8, 2 | 4  # the two pinches
TURNS[[FALLING, RISING]] = 2
SOUTH_EAST = 8


def outlines(labels: Integers) -> dict[int, list[list[Corner]]]:
    """Returns each label's closed rings of corners (x, y), the outer ring first, then the holes.

    `labels`: integers (rows, cols), 0 for empty; the cells of a label are 4-connected and touch no other label's sides.
    The cell (row, col) is the square [col, col+1] × [row, row+1]. Rings contain only their corners.
    """
    rows, cols, around = _turns(labels)
    corners = list(zip(cols.tolist(), rows.tolist(), strict=True))
    rings: dict[int, list[list[Corner]]] = {}
    for ring in _cycles(_successors(labels, rows, cols, around).tolist()):
        # The first turn is the ring's upper left corner: the cell below it is inside, or for a hole the one above.
        first = ring[0]
        row = rows[first] if around[first] & SOUTH_EAST else rows[first] - 1
        rings.setdefault(int(labels[row, cols[first]]), []).append([corners[turn] for turn in [*ring, first]])
    return rings


def _turns(labels: Integers) -> tuple[Integers, Integers, Integers]:
    """Returns (rows, cols, cells around) of all turns in reading order; a pinch has two, one after the other."""
    inside = np.zeros((labels.shape[0] + 2, labels.shape[1] + 2), np.uint8)
    np.not_equal(labels, 0, out=inside[1:-1, 1:-1], casting="unsafe")
    around = inside[:-1, :-1] | inside[:-1, 1:] << 1 | inside[1:, :-1] << 2 | inside[1:, 1:] << 3
    places = np.flatnonzero(TURNS[around])
    places = np.repeat(places, TURNS[around.ravel()[places]])
    rows, cols = np.divmod(places, around.shape[1])
    return rows, cols, around.ravel()[places]


def _successors(labels: Integers, rows: Integers, cols: Integers, around: Integers) -> Integers:
    """Returns for each turn the next one of its ring, with the inside to the right as seen on a screen.

    Outlines run along a row from each turn of even number to the next, and along a column likewise, because a row and
    a column have as many beginnings of sides as ends. At a pinch the first turn ends the side from the west and the
    second begins the side to the east; in the order of columns the first ends the side from the north.
    """
    turns = np.arange(len(rows))
    by_column = _crossed(labels, rows, cols, around)[np.lexsort((rows, cols))]
    in_column = np.empty_like(turns)
    in_column[by_column[::2]], in_column[by_column[1::2]] = by_column[1::2], by_column[::2]
    in_row = turns ^ 1
    eastward = np.repeat(around[::2] & SOUTH_EAST > 0, 2)  # the cell below the side is inside
    leaves_along_row = eastward == (turns % 2 == 0)
    return np.where(leaves_along_row, in_row, in_column)


def _crossed(labels: Integers, rows: Integers, cols: Integers, around: Integers) -> Integers:
    """Returns all turns, the two of a pinch exchanged where its western side meets its southern one."""
    turns = np.arange(len(rows))
    first = np.flatnonzero(TURNS[around] == 2)[::2]
    row, col, falling = rows[first], cols[first], around[first] == FALLING
    upper = labels[row - 1, np.where(falling, col - 1, col)]
    lower = labels[row, np.where(falling, col, col - 1)]
    exchanged = first[falling == (upper == lower)]
    turns[exchanged], turns[exchanged + 1] = exchanged + 1, exchanged
    return turns


def _cycles(successors: list[int]) -> Iterator[list[int]]:
    """Yields the cycles of a permutation, each from its smallest member, in the order of these."""
    visited = bytearray(len(successors))
    for start in range(len(successors)):
        if not visited[start]:
            cycle, member = [], start
            while not visited[member]:
                visited[member] = 1
                cycle.append(member)
                member = successors[member]
            yield cycle


def mended(rings: Sequence[Ring]) -> tuple[Ring, ...]:
    """Returns the same area in valid rings: each outer ring, followed by its holes. Valid rings come back unchanged.

    `rings`: closed, of sides along the axes, with even-odd fill. A ring that passes through a corner twice, as results
    of version 0.1 contain, is traced again.
    """
    if all(len(set(ring[1:])) == len(ring[1:]) for ring in rings):
        return tuple(rings)
    return tuple(ring for polygon in _traced(rings) for ring in polygon)


def polygons(rings: Sequence[Ring]) -> list[list[Ring]]:
    """Returns the area of rings, as `mended` takes them, in valid polygons: each an outer ring and its holes."""
    valid = mended(rings)
    if sum(signed_area(ring) > 0 for ring in valid) > 1:
        return _traced(valid)  # which puts each hole behind its own outer ring
    return [list(valid)] if valid else []


def _traced(rings: Sequence[Ring]) -> list[list[Ring]]:
    """Returns valid polygons of the area within rings, one for each 4-connected part."""
    x, y = np.array([point for ring in rings for point in ring[:-1]]).reshape(-1, 2).T
    (xs, cols), (ys, rows) = np.unique(x, return_inverse=True), np.unique(y, return_inverse=True)
    # A corner changes the parity of all that is right of and below it, so two running sums fill the area.
    cells = np.zeros((len(ys), len(xs)), np.uint8)
    np.bitwise_xor.at(cells, (rows, cols), 1)
    cells = np.bitwise_xor.accumulate(np.bitwise_xor.accumulate(cells, 0), 1)
    _, labels = cv2.connectedComponents(cells, connectivity=4)
    places: tuple[list[float], list[float]] = (xs.tolist(), ys.tolist())
    return [
        [tuple((places[0][col], places[1][row]) for col, row in ring) for ring in several]
        for several in outlines(labels).values()
    ]


def signed_area(ring: Sequence[Point]) -> float:
    """The shoelace formula, ½ Σ (xᵢ·yᵢ₊₁ − xᵢ₊₁·yᵢ)."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) / 2
