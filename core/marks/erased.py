"""Finds tumour outlines of which holes leave nothing.

A region of normal tissue is often drawn around a tumour, not within it. Read as a hole it would cut the tumour out.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.marks.polygons import Mask, Points, fill

GRID_PX = 256  # of each outline's box: what is left is seen where it covers the centre of a pixel
MOST_FILLS = 20_000  # an outline that many holes overlap takes a fill for each


class Outline(Protocol):
    """A polygon with holes of its own, as core.marks.outlines has it."""

    @property
    def name(self) -> str: ...
    @property
    def vertices(self) -> Points: ...
    @property
    def hole(self) -> bool: ...
    @property
    def inner(self) -> tuple[Points, ...]: ...


Kind = TypeVar("Kind", bound=Outline)


def first_erased(polygons: Sequence[Kind]) -> tuple[Kind, Kind] | None:
    """Returns the first tumour outline of which holes leave nothing, and a hole in it; None when there is none.

    An outline that its own inner rings erase comes with itself.

    Raises:
        ValueError: more holes overlap outlines than are compared.
    """
    holes = [polygon for polygon in polygons if polygon.hole]
    boxes = np.array([_box(hole.vertices) for hole in holes]).reshape(-1, 4)
    fills = 0
    for outline in (polygon for polygon in polygons if not polygon.hole):
        left = _fill(outline, _box(outline.vertices))
        if not fill(_on_grid(outline.vertices, _box(outline.vertices)), (GRID_PX, GRID_PX)).any():
            continue  # too thin for the grid
        eraser = outline
        while left.any():
            hole = _hole_at(_centre(left, _box(outline.vertices)), holes, boxes)
            if hole is None:
                break
            eraser, left, fills = hole, left & ~_fill(hole, _box(outline.vertices)), fills + 1
            if fills > MOST_FILLS:
                raise ValueError(f"more than {MOST_FILLS} holes overlap outlines")
        else:
            return outline, eraser
    return None


def _box(vertices: Points) -> NDArray[np.float64]:
    """The lowest x, y and the highest x, y."""
    return np.concatenate([vertices.min(0), vertices.max(0)])


def _on_grid(vertices: Points, box: NDArray[np.float64]) -> Points:
    """Vertices in pixels of the grid that a box fills."""
    size = np.maximum(box[2:] - box[:2], np.finfo(np.float64).tiny)
    return np.asarray((vertices - box[:2]) / size * GRID_PX)


def _fill(polygon: Outline, box: NDArray[np.float64]) -> Mask:
    """Where a polygon without its inner rings covers the grid of a box."""
    inside = fill(_on_grid(polygon.vertices, box), (GRID_PX, GRID_PX))
    for ring in polygon.inner:
        inside &= ~fill(_on_grid(ring, box), (GRID_PX, GRID_PX))
    return inside


def _centre(left: Mask, box: NDArray[np.float64]) -> NDArray[np.float64]:
    """x, y of the first pixel's centre."""
    row, col = divmod(int(left.argmax()), GRID_PX)
    return np.asarray(box[:2] + (np.array([col, row]) + 0.5) / GRID_PX * (box[2:] - box[:2]))


def _hole_at(point: NDArray[np.float64], holes: list[Kind], boxes: NDArray[np.float64]) -> Kind | None:
    """The first hole that covers a point."""
    near = ((boxes[:, :2] <= point) & (point <= boxes[:, 2:])).all(1)
    candidates = (holes[number] for number in np.flatnonzero(near))
    return next((hole for hole in candidates if _covers(hole, point)), None)


def _covers(polygon: Outline, point: NDArray[np.float64]) -> bool:
    return _is_inside(polygon.vertices, point) and not any(_is_inside(ring, point) for ring in polygon.inner)


def _is_inside(vertices: Points, point: NDArray[np.float64]) -> bool:
    """Whether a ray to the left crosses the outline an odd number of times."""
    start, end = vertices, np.roll(vertices, -1, axis=0)
    crosses = (start[:, 1] <= point[1]) != (end[:, 1] <= point[1])
    a, b = start[crosses], end[crosses]
    xs = a[:, 0] + (point[1] - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return bool((xs <= point[0]).sum() % 2)
