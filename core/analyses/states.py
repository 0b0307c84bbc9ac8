"""Analyses: one run of one network over one slide, from request to result, on the rows of core.work.leases.

Every change of an analysis locks its row first, then its work: one order, so that nobody waits in a circle.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from core.access import quotas
from core.access.credentials import Visitor
from core.analyses import cards
from core.database.record import Analysis, Slide, Work, Worker
from core.database.transactions import clock
from core.errors import Conflict, Foreign, Invalid, NotFound, Withheld
from core.heatmap import grid
from core.heatmap import planes as heatmap
from core.pixels import tissue
from core.reader.client import SlideInfo
from core.settings import get_settings
from core.slides import catalog
from core.work import leases

ACTIVE = quotas.UNDER_WAY
Plane = Literal["values", "strangeness"]
CHECKS = 3  # sampled regions of the rotation check


def find(session: Session, visitor: Visitor, analysis_id: str) -> Analysis:
    """An analysis of the visitor's workspace. Raises NotFound."""
    analysis = session.get(Analysis, analysis_id)
    if analysis is None or analysis.workspace_id != visitor.workspace_id:
        told = ("no-such-analysis", "there is no such analysis here", "see GET /api/v1/slides/ID/analyses")
        raise (Foreign if analysis else NotFound)(*told)
    catalog.find(session, visitor, analysis.slide_id)
    return analysis


def of_slide(session: Session, slide: Slide) -> list[Analysis]:
    """All analyses of a slide, newest first."""
    found = select(Analysis).where(Analysis.slide_id == slide.id)
    return list(session.scalars(found.order_by(Analysis.created_at.desc(), Analysis.id)))


def create(
    session: Session, slide: Slide, model: str | None, settings: dict[str, Any], created_by: str = ""
) -> Analysis:
    """Queue an analysis and all its work, in one transaction.

    Args:
        settings: tissue ("auto" or "all"), threshold (None: the card's), rotation_check (bool).
        created_by: the principal whose quota it counts against.

    Raises:
        Conflict: the slide is not ready. Invalid: it is coarser than the network. Unavailable: no worker.
        TooMany: the principal has as many under way as it may.
    """
    quotas.require_turn(session, created_by)
    catalog.lock(session, slide)
    if slide.state == "needs_input":
        raise Conflict("mpp-missing", "the slide needs its micrometres per pixel first", "PATCH the slide with mpp")
    frame = catalog.info_of(slide).frame()
    name = model or get_settings().model
    card = cards.card_of(session, name)
    threshold = card["threshold"] if settings.get("threshold") is None else settings["threshold"]
    analysis = Analysis(
        workspace_id=slide.workspace_id,
        slide_id=slide.id,
        model=name,
        settings={**settings, "threshold": threshold},
        created_by=created_by,
        created_at=clock(session),
    )
    session.add(analysis)
    session.flush()
    mask = cell_mask(slide, settings["tissue"])
    assert mask.shape == grid.grid_shape(frame)
    _add_work(session, analysis, mask)
    return analysis


def cell_mask(slide: Slide, choice: str) -> tissue.Mask:
    """The cells that are analysed: tissue, or all."""
    frame = catalog.info_of(slide).frame()
    shape = (frame.y.cells - 1, frame.x.cells - 1)
    blocks = np.frombuffer(slide.tissue or b"", np.uint8).reshape(shape).astype(bool)
    return tissue.cell_mask(blocks) if choice == "auto" else tissue.all_cells(blocks)


def _add_work(session: Session, analysis: Analysis, mask: tissue.Mask) -> None:
    pieces = list(grid.bands(mask, get_settings().regions_per_band))
    where = {"workspace_id": analysis.workspace_id, "slide_id": analysis.slide_id, "analysis_id": analysis.id}
    for ordinal, band in enumerate(pieces):
        leases.add(session, "band", **where, ordinal=ordinal, payload=band.to_dict())
    if pieces and analysis.settings["rotation_check"]:
        regions = [region for band in pieces for region in band.regions() if grid.has_tissue(mask, region)]
        for ordinal, place in enumerate(np.linspace(0, len(regions) - 1, min(CHECKS, len(regions))).astype(int)):
            region = grid.Band(**regions[place].__dict__).to_dict()
            leases.add(session, "check", **where, ordinal=ordinal, payload={**region, "seed": ordinal})
    if not pieces:
        leases.add(session, "finish", **where)


def lock(session: Session, analysis_id: str) -> Analysis:
    """The analysis's row, locked until the transaction ends."""
    query = select(Analysis).where(Analysis.id == analysis_id).with_for_update(key_share=True)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def complete_part(
    session: Session, held: leases.Claim, result: dict[str, Any], planes: Mapping[str, bytes] = leases.NO_PLANES
) -> bool:
    """A band or check is done; whoever sees none left creates the finish. True when it did.

    Raises:
        LeaseLost.
    """
    assert held.analysis_id is not None
    analysis = lock(session, held.analysis_id)
    leases.complete(session, held, result, planes)
    return add_finish(session, analysis)


def add_finish(session: Session, analysis: Analysis) -> bool:
    """Create the finish when all parts are done and nobody did. The analysis's row must be locked."""
    mine = select(func.count()).select_from(Work).where(Work.analysis_id == analysis.id)
    if analysis.state != "running" or session.scalar(mine.where(Work.kind == "finish")):
        return False
    parts = mine.where(Work.kind.in_(("band", "check")))
    if not session.scalar(parts) or session.scalar(parts.where(Work.state != "done")):
        return False
    leases.add(session, "finish", analysis.workspace_id, analysis.slide_id, analysis_id=analysis.id)
    return True


def started(session: Session, held: leases.Claim, provenance: dict[str, Any]) -> None:
    """The first claim of any of its rows: queued → running. Nothing when the row is no longer the claimant's."""
    assert held.analysis_id is not None
    lock(session, held.analysis_id)  # whoever restarts it takes the row away first
    still = select(Work.id).where(leases.is_held(held)).exists()
    query = update(Analysis).where(Analysis.id == held.analysis_id, Analysis.state == "queued", still)
    session.execute(query.values(state="running", started_at=clock(session), provenance=provenance))


def succeed(session: Session, held: leases.Claim, results: dict[str, Any], withheld: dict[str, Any] | None) -> None:
    """The finish is done. Raises LeaseLost."""
    assert held.analysis_id is not None
    analysis = lock(session, held.analysis_id)
    leases.complete(session, held)
    analysis.state, analysis.results, analysis.withheld = "succeeded", results, withheld
    analysis.ended_at = clock(session)


def fail(session: Session, analysis: Analysis, reason: dict[str, Any]) -> None:
    """End an active analysis as failed, with its reason."""
    if analysis.state in ACTIVE:
        analysis.state, analysis.reason, analysis.ended_at = "failed", reason, clock(session)
        leases.cancel_all(session, Work.analysis_id == analysis.id)


def cancel(session: Session, analysis_id: str) -> Analysis:
    """One transaction: cancelled, and every row's token raised. Cancelling twice is no error.

    Raises:
        Conflict: it ended otherwise.
    """
    analysis = lock(session, analysis_id)
    if analysis.state not in (*ACTIVE, "cancelled"):
        raise Conflict("analysis-ended", f"the analysis has {analysis.state} already", "nothing is left to cancel")
    if analysis.state in ACTIVE:
        analysis.state, analysis.ended_at = "cancelled", clock(session)
        leases.cancel_all(session, Work.analysis_id == analysis.id)
    return analysis


def retry(session: Session, analysis_id: str) -> Analysis:
    """A new start of a failed or cancelled analysis; what is done and could be read stays done.

    Raises:
        Conflict: it is neither. TooMany: its principal has as many under way as it may.
    """
    known = session.get_one(Analysis, analysis_id)
    quotas.require_turn(session, known.created_by)
    catalog.lock(session, session.get_one(Slide, known.slide_id))
    analysis = lock(session, analysis_id)
    if analysis.state not in ("failed", "cancelled"):
        raise Conflict(
            "nothing-to-retry", f"the analysis is {analysis.state}", "only failed and cancelled ones start anew"
        )
    unread = [row.id for row in band_rows(session, analysis.id) if (row.result or {}).get("unreadable")]
    stopped = or_(Work.state.in_(("failed", "cancelled")), Work.id.in_(unread))
    again = update(Work).where(Work.analysis_id == analysis.id, stopped)
    fresh = {"state": "open", "attempts": 0, "reason": None, "done_at": None, "lease_until": None}
    session.execute(again.values(**fresh, token=Work.token + 1))
    _drop_early_finish(session, analysis)
    analysis.state, analysis.reason, analysis.ended_at = "queued", None, None
    return analysis


def _drop_early_finish(session: Session, analysis: Analysis) -> None:
    """A finish waits for parts: with any part open again, a new one will be created after the last."""
    mine = Work.analysis_id == analysis.id
    waiting = session.scalar(select(func.count()).where(mine, Work.kind.in_(("band", "check")), Work.state != "done"))
    if waiting:
        session.execute(delete(Work).where(mine, Work.kind == "finish"))


def restart(session: Session, analysis: Analysis) -> None:
    """Forget all parts: no worker of its fingerprint is left, and parts of two kinds must not meet in one answer.

    The analysis's row must be locked; one that has ended meanwhile stays as it is.
    """
    if analysis.state not in ACTIVE:
        return
    everything = update(Work).where(Work.analysis_id == analysis.id, Work.state.in_(("open", "claimed", "done")))
    fresh = {"state": "open", "attempts": 0, "result": None, "lease_until": None, "done_at": None}
    empty = {"values": None, "strangeness": None}
    session.execute(everything.where(Work.kind.in_(("band", "check"))).values(**fresh, **empty, token=Work.token + 1))
    _drop_early_finish(session, analysis)
    analysis.fingerprint, analysis.provenance = None, None
    analysis.state, analysis.started_at = "queued", None


def stranded(session: Session) -> list[str]:
    """Active analyses that are pinned to a fingerprint of which no worker was heard for a while, while others live."""
    silent = clock(session) - get_settings().repin_seconds
    alive = select(Worker.fingerprint).where(Worker.seen_at > silent)
    able = select(Worker.model).where(Worker.seen_at > silent)
    found = select(Analysis.id).where(Analysis.state.in_(ACTIVE), Analysis.fingerprint.is_not(None))
    return list(session.scalars(found.where(Analysis.fingerprint.notin_(alive), Analysis.model.in_(able))))


def unfinished(session: Session) -> list[str]:
    """Running analyses that have no finish yet: the reconciler looks whether they need one."""
    has_finish = select(Work.analysis_id).where(Work.kind == "finish", Work.analysis_id.is_not(None))
    return list(session.scalars(select(Analysis.id).where(Analysis.state == "running", Analysis.id.notin_(has_finish))))


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


def add_profile(session: Session, analysis: Analysis, row: int, col: int) -> Work:
    """Score against angle at one cell: the row that is there already, or a new one.

    Raises:
        Invalid: the cell is outside the grid or was not analysed.
    """
    require_results(lock(session, analysis.id))
    info = catalog.info_of(session.get_one(Slide, analysis.slide_id))
    rows, cols = grid.grid_shape(info.frame())
    if not (0 <= row < rows and 0 <= col < cols) or not np.isfinite(plane(session, analysis, info)[row, col]):
        raise Invalid("no-such-cell", f"cell ({row}, {col}) was not analysed", "choose a cell with a score")
    ordinal = row * cols + col
    known = select(Work).where(Work.analysis_id == analysis.id, Work.kind == "profile", Work.ordinal == ordinal)
    where = {"analysis_id": analysis.id, "ordinal": ordinal, "payload": {"row": row, "col": col}}
    found = session.scalars(known).first()
    if found is None:
        return leases.add(session, "profile", analysis.workspace_id, analysis.slide_id, **where)
    if found.state in ("failed", "cancelled"):
        found.state, found.attempts, found.reason, found.token = "open", 0, None, found.token + 1
    return found
