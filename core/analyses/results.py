"""What an analysis has computed so far: progress, planes of values, results."""

from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.database.analyses import Analysis, Work
from core.database.transactions import clock
from core.errors import Conflict, Withheld
from core.heatmap import grid
from core.heatmap import planes as heatmap
from core.pixels.levels import SlideInfo

Plane = Literal["values", "strangeness"]


def progress(session: Session, analysis: Analysis) -> dict[str, Any]:
    """Parts done and in all, and the seconds left at the pace so far (None before there is one)."""
    kinds = select(Work.state, func.count()).where(Work.analysis_id == analysis.id, Work.kind.in_(("band", "check")))
    counts = {row[0]: int(row[1]) for row in session.execute(kinds.group_by(Work.state))}
    done, total = counts.get("done", 0), sum(counts.values())
    left = None
    if analysis.state == "running" and analysis.started_at is not None and done:
        left = (clock(session) - analysis.started_at) / done * (total - done)
    return {"done": done, "total": total, "seconds_left": left}


def band_rows(session: Session, analysis_id: str) -> list[Work]:
    query = select(Work).where(Work.analysis_id == analysis_id, Work.kind == "band", Work.state == "done")
    return list(session.scalars(query.order_by(Work.ordinal)))


def plane(session: Session, analysis: Analysis, info: SlideInfo, name: Plane = "values") -> heatmap.Values:
    """A float32 plane of the grid, assembled of what is done so far; all NaN where this network makes no such plane."""
    parts = [(grid.Band(**row.payload), getattr(row, name)) for row in band_rows(session, analysis.id)]
    known = [(band, blob) for band, blob in parts if blob is not None]
    return heatmap.assemble(grid.grid_shape(info.frame()), known)


def require_results(analysis: Analysis) -> dict[str, Any]:
    """The results of a succeeded analysis.

    Raises:
        Conflict: it has not succeeded. Withheld: it has, and its results must not be shown.
    """
    if analysis.state != "succeeded":
        raise Conflict("no-results-yet", f"the analysis is {analysis.state}", "wait until it has succeeded")
    if analysis.withheld is not None:
        raise Withheld("withheld", f"the results are withheld: {analysis.withheld['detail']}", "see the analysis")
    return dict(analysis.results or {})
