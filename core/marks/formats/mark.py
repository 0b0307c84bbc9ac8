"""A mark: what a person drew on a slide, as its file writes it, before it is read as tumour, hole or neither."""

from dataclasses import dataclass, field
from typing import Any, Literal

Shape = Literal["area", "line", "points"]
Origin = Literal["level0", "bounds"]  # what coordinates count from: level 0's corner, or that of the scanned area
NO_GROUP = "none"  # the name that stands for marks without a group
KEY = "key"  # the kind of a part of a JSON document that holds no marks
FREE = "*"  # of XML: elements that stand in one whose content is not read


class Malformed(ValueError):
    """The sentence says what is wrong with the file."""


@dataclass(frozen=True)
class Mark:
    """One annotation of a file, or one part of it.

    Attributes:
        name: the annotation's name, for messages.
        groups: names that say what it is, nearest first: its group, then the groups around that one.
        kind: the file's own word for its shape, such as Polygon, Dot or LineString.
        rings: of an area: its outer ring, then the holes of this area alone; of a line: its points. Pairs of x, y as
            written, in level-0 px: numbers are not checked here.
        cut_out: the file says by itself that the inside is not part of its group (ImageScope's NegativeROA).
        neither: why the mark is no outline, where its file says so.
        label: the group for messages, where it is not that of `groups`.
    """

    name: str
    groups: tuple[str, ...]
    kind: str = "Polygon"
    shape: Shape = "area"
    rings: list[Any] = field(default_factory=list)
    cut_out: bool = False
    neither: str | None = None
    label: str | None = None

    @property
    def group(self) -> str:
        """The mark's group and those around it, for messages."""
        return self.label or " in ".join(self.groups)

    def title(self) -> str:
        """Returns the mark's name, kind and groups, as messages name it."""
        return f"{self.name} ({self.kind}, group {self.group})"


class Budget:
    """Counts a file's marks and points while it is read. Reading stops at the limit, before memory fills."""

    def __init__(self, marks: int, points: int) -> None:
        self.most_marks, self.most_points = marks, points
        self.marks = self.points = 0

    def add_mark(self) -> None:
        """Raises Malformed when the file has more marks than allowed."""
        self.marks += 1
        if self.marks > self.most_marks:
            raise Malformed(f"the annotation has more outlines than allowed; {self.most_marks} is the most")

    def add_points(self, count: int = 1) -> None:
        """Raises Malformed when the file has more points than allowed."""
        self.points += count
        if self.points > self.most_points:
            raise Malformed(f"the outlines have more vertices than allowed; {self.most_points} is the most")
