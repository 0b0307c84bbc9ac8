"""Reads tumour outlines drawn by people, ASAP's XML or Camelyon16's JSON, as polygons in level-0 pixels.

An outline encloses what the even-odd rule says. Outlines drawn by hand cross themselves a little at nearly every
lesion, which is accepted. Where signed area and even-odd area differ by more than 2 % (a figure of eight, a loop drawn
twice), what the outline encloses is unclear: it is refused with its name and the place of the crossing.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import Invalid
from core.marks import asap
from core.marks.polygons import even_odd_area, first_crossing, shoelace_area

MOST_BYTES = 64 << 20
MOST_POLYGONS, MOST_VERTICES = 5_000, 500_000
MOST_JSON_VALUES = 3 * MOST_VERTICES + 20 * MOST_POLYGONS  # an object in memory takes 20 times the two bytes of "[]"
FARTHEST_PX = 1e8
MOST_DISAGREEMENT = 0.02
LEAST_PX2 = 1e-3  # smaller differences are rounding
TUMOUR = {"_0", "_1", "tumor", "tumour", "metastases", "metastasis", "positive"}
HOLES = {"_2", "exclusion", "normal", "negative"}
FORMATS = "send ASAP's XML, or JSON with `positive` and `negative` polygons"


@dataclass(frozen=True)
class Polygon:
    """An outline: float64 (n, 2) of x, y in level-0 px, not closed. `hole`: its inside is not tumour."""

    name: str
    vertices: NDArray[np.float64]
    hole: bool = False


@dataclass(frozen=True)
class Annotation:
    """All outlines of a slide. `exhaustive`: all of its tumour is outlined, so tissue outside of them is not tumour."""

    polygons: tuple[Polygon, ...]
    exhaustive: bool = True

    def to_dict(self) -> dict[str, Any]:
        polygons = [{"name": p.name, "hole": p.hole, "vertices": p.vertices.tolist()} for p in self.polygons]
        return {"polygons": polygons, "exhaustive": self.exhaustive}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Annotation":
        polygons = (Polygon(p["name"], np.array(p["vertices"], float), p["hole"]) for p in content["polygons"])
        return cls(tuple(polygons), content["exhaustive"])


def parse(content: bytes, exhaustive: bool = True) -> Annotation:
    """Reads an annotation file.

    Raises:
        Invalid: neither format, over a limit, an unknown group, a coordinate that is not a number, or an outline of
            which it is unclear what it encloses.
    """
    if len(content) > MOST_BYTES:
        raise _bad(f"the annotation has {len(content)} bytes; {MOST_BYTES} is the most", "simplify the outlines")
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start not in (b"<", b"{"):
        raise _bad("the annotation is neither XML nor JSON", FORMATS)
    polygons = _from_xml(content) if start == b"<" else _from_json(content)
    if len(polygons) > MOST_POLYGONS:
        raise _bad(
            f"the annotation has {len(polygons)} outlines; {MOST_POLYGONS} is the most", "leave the small ones out"
        )
    vertices = sum(len(polygon.vertices) for polygon in polygons)
    if vertices > MOST_VERTICES:
        raise _bad(f"the outlines have {vertices} vertices; {MOST_VERTICES} is the most", "simplify the outlines")
    for polygon in polygons:
        _check(polygon)
    return Annotation(tuple(polygons), exhaustive)


def _from_xml(content: bytes) -> list[Polygon]:
    try:
        outlines = asap.read(content, MOST_POLYGONS, MOST_VERTICES)
    except asap.Malformed as error:
        raise _bad(str(error), FORMATS) from error
    return [Polygon(one.name, _numbers(one.name, _in_order(one)), _is_hole(one.name, one.group)) for one in outlines]


def _in_order(outline: asap.Outline) -> list[tuple[str | None, str | None]]:
    """(x, y) by the file's own Order, which need not be that of its lines."""
    try:
        points = sorted(outline.points, key=lambda point: float(point.order))
    except ValueError as error:
        raise _bad(f"{outline.name} has a point whose Order is no number", "correct it in the file") from error
    return [(point.x, point.y) for point in points]


def _is_hole(name: str, group: str) -> bool:
    name_of_group = group.strip().lower()
    if name_of_group not in TUMOUR | HOLES:
        raise _bad(f"{name} is of the group {group!r}, which is neither tumour nor hole", f"use {sorted(TUMOUR)}")
    return name_of_group in HOLES


def _from_json(content: bytes) -> list[Polygon]:
    values = sum(content.count(mark) for mark in (b",", b"[", b"{"))  # each value of a JSON text needs one of them
    if values > MOST_JSON_VALUES:
        raise _bad(f"the JSON holds {values} values; {MOST_JSON_VALUES} is the most", "simplify the outlines")
    try:
        document = json.loads(content)
        lists = ((document["positive"], False), (document["negative"], True))
        named = [(str(one["name"]), one["vertices"], hole) for outlines, hole in lists for one in outlines]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad(f"the JSON is no annotation: {type(error).__name__} {error}", FORMATS) from error
    return [Polygon(name, _numbers(name, vertices), hole) for name, vertices, hole in named]


def _numbers(name: str, pairs: Any) -> NDArray[np.float64]:
    try:
        vertices = np.array(pairs, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise _bad(f"{name} has coordinates that are no numbers", "correct it in the file") from error
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3:
        raise _bad(f"{name} has no three points", "remove it, or draw it again")
    if not (np.abs(vertices) <= FARTHEST_PX).all():
        raise _bad(f"{name} has coordinates that are no numbers", "correct it in the file")
    closed = (vertices[0] == vertices[-1]).all()
    return vertices[:-1] if closed and len(vertices) > 3 else vertices


def _check(polygon: Polygon) -> None:
    drawn, inside = abs(shoelace_area(polygon.vertices)), even_odd_area(polygon.vertices)
    if abs(drawn - inside) <= MOST_DISAGREEMENT * max(drawn, inside) + LEAST_PX2:
        return
    x, y = first_crossing(polygon.vertices)
    place = f"at ({x:.0f}, {y:.0f})"
    raise _bad(f"the outline {polygon.name} crosses itself {place}, so what it encloses is unclear", "draw it again")


def _bad(detail: str, action: str) -> Invalid:
    return Invalid("bad-annotation", detail, action)
