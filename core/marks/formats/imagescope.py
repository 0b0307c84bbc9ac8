"""Aperio ImageScope's XML: layers (Annotation) of regions, each with a type, a text and vertices in level-0 pixels.

    <Annotations MicronsPerPixel="…"><Annotation Name="tumor"><Regions>
        <Region Type="0" Text="" NegativeROA="0"><Vertices><Vertex X="…" Y="…"/> …

Types: 0 freehand outline, 1 rectangle (its corners), 2 ellipse (two opposite corners of its box), 3 arrow, 4 ruler.
A region's group is its text where that has a reading, and else its layer's name. A region with NegativeROA is cut out.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.marks.formats.coordinates import Pairs, with_decimal_points
from core.marks.formats.mark import FREE, NO_GROUP, Budget, Malformed, Mark, Shape

Corner = NDArray[np.float64]

OUTLINE, RECTANGLE, ELLIPSE, ARROW, RULER = "0", "1", "2", "3", "4"
KINDS = {OUTLINE: "outline", RECTANGLE: "rectangle", ELLIPSE: "ellipse", ARROW: "arrow", RULER: "ruler"}
ELLIPSE_POINTS = 180  # the polygon's area is 0.02 % below the ellipse's


@dataclass
class _Region:
    name: str
    groups: tuple[str, ...]
    kind: str
    cut_out: bool
    points: list[Any] = field(default_factory=list)


class ImageScope:
    """Collects the regions of all layers."""

    NAME = "imagescope"
    CHILDREN: ClassVar = {
        "Annotations": ("Annotation",),
        "Annotation": ("Attributes", "Regions", "Plots"),
        "Attributes": (FREE,),
        "Regions": ("RegionAttributeHeaders", "Region"),
        "RegionAttributeHeaders": (FREE,),
        "Region": ("Attributes", "Vertices"),
        "Vertices": ("Vertex",),
    }

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._layer, self._layers = "", 0
        self._regions: list[_Region] = []
        self._open: _Region | None = None

    def start(self, element: str, attributes: dict[str, str]) -> None:
        if element == "Annotation":
            self._layers += 1
            self._layer = attributes.get("Name", "").strip()
        elif element == "Region":
            self._start_region(attributes)
        elif element == "Vertex" and self._open is not None:
            self._budget.add_points()
            self._open.points.append((attributes.get("X"), attributes.get("Y")))

    def end(self, element: str) -> None:
        if element == "Region":
            self._open = None

    def _start_region(self, attributes: dict[str, str]) -> None:
        self._budget.add_mark()
        name = f"region {attributes.get('Id', len(self._regions) + 1)} of layer {self._layers}"
        if self._open is not None:
            raise Malformed(f"{self._open.name} has another region inside")
        kind = attributes.get("Type", OUTLINE)
        if kind not in KINDS:
            raise Malformed(f"{name} (layer {self._layer!r}) is of the type {kind!r}, which is not read")
        text = attributes.get("Text", "").strip()
        groups = (*([text] if text else []), self._layer or NO_GROUP)
        self._open = _Region(name, groups, kind, attributes.get("NegativeROA", "0").strip() not in ("", "0"))
        self._regions.append(self._open)

    def marks(self) -> list[Mark]:
        """Returns the marks. Raises Malformed: an ellipse without a box, or whose box is not of numbers."""
        outlines = with_decimal_points([region.points for region in self._regions])
        return [_mark(region, points) for region, points in zip(self._regions, outlines, strict=True)]


def _mark(region: _Region, points: Pairs) -> Mark:
    shape: Shape = "points" if region.kind in (ARROW, RULER) else "area"
    if region.kind == ELLIPSE and len(points) <= 4:  # more points are its outline already
        points = _ellipse(*_box(region, points))
    elif region.kind == RECTANGLE and len(points) == 2:
        (left, top), (right, bottom) = _box(region, points)
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return Mark(region.name, region.groups, KINDS[region.kind], shape, [points], region.cut_out)


def _box(region: _Region, points: Pairs) -> tuple[Corner, Corner]:
    """The lowest and the highest x, y."""
    try:
        corners = np.array(points, np.float64).reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise Malformed(f"{region.name} has coordinates that are no numbers") from error
    if len(corners) not in (2, 4):
        kind = KINDS[region.kind]
        raise Malformed(f"{region.name} is a box of {len(corners)} points; two opposite corners make one ({kind})")
    return corners.min(0), corners.max(0)


def _ellipse(low: Corner, high: Corner) -> Pairs:
    """The polygon of the ellipse in a box."""
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_POINTS, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    points: Pairs = ((low + high) / 2 + (high - low) / 2 * circle).tolist()
    return points
