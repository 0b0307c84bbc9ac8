"""Analyses: one run of one network over one slide, from request to result, on the rows of core.work.leases.

Every change of an analysis locks its row first, then its work: one order, so that nobody waits in a circle.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from core.access import quotas
from core.analyses.parts import PARTS, BandResult, CheckResult, band_result, band_rows
from core.analyses.results import Failure, Results, to_stored
from core.analyses.statements import Reason, Withheld
from core.database.analyses import Analysis, Work, Worker
from core.database.slides import Slide
from core.database.transactions import clock
from core.errors import Conflict
from core.settings import get_settings
from core.slides import catalog
from core.work import leases

ACTIVE = quotas.UNDER_WAY


def lock(session: Session, analysis_id: str) -> Analysis:
    """The analysis's row, locked until the transaction ends."""
    query = select(Analysis).where(Analysis.id == analysis_id).with_for_update(key_share=True)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def complete_part(
    session: Session,
    claim: leases.Claim,
    result: BandResult | CheckResult,
    planes: Mapping[str, bytes] = leases.NO_PLANES,
) -> bool:
    """A band or check is done; whoever sees none left creates the finish. True when it did.

    Raises:
        LeaseLost.
    """
    assert claim.analysis_id is not None
    analysis = lock(session, claim.analysis_id)
    leases.complete(session, claim, to_stored(result), planes)
    return add_finish(session, analysis)


def add_finish(session: Session, analysis: Analysis) -> bool:
    """Create the finish when all parts are done and nobody did. The analysis's row must be locked."""
    mine = select(func.count()).select_from(Work).where(Work.analysis_id == analysis.id)
    if analysis.state != "running" or session.scalar(mine.where(Work.kind == "finish")):
        return False
    parts = mine.where(Work.kind.in_(PARTS))
    if not session.scalar(parts) or session.scalar(parts.where(Work.state != "done")):
        return False
    leases.add(session, "finish", analysis.workspace_id, analysis.slide_id, analysis_id=analysis.id)
    return True


def started(session: Session, claim: leases.Claim, provenance: dict[str, Any]) -> None:
    """The first claim of any of its rows: queued → running. Nothing when the row is no longer the claimant's."""
    assert claim.analysis_id is not None
    lock(session, claim.analysis_id)  # whoever restarts it takes the row away first
    still = select(Work.id).where(leases.claim_condition(claim)).exists()
    query = update(Analysis).where(Analysis.id == claim.analysis_id, Analysis.state == "queued", still)
    session.execute(query.values(state="running", started_at=clock(session), provenance=provenance))


def succeed(session: Session, claim: leases.Claim, results: Results, withheld: Withheld | None) -> None:
    """The finish is done. Raises LeaseLost."""
    assert claim.analysis_id is not None
    analysis = lock(session, claim.analysis_id)
    leases.complete(session, claim)
    analysis.state, analysis.results = "succeeded", to_stored(results)
    analysis.withheld = None if withheld is None else to_stored(withheld)
    analysis.ended_at = clock(session)


def fail(session: Session, analysis: Analysis, reason: Reason | Failure) -> None:
    """End an active analysis as failed, with its reason."""
    if analysis.state in ACTIVE:
        analysis.state, analysis.reason, analysis.ended_at = "failed", to_stored(reason), clock(session)
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
    quotas.require_analysis_quota(session, known.created_by)
    catalog.lock(session, session.get_one(Slide, known.slide_id))
    analysis = lock(session, analysis_id)
    if analysis.state not in ("failed", "cancelled"):
        raise Conflict(
            "nothing-to-retry", f"the analysis is {analysis.state}", "only failed and cancelled ones start anew"
        )
    again_all = analysis.reason is not None and analysis.reason["code"] == "no-finite-score"
    unread = [row.id for row in band_rows(session, analysis.id) if again_all or band_result(row).unreadable]
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
    waiting = session.scalar(select(func.count()).where(mine, Work.kind.in_(PARTS), Work.state != "done"))
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
    session.execute(everything.where(Work.kind.in_(PARTS)).values(**fresh, **empty, token=Work.token + 1))
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
