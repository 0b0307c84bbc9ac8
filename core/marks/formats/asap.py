"""ASAP's XML: https://computationalpathologygroup.github.io/ASAP/ writes annotations, and groups that may be nested, as

    <ASAP_Annotations>
      <Annotations><Annotation Name="…" Type="Polygon" PartOfGroup="…"><Coordinates>
          <Coordinate Order="0" X="…" Y="…"/> …
      <AnnotationGroups><Group Name="…" PartOfGroup="None"/> …

Its masks, and Camelyon's, join the points of a spline by straight lines, so a spline is read as the polygon of its
points. Dots, point sets and measurements enclose nothing. In a file without groups the annotation's name stands for
its group, as in ASAP's masks.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from core.marks.formats.coordinates import Pairs, with_decimal_points
from core.marks.formats.mark import FREE, NO_GROUP, Budget, Malformed, Mark, Shape

SHAPES: dict[str, Shape] = {
    "Polygon": "area",
    "Rectangle": "area",
    "Spline": "area",
    "Dot": "points",
    "PointSet": "points",
    "Measurement": "points",
}


@dataclass
class _Annotation:
    name: str
    kind: str
    group: str
    points: list[tuple[str, str | None, str | None]] = field(default_factory=list)  # order, x, y


class Asap:
    """Collects annotations and groups. Groups stand behind the annotations, so marks are built at the end."""

    NAME = "asap"
    CHILDREN: ClassVar = {
        "ASAP_Annotations": ("Annotations", "AnnotationGroups"),
        "Annotations": ("Annotation",),
        "Annotation": ("Coordinates", "Attributes"),
        "Coordinates": ("Coordinate",),
        "AnnotationGroups": ("Group",),
        "Group": ("Attributes",),
        "Attributes": (FREE,),
    }

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._annotations: list[_Annotation] = []
        self._parents: dict[str, str] = {}
        self._open: _Annotation | None = None
        self._has_list = False

    def start(self, element: str, attributes: dict[str, str]) -> None:
        if element == "Annotations":
            self._has_list = True
        elif element == "Annotation":
            self._start_annotation(attributes)
        elif element == "Group":
            self._add_group(attributes)
        elif element == "Coordinate" and self._open is not None:
            self._budget.add_points()
            self._open.points.append((attributes.get("Order", "0"), attributes.get("X"), attributes.get("Y")))

    def end(self, element: str) -> None:
        if element == "Annotation":
            self._open = None

    def _start_annotation(self, attributes: dict[str, str]) -> None:
        if self._open is not None:
            raise Malformed(f"{self._open.name} has another annotation inside")
        self._budget.add_mark()
        name = attributes.get("Name") or f"annotation {len(self._annotations)}"
        kind = attributes.get("Type", "Polygon")
        self._open = _Annotation(name, kind, attributes.get("PartOfGroup", ""))
        self._annotations.append(self._open)

    def _add_group(self, attributes: dict[str, str]) -> None:
        self._budget.add_mark()
        name, parent = attributes.get("Name", ""), attributes.get("PartOfGroup", "None")
        if self._parents.setdefault(name, parent) != parent:
            detail = f"it is part of {self._parents[name]!r} and of {parent!r}"
            raise Malformed(f"the XML declares the group {name!r} twice: {detail}")

    def marks(self) -> list[Mark]:
        """Returns the marks. Raises Malformed: no list of annotations, or groups that are parts of each other."""
        if not self._has_list:
            raise Malformed("the XML has no Annotations element")
        outlines = with_decimal_points([_in_order(annotation) for annotation in self._annotations])
        return [self._mark(annotation, points) for annotation, points in zip(self._annotations, outlines, strict=True)]

    def _mark(self, annotation: _Annotation, points: Pairs) -> Mark:
        name, kind = annotation.name, annotation.kind
        if kind not in SHAPES:
            raise Malformed(f"{name} (group {annotation.group}) is of the type {kind!r}, which is not read")
        groups = self._groups(annotation)
        return Mark(name, groups, kind, SHAPES[kind], [points], label=NO_GROUP if NO_GROUP in groups else None)

    def _groups(self, annotation: _Annotation) -> tuple[str, ...]:
        names: list[str] = []
        group = annotation.group
        while group not in ("", "None"):
            if group in names:
                raise Malformed(f"the groups {' and '.join(map(repr, names))} are parts of each other")
            names.append(group)
            group = self._parents.get(group, "None")
        if not names and not self._parents:
            return annotation.name, NO_GROUP
        return tuple(names) or (NO_GROUP,)


def _in_order(annotation: _Annotation) -> Pairs:
    """(x, y) by the file's own Order, which need not be that of its lines."""
    try:
        points = sorted(annotation.points, key=lambda point: float(point[0]))
    except ValueError as error:
        raise Malformed(f"{annotation.name} has a point whose Order is no number") from error
    return [(x, y) for _, x, y in points]
