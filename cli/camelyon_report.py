"""What became of each file of an evaluation's folders, and the printed evaluation."""

import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from cli.camelyon_folder import Join

NO_SLIDE = "no slide has this name"
UNMATCHED = (
    "no outlines have its name, and there are outlines without a slide or files that are not read"
    " (--without-outlines says what it is)"
)


@dataclass
class Report:
    """Every file of both folders stands in one of these.

    Attributes:
        analyses: {slide: id of its analysis}, those that are evaluated.
        outlines: {slide: its outlines}.
        free: slides without outlines that count as free of tumour.
        not_evaluated: {slide: why it is no part of the evaluation}.
        unmatched_outlines: {outlines: why they have no slide}.
        unmatched_names: names of the --ignore file that fit no slide.
        unread: {path: why it is not read, though it may be outlines or a slide}.
        left_out: {path: why it is neither a slide nor outlines}.
        ignored_marks: {outlines: marks of theirs that are no outlines}.
    """

    analyses: dict[str, str] = field(default_factory=dict)
    outlines: dict[str, str] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)
    not_evaluated: dict[str, str] = field(default_factory=dict)
    unmatched_outlines: dict[str, str] = field(default_factory=dict)
    unmatched_names: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    ignored_marks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def from_join(cls, joined: Join, unread: dict[str, str], left_out: dict[str, str]) -> "Report":
        """Returns the report of a join, before anything is sent."""
        lone = {path.name: NO_SLIDE for path in joined.lone_outlines}
        unclear = {path.name: reason for path, reason in joined.unclear_outlines.items()}
        return cls(
            outlines={slide.name: path.name for slide, path in joined.pairs},
            not_evaluated={slide.name: reason for slide, reason in joined.unclear_slides.items()},
            unmatched_outlines={**lone, **unclear},
            unread=unread,
            left_out=left_out,
        )

    @property
    def is_complete(self) -> bool:
        """Whether every slide was evaluated and every outlines file and name of a list has its slide."""
        return not (self.not_evaluated or self.unmatched_outlines or self.unmatched_names or self.unread)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def print_left_out(self) -> None:
        """Prints the files that are neither slides nor outlines."""
        _print_list("Left out, neither slides nor outlines:", self.left_out)

    def print_free(self) -> None:
        """Prints which slides have no outlines and count as free of tumour."""
        _print_list("Free of tumour, since they have no outlines:", dict.fromkeys(self.free, ""))

    def print_ignored(self) -> None:
        """Prints the marks of outlines files that are no outlines."""
        for name, marks in self.ignored_marks.items():
            reasons = {f"{mark['name']} ({mark['kind']}, group {mark['group']})": mark["reason"] for mark in marks}
            _print_list(f"Ignored in {name}:", reasons)

    def print_problems(self) -> None:
        """Prints what is not evaluated to standard error; the last line sums it up."""
        if self.is_complete:
            return
        _print_list("Not evaluated:", self.not_evaluated, sys.stderr)
        _print_list("Outlines without a slide:", self.unmatched_outlines, sys.stderr)
        _print_list("Not read, and may be outlines or slides:", self.unread, sys.stderr)
        _print_list("Names of --ignore that fit no slide:", dict.fromkeys(self.unmatched_names, ""), sys.stderr)
        counts = f"{len(self.analyses)} slides evaluated, {len(self.not_evaluated)} not evaluated"
        lone = f"{len(self.unmatched_outlines)} outlines files without a slide"
        unread = f"{len(self.unread)} files or folders not read"
        print(f"{counts}, {lone}, {unread}, {len(self.unmatched_names)} unknown names", file=sys.stderr)


def _print_list(title: str, reasons: dict[str, str], file: Any = None) -> None:
    """`file`: None for standard output, as it is at the time of the call."""
    if not reasons:
        return
    print(title, file=file)
    for name, reason in reasons.items():
        print(f"  {name}: {reason}" if reason else f"  {name}", file=file)


def print_evaluation(evaluation: dict[str, Any], analyses: dict[str, str]) -> None:
    """Prints the FROC table, slides that are no part of it, and every missed lesion.

    `analyses`: {file: id of its analysis}. The service may have the same file under another name.
    """
    figure, files = evaluation["figure"], {analysis_id: name for name, analysis_id in analyses.items()}
    print(f"mode {evaluation['mode']}, weights {evaluation['weights_sha256'][:12]}, {figure['slides']} slides,")
    print(f"{figure['lesions']} lesions ({figure['ignored_lesions']} too small to count)")
    for rate, sensitivity in figure["sensitivity_at"].items():
        print(f"  sensitivity at {rate:>4} false positives a slide  {sensitivity:.3f}")
    print(f"  FROC score (their mean)                    {figure['score']:.3f}")
    for slide in evaluation["slides"]:
        name = files[slide["analysis_id"]]
        if slide.get("left_out"):
            print(f"  no part of the figure: {name}, {slide['left_out']}")
        for miss in slide.get("misses", []):
            x, y = miss["centre_l0"]
            print(f"  missed: {name} at ({x:.0f}, {y:.0f}), {miss['major_axis_um']:.0f} µm long")
    print(evaluation["notice"])
