"""Reads tumour outlines drawn by people as polygons in level-0 pixels.

Formats: ASAP's XML, ImageScope's XML, QuPath's GeoJSON and Camelyon16's JSON. Every mark of a file becomes a polygon,
is listed as ignored with the reason, or refuses the file by its name: none is dropped in silence.

An outline encloses what the even-odd rule says. Outlines drawn by hand cross themselves a little at nearly every
lesion, which is accepted. Where signed area and even-odd area differ by more than 2 % (a figure of eight, a loop drawn
twice), what the outline encloses is unclear: it is refused with its name and the place of the crossing.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import Invalid
from core.marks import groups
from core.marks.erased import first_erased
from core.marks.formats import camelyon_json, coordinates, geojson, xml_document
from core.marks.formats.mark import KEY, Budget, Malformed, Mark, Origin
from core.marks.polygons import even_odd_area, first_crossing, shoelace_area

MOST_BYTES = 64 << 20
MOST_POLYGONS, MOST_VERTICES = 5_000, 500_000
MOST_JSON_VALUES = 3 * MOST_VERTICES + 20 * MOST_POLYGONS  # an object in memory takes 20 times the two bytes of "[]"
MOST_DISAGREEMENT = 0.02
LEAST_PX2 = 1e-3  # smaller differences are rounding
MOST_GROUPS_NAMED = 5
BLANK = b"\xef\xbb\xbf\xff\xfe \t\r\n"  # byte order marks and spaces
FORMATS = "send ASAP's or ImageScope's XML, QuPath's GeoJSON, or JSON with `positive` and `negative` polygons"
NAME_GROUPS = "correct the group in the file, or name it with ?tumour=, ?hole= or ?ignore= (`none`: without a group)"
CORRECT = "correct it in the file, or see the groups and shapes that docs/usage.md names"

Vertices = NDArray[np.float64]


@dataclass(frozen=True)
class Polygon:
    """An outline: float64 (n, 2) of x, y in level-0 px, not closed. `hole`: its inside is not tumour.

    `inner`: outlines like it, of holes in this polygon alone. A polygon with `hole` cuts all others.
    """

    name: str
    vertices: Vertices
    hole: bool = False
    inner: tuple[Vertices, ...] = ()


@dataclass(frozen=True)
class Ignored:
    """A mark that is no outline, and why."""

    name: str
    group: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Annotation:
    """All outlines of a slide. `exhaustive`: all of its tumour is outlined, so tissue outside of them is not tumour.

    `origin`: what the vertices count from. Stored outlines count from level 0's corner.
    """

    polygons: tuple[Polygon, ...]
    exhaustive: bool = True
    ignored: tuple[Ignored, ...] = ()
    format: str | None = None
    origin: Origin = "level0"

    def in_level0(self, bounds_l0: tuple[int, int]) -> "Annotation":
        """Returns the outlines from level 0's corner. `bounds_l0`: x, y of the corner of the scanned area."""
        if self.origin == "level0":
            return self
        polygons = tuple(
            replace(p, vertices=p.vertices + bounds_l0, inner=tuple(ring + bounds_l0 for ring in p.inner))
            for p in self.polygons
        )
        return replace(self, polygons=polygons, origin="level0")

    def to_dict(self) -> dict[str, Any]:
        polygons = [
            {"name": p.name, "hole": p.hole, "vertices": p.vertices.tolist(), "inner": [v.tolist() for v in p.inner]}
            for p in self.polygons
        ]
        ignored = [asdict(one) for one in self.ignored]
        return {"polygons": polygons, "exhaustive": self.exhaustive, "ignored": ignored, "format": self.format}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Annotation":
        polygons = tuple(
            Polygon(p["name"], np.array(p["vertices"], float), p["hole"], tuple(map(np.array, p.get("inner", ()))))
            for p in content["polygons"]
        )
        ignored = tuple(Ignored(**one) for one in content.get("ignored", ()))
        return cls(polygons, content["exhaustive"], ignored, content.get("format"))


def parse(
    content: bytes, exhaustive: bool = True, own: groups.Rule | None = None, origin: Origin | None = None
) -> Annotation:
    """Reads an annotation file.

    Args:
        origin: what its coordinates count from; None: as the file says it.
        own: readings of the caller's own groups (groups.own_rule), which go before the usual ones.

    Raises:
        Invalid: none of the formats, over a limit, a group without a reading, a coordinate that is not a number, or an
            outline of which it is unclear what it encloses.
    """
    if len(content) > MOST_BYTES:
        raise _bad(f"the annotation has {len(content)} bytes; {MOST_BYTES} is the most", "simplify the outlines")
    try:
        name, marks, usual_origin = _marks(content)
    except Malformed as error:
        raise _bad(str(error), FORMATS) from error
    try:
        polygons, ignored = _sort(marks, own or {}, groups.OF_FORMAT.get(name, groups.USUAL))
        _require_tumour_left(polygons)
    except Malformed as error:
        raise _bad(str(error), CORRECT) from error
    return Annotation(tuple(polygons), exhaustive, tuple(ignored), name, origin or usual_origin)


def _marks(content: bytes) -> tuple[str, list[Mark], Origin]:
    """The format's name, the marks, and what their coordinates count from. Raises Malformed."""
    start = content[:100].replace(b"\0", b"").lstrip(BLANK)[:1]  # UTF-16 has a zero beside each character of a tag
    budget = Budget(MOST_POLYGONS, MOST_VERTICES)
    if start == b"<":
        return *xml_document.read(content, budget), "level0"
    if start not in (b"{", b"["):
        raise Malformed("the annotation is neither XML nor JSON")
    document = _json(content)
    if geojson.is_geojson(document):
        return geojson.NAME, geojson.read(document, budget), geojson.origin_of(document)
    return camelyon_json.NAME, camelyon_json.read(document, budget), "level0"


def _json(content: bytes) -> Any:
    values = sum(content.count(mark) for mark in (b",", b"[", b"{"))  # each value of a JSON text needs one of them
    if values > MOST_JSON_VALUES:
        raise Malformed(f"the JSON holds {values} values; {MOST_JSON_VALUES} is the most")
    try:
        return json.loads(content, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the JSON is no annotation: {type(error).__name__} {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of two values under one key, JSON's readers drop the first in silence."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("an object has the same key twice")
    return content


def _sort(marks: list[Mark], own: groups.Rule, usual: groups.Usual) -> tuple[list[Polygon], list[Ignored]]:
    """Polygons, and the marks that are none. Raises Malformed, or Invalid: a group has no reading."""
    readings = [groups.reading_of(mark, own, usual) for mark in marks]
    _require_readings(mark for mark, reading in zip(marks, readings, strict=True) if not reading)
    polygons, ignored, lost = [], [], []
    for mark, reading in zip(marks, readings, strict=True):
        if reason := _why_ignored(mark, reading):
            ignored.append(Ignored(mark.name, mark.group, mark.kind, reason))
            if reading in ("tumour", None) and mark.kind != KEY:
                lost.append((mark, reason))
        else:
            polygons.append(_polygon(mark, hole=reading == "hole"))
    if lost and not polygons:  # a file without outlines says that the slide is free of tumour
        mark, reason = lost[0]
        raise Malformed(f"{mark.title()} may be tumour, and no mark of the file is an outline: {reason}")
    return polygons, ignored


def _require_readings(unread: Iterable[Mark]) -> None:
    """Raises Invalid with the groups of areas that are neither tumour nor hole."""
    first: dict[str, Mark] = {}
    for mark in unread:
        if mark.shape == "area" and mark.neither is None:
            first.setdefault(mark.group, mark)
    if not first:
        return
    listed = [f"{mark.name} is of the group {group!r}" for group, mark in list(first.items())[:MOST_GROUPS_NAMED]]
    more = f", and {len(first) - len(listed)} groups more" if len(first) > len(listed) else ""
    raise _bad(f"{', '.join(listed)}{more}, which is neither tumour nor hole", NAME_GROUPS)


def _why_ignored(mark: Mark, reading: groups.Reading | None) -> str | None:
    """Why a mark is no outline; None when it is one. Raises Malformed: a line around what the file calls tumour."""
    if mark.neither:
        return mark.neither
    if reading == "ignored":
        return "its group is ignored"
    if mark.shape == "points":
        return f"a {mark.kind} encloses nothing"
    if mark.shape == "line":
        if reading and len(mark.rings[0]) > 2:
            raise Malformed(f"{mark.title()} is a line, which encloses nothing; close it as a polygon")
        return f"a {mark.kind} encloses nothing"
    return None


def _polygon(mark: Mark, hole: bool) -> Polygon:
    if mark.cut_out and hole:
        raise Malformed(f"{mark.title()} is cut out of a group that is no tumour, so what it encloses is unclear")
    outer, *inner = [coordinates.to_array(ring, mark.title()) for ring in mark.rings or [[]]]
    for vertices in (outer, *inner):
        _require_clear(mark, vertices)
    return Polygon(mark.name, outer, hole or mark.cut_out, tuple(inner))


def _require_clear(mark: Mark, vertices: Vertices) -> None:
    """Raises Malformed when the outline crosses itself by more than a hand does."""
    drawn, inside = abs(shoelace_area(vertices)), even_odd_area(vertices)
    if abs(drawn - inside) <= MOST_DISAGREEMENT * max(drawn, inside) + LEAST_PX2:
        return
    x, y = first_crossing(vertices)
    place = f"at ({x:.0f}, {y:.0f})"
    raise Malformed(
        f"the outline {mark.name} crosses itself {place}, so what it encloses is unclear (group {mark.group})"
    )


def _require_tumour_left(polygons: list[Polygon]) -> None:
    """Raises Malformed when holes remove an outline completely: it was drawn, so something else was meant."""
    try:
        erased = first_erased(polygons)
    except ValueError as error:
        raise Malformed(str(error)) from error
    if erased is None:
        return
    outline, hole = erased
    by = "holes of its own" if hole is outline else f"the hole {hole.name}"
    raise Malformed(f"nothing is left of the outline {outline.name}: {by} removes it; is it drawn around the tumour?")


def _bad(detail: str, action: str) -> Invalid:
    return Invalid("bad-annotation", detail, action)
