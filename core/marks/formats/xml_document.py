"""Reads annotations in XML: ASAP's or ImageScope's, by its root element.

The file is not trusted. Expat reports elements one by one and no tree is built. Whatever would let a small file fill
the memory is refused as soon as it is read: a document type (entities need one, in every encoding), deep nesting, long
tags, many different names, more outlines or points than an annotation may have.
"""

from typing import Protocol
from xml.parsers import expat

from core.marks.formats import asap, imagescope
from core.marks.formats.mark import FREE, Budget, Malformed, Mark

STEP_BYTES = 1 << 16
MAX_TAG_BYTES = 1 << 17  # a tag is reported whole: its attributes are in memory at once
MAX_DEPTH, MAX_NAMES = 32, 1000  # expat stores open elements, and each name of an element or attribute


class Format(Protocol):
    """Collects the marks of one format.

    Attributes:
        CHILDREN: {element: those that may stand in it}; FREE stands for any, which are not read.
    """

    def start(self, element: str, attributes: dict[str, str]) -> None: ...

    def end(self, element: str) -> None: ...

    def marks(self) -> list[Mark]: ...


FORMATS: dict[str, type[asap.Asap] | type[imagescope.ImageScope]] = {
    "ASAP_Annotations": asap.Asap,
    "Annotations": imagescope.ImageScope,
}


def read(content: bytes, budget: Budget) -> tuple[str, list[Mark]]:
    """Returns the format's name, asap or imagescope, and the marks in the order of the file.

    Raises:
        Malformed: no XML, another root element, or more than an annotation needs.
    """
    document = _Document(budget)
    try:
        document.feed(content)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding that is not known
        if isinstance(error, Malformed):
            raise
        raise Malformed(f"the XML cannot be read: {error}") from error
    assert document.format is not None  # a document without a root element is no XML
    return document.format.NAME, document.format.marks()


class _Document:
    """Hands elements to the format of the root element while expat reads."""

    def __init__(self, budget: Budget) -> None:
        self.format: asap.Asap | imagescope.ImageScope | None = None
        self._budget, self._depth = budget, 0
        self._names: dict[str, str] = {}
        self._path: list[str] = []
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
        if self.format is None:
            if element not in FORMATS:
                raise Malformed(f"the XML has no Annotations element of ASAP or ImageScope: its root is {element!r}")
            self.format = FORMATS[element](self._budget)
        elif self._path[-1] == FREE or FREE in (children := self.format.CHILDREN.get(self._path[-1], ())):
            element = FREE
        elif element not in children:  # it may hold outlines that nobody reads
            raise Malformed(f"the XML has an element {element!r} in {self._path[-1]!r}, which is not read")
        else:
            self.format.start(element, attributes)
        self._path.append(element)

    def _end(self, element: str) -> None:
        self._depth -= 1
        if self.format is not None and self._depth and self._path[-1] != FREE:
            self.format.end(element)
        self._path.pop()
