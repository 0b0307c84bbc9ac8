"""The parts of an analysis that are done so far: progress, and the planes of values assembled from its bands."""

from typing import Any, Literal

from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.analyses.results import UnreadRegionImage
from core.analyses.statements import Value
from core.database.analyses import Analysis, Work
from core.database.transactions import clock
from core.heatmap import grid
from core.heatmap import planes as heatmap
from core.pixels.levels import SlideInfo

Plane = Literal["values", "strangeness"]
PARTS = ("band", "check")


class Progress(Value):
    """Parts done and in all, and the seconds left at the pace so far (None before there is one)."""

    done: int
    total: int
    seconds_left: float | None


class BandResult(Value):
    """What a band's row stores beside its planes: counts of tissue cells, and seconds by what they were spent on."""

    cells: int
    unreadable: int
    unread: tuple[UnreadRegionImage, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)


class CheckResult(Value):
    """The rotation check of one region, in logits; without elements and outside where the region was not read."""

    drift: float
    residual: float
    tolerance: float
    elements: tuple[str, ...]
    spread: float | None
    outside: tuple[str, ...]


class Profile(Value):
    """Score against angle (degrees) at the cell (row, col). `spread`: highest minus lowest score."""

    angles_deg: tuple[float, ...]
    scores: tuple[float, ...]
    row: int
    col: int
    spread: float


def progress(session: Session, analysis: Analysis) -> Progress:
    """How far the analysis is."""
    kinds = select(Work.state, func.count()).where(Work.analysis_id == analysis.id, Work.kind.in_(PARTS))
    counts = {row[0]: int(row[1]) for row in session.execute(kinds.group_by(Work.state))}
    done, total = counts.get("done", 0), sum(counts.values())
    left = None  # before the first part is done, any figure would be invented
    if analysis.state == "running" and analysis.started_at is not None and done:
        left = (clock(session) - analysis.started_at) / done * (total - done)
    return Progress(done=done, total=total, seconds_left=left)


def band_rows(session: Session, analysis_id: str) -> list[Work]:
    """The rows of bands that are done, in the grid's order."""
    query = select(Work).where(Work.analysis_id == analysis_id, Work.kind == "band", Work.state == "done")
    return list(session.scalars(query.order_by(Work.ordinal)))


def band_result(row: Work) -> BandResult:
    """What a done band's row says of its cells; also of a row stored before it said why regions were not read."""
    content: dict[str, Any] = row.result or {"cells": 0, "unreadable": 0}
    return BandResult.model_validate({"cells": 0, **content})  # the oldest rows count unreadable cells alone


def check_results(session: Session, analysis_id: str) -> list[CheckResult]:
    """What the checks that are done measured, in their order."""
    query = select(Work.result).where(Work.analysis_id == analysis_id, Work.kind == "check", Work.state == "done")
    return [CheckResult.model_validate(content) for content in session.scalars(query.order_by(Work.ordinal))]


def plane(session: Session, analysis: Analysis, info: SlideInfo, name: Plane = "values") -> heatmap.Values:
    """A float32 plane (rows, cols) of what is done so far; all NaN where this network makes no such plane."""
    parts = [(grid.Band(**row.payload), getattr(row, name)) for row in band_rows(session, analysis.id)]
    return heatmap.assemble(grid.grid_shape(info.frame()), [(band, blob) for band, blob in parts if blob is not None])
