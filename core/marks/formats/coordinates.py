"""Turns coordinates as files write them into arrays."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.marks.formats.mark import Malformed

FARTHEST_PX = 1e8
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+")  # may be a decimal comma or separate thousands

Pairs = list[Any]


def with_decimal_points(outlines: list[Pairs]) -> list[Pairs]:
    """Returns a file's points with decimal commas as points, if the file proves that its commas are decimal ones.

    A program under a German or French locale writes 500,5. A comma that separates thousands has three digits behind
    it, so one number that has not proves it for the file. Other files are returned as they are.
    """
    numbers = [number for points in outlines for pair in points for number in pair if _has_comma(number)]
    is_proof = all(DECIMAL_COMMA.fullmatch(number) for number in numbers)
    if not is_proof or all(GROUPED.fullmatch(number) for number in numbers):
        return outlines
    return [[tuple(_with_point(number) for number in pair) for pair in points] for points in outlines]


def _has_comma(number: Any) -> bool:
    return isinstance(number, str) and "," in number


def _with_point(number: Any) -> Any:
    return number.replace(",", ".") if isinstance(number, str) else number


def to_array(pairs: Iterable[Any], title: str) -> NDArray[np.float64]:
    """Returns an outline's points, float64 (n, 2), not closed.

    Raises:
        Malformed: fewer than three points, or coordinates that are no numbers or farther than any slide is large.
    """
    points = list(pairs)
    try:
        vertices = np.array(points, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise Malformed(f"{title} has coordinates that are no numbers{_first_wrong(points)}") from error
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3:
        raise Malformed(f"{title} has no three points, so it encloses nothing")
    if not (np.abs(vertices) <= FARTHEST_PX).all():
        raise Malformed(f"{title} has coordinates that are no numbers")
    closed = (vertices[0] == vertices[-1]).all()
    return vertices[:-1] if closed and len(vertices) > 3 else vertices


def _first_wrong(points: list[Any]) -> str:
    """The first coordinate that is no number, as a part of a sentence."""
    for number in (number for pair in points if isinstance(pair, (list, tuple)) for number in pair):
        try:
            float(number)
        except (TypeError, ValueError):
            return f", such as {str(number)[:40]!r}"
    return ""
