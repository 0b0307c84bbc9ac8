"""Reads ASAP's XML: https://computationalpathologygroup.github.io/ASAP/ writes outlines as

    <ASAP_Annotations><Annotations><Annotation Name="…" PartOfGroup="…"><Coordinates>
        <Coordinate Order="0" X="…" Y="…"/> …

The file is not trusted. Expat reports elements one by one and no tree is built. Whatever would let a small file fill
the memory is refused as soon as it is read: a document type (entities need one, in every encoding), deep nesting, long
tags, many different names, more outlines or points than an annotation may have.
"""

from dataclasses import dataclass, field
from xml.parsers import expat

STEP_BYTES = 1 << 16
MAX_TAG_BYTES = 1 << 17  # a tag is reported whole: its attributes are in memory at once
MAX_DEPTH, MAX_NAMES = 32, 1000  # expat stores open elements, and each name of an element or attribute


class Malformed(ValueError):
    """The sentence says what is wrong with the file."""


@dataclass(frozen=True)
class Point:
    """As written: numbers are not checked here."""

    order: str
    x: str | None
    y: str | None


@dataclass(frozen=True)
class Outline:
    name: str
    group: str
    points: list[Point] = field(default_factory=list)


def read(content: bytes, max_outlines: int, max_points: int) -> list[Outline]:
    """The outlines of a file, in its order.

    Raises:
        Malformed: no XML, none of ASAP's, or more than an annotation needs.
    """
    document = _Document(max_outlines, max_points)
    try:
        document.feed(content)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding that is not known
        if isinstance(error, Malformed):
            raise
        raise Malformed(f"the XML cannot be read: {error}") from error
    if not document.outlines and not document.has_list:
        raise Malformed("the XML has no Annotations element")
    return document.outlines


class _Document:
    """Collects outlines while expat reads."""

    def __init__(self, max_outlines: int, max_points: int) -> None:
        self.outlines: list[Outline] = []
        self.has_list, self._depth, self._points_left = False, 0, max_points
        self._max_outlines, self._max_points = max_outlines, max_points
        self._open: Outline | None = None
        self._names: dict[str, str] = {}
        self._parser = expat.ParserCreate(intern=self._names)
        self._parser.StartDoctypeDeclHandler = self._refuse_document_type
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def feed(self, content: bytes) -> None:
        """In steps, so that a tag that does not end is noticed before it is in memory twice."""
        for start in range(0, len(content), STEP_BYTES):
            step = content[start : start + STEP_BYTES]
            self._parser.Parse(step, False)
            if start + len(step) - self._parser.CurrentByteIndex > MAX_TAG_BYTES:
                raise Malformed(f"the XML has a tag or comment of more than {MAX_TAG_BYTES} bytes")
        self._parser.Parse(b"", True)

    def _refuse_document_type(self, *_: object) -> None:
        raise Malformed("the XML declares a document type, which annotations have no use for")

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH or len(self._names) > MAX_NAMES:
            raise Malformed("the XML is nested too deeply, or has too many different names")
        if element == "Annotations" and self._depth == 2:
            self.has_list = True
        elif element == "Annotation":
            self._start_outline(attributes)
        elif element == "Coordinate" and self._open is not None:
            self._add_point(self._open, attributes)

    def _start_outline(self, attributes: dict[str, str]) -> None:
        if self._open is not None:
            raise Malformed(f"{self._open.name} has another annotation inside")
        if len(self.outlines) == self._max_outlines:
            raise Malformed(f"the annotation has more outlines than allowed; {self._max_outlines} is the most")
        name = attributes.get("Name", f"annotation {len(self.outlines)}")
        self._open = Outline(name, attributes.get("PartOfGroup", ""))
        self.outlines.append(self._open)

    def _add_point(self, outline: Outline, attributes: dict[str, str]) -> None:
        if not self._points_left:
            raise Malformed(f"the outlines have more vertices than allowed; {self._max_points} is the most")
        self._points_left -= 1
        outline.points.append(Point(attributes.get("Order", "0"), attributes.get("X"), attributes.get("Y")))

    def _end(self, element: str) -> None:
        self._depth -= 1
        if element == "Annotation":
            self._open = None
