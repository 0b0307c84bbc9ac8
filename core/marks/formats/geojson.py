"""GeoJSON (RFC 7946) as QuPath exports it: a FeatureCollection, one Feature, an array of them, or a bare geometry.

A feature's class is its `classification`: {"name": "Tumor"}, {"names": ["Tumor", "Positive"]} or a text. A derived
class `Tumor: Positive` is read as itself, and else as `Tumor`. A polygon's inner rings are holes of this polygon alone.
Detections, cells and tiles are computed, not drawn. `isLocked`, colours and measurements say nothing of outlines.
"""

from collections.abc import Iterator
from typing import Any, cast

from core.marks.formats.mark import NO_GROUP, Budget, Malformed, Mark, Origin, Shape

NAME = "geojson"
MAX_DEPTH = 8  # of geometry collections
SHAPES: dict[str, Shape] = {
    "Polygon": "area",
    "MultiPolygon": "area",
    "LineString": "line",
    "MultiLineString": "line",
    "Point": "points",
    "MultiPoint": "points",
}
DRAWN = {"annotation", "PathAnnotationObject"}  # today's word, and that of QuPath 0.2
COMPUTED = {"detection", "cell", "tile", "tma_core", "root"}
OBJECT = ("Path", "Object")  # QuPath 0.2 wrote PathCellObject and the like as `id`


def is_geojson(document: Any) -> bool:
    """Returns whether a JSON document is meant as GeoJSON."""
    return isinstance(document, list) or (isinstance(document, dict) and "type" in document)


def read(document: Any, budget: Budget) -> list[Mark]:
    """Returns the marks of a document, in its order.

    Raises:
        Malformed: no GeoJSON, a type of geometry that is not read, or more than an annotation needs.
    """
    return [mark for number, feature in enumerate(_features(document), 1) for mark in _marks(feature, number, budget)]


def origin_of(document: Any) -> Origin:
    """Returns the point that coordinates count from: as the file says it, `bounds` for QuPath's objects, or level 0's.

    QuPath counts from the corner of OpenSlide's bounds. The service's own export says what it counts from.
    """
    stated = document.get("origin") if isinstance(document, dict) else None
    if stated == "level0" or stated == "bounds":
        return cast(Origin, stated)
    is_qupath = any(_is_object(feature) for feature in _features(document))
    return "bounds" if is_qupath else "level0"


def _is_object(feature: dict[str, Any]) -> bool:
    """Whether QuPath wrote a feature."""
    properties = feature.get("properties")
    if isinstance(properties, dict) and ("objectType" in properties or "object_type" in properties):
        return True
    return str(feature.get("id", "")).startswith(OBJECT[0]) and str(feature["id"]).endswith(OBJECT[1])


def _features(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        document = document.get("features")
    features = document if isinstance(document, list) else [document]
    for number, feature in enumerate(features, 1):
        if not isinstance(feature, dict) or not isinstance(feature.get("type"), str):
            raise Malformed(f"the JSON is no annotation: feature {number} is no GeoJSON feature")
    return [one if one["type"] == "Feature" else {"geometry": one} for one in features]


def _marks(feature: dict[str, Any], number: int, budget: Budget) -> Iterator[Mark]:
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise Malformed(f"the properties of feature {number} are no object")
    label = properties.get("name")
    name = f"feature {number}" + (f" {label!r}" if label else "")
    groups = _classes(properties.get("classification"), name)
    computed = _computed(feature, properties)
    geometry = feature.get("geometry")
    if computed or geometry is None:
        budget.add_mark()
        reason = f"a QuPath {computed} is computed, not drawn" if computed else "it has no geometry"
        yield Mark(name, groups, "Feature", "points", neither=reason)
        return
    yield from _parts(geometry, name, groups, budget)


def _classes(classification: Any, name: str) -> tuple[str, ...]:
    """The class and those that it is derived from, nearest first."""
    if isinstance(classification, dict):
        names = classification.get("names")
        classification = ": ".join(map(str, names)) if isinstance(names, list) else classification.get("name")
    if classification is None or classification == "":
        return (NO_GROUP,)
    if not isinstance(classification, str):
        raise Malformed(f"{name} has a classification without a name")
    parts = classification.split(": ")
    return tuple(": ".join(parts[:end]) for end in range(len(parts), 0, -1))


def _computed(feature: dict[str, Any], properties: dict[str, Any]) -> str | None:
    """QuPath's word for an object that nobody drew; None for annotations and for features of other programs."""
    kind = properties.get("objectType", properties.get("object_type"))
    if kind is None and str(feature.get("id", "")).startswith(OBJECT[0]) and str(feature["id"]).endswith(OBJECT[1]):
        kind = feature["id"]
        return None if kind in DRAWN else str(kind)
    return str(kind) if kind in COMPUTED else None


def _parts(geometry: Any, name: str, groups: tuple[str, ...], budget: Budget, depth: int = 0) -> Iterator[Mark]:
    """One mark for each polygon, line or set of points."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind == "GeometryCollection" and depth < MAX_DEPTH:
        for part in _list(geometry.get("geometries"), name):
            yield from _parts(part, name, groups, budget, depth + 1)
        return
    if kind not in SHAPES:
        raise Malformed(f"{name} (group {groups[0]}) has a geometry of the type {kind!r}, which is not read")
    coordinates = _list(geometry.get("coordinates"), name)
    parts = coordinates if kind.startswith("Multi") and kind != "MultiPoint" else [coordinates]
    for number, part in enumerate(parts, 1):
        budget.add_mark()
        title = name if len(parts) == 1 else f"{name} part {number}"
        rings = _list(part, name) if SHAPES[kind] == "area" else [part]
        yield Mark(title, groups, kind, SHAPES[kind], [_pairs(ring, title, budget) for ring in rings])


def _pairs(ring: Any, name: str, budget: Budget) -> list[Any]:
    """x, y of each position; a third number is its height."""
    positions = _list(ring, name)
    budget.add_points(len(positions))
    return [position[:2] if isinstance(position, list) else position for position in positions]


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed(f"{name} has coordinates that are no lists of numbers")
    return value
