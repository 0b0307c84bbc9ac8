"""The states of an analysis: one run of one network over one slide, on the rows of core.work.leases.

    queued ──first claim──▶ running ──finish──▶ succeeded (with results, which may be withheld)
      ▲                       │
      └──restart: no worker───┘

    queued or running ──cancel──▶ cancelled ──retry──▶ queued
    queued or running ──fail────▶ failed ─────retry──▶ queued

Every change of an analysis locks its row first, then its work: one order for all writers, so that no two wait for each
other.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from core.access import quotas
from core.analyses.mask import require_own_mask
from core.analyses.parts import PARTS, BandResult, CheckResult, band_result, band_rows
from core.analyses.results import Failure, Results, to_stored
from core.analyses.statements import Reason, Withheld
from core.database.analyses import Analysis, Work, Worker
from core.database.slides import Slide
from core.database.transactions import clock
from core.errors import Conflict
from core.settings import get_settings
from core.slides import catalog, scale
from core.work import leases

ACTIVE = quotas.UNDER_WAY


def lock(session: Session, analysis_id: str) -> Analysis:
    """The analysis's row, locked until the transaction ends."""
    # FOR NO KEY UPDATE: rows of work that refer to the analysis can be inserted and claimed meanwhile.
    query = select(Analysis).where(Analysis.id == analysis_id).with_for_update(key_share=True)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def complete_part(
    session: Session,
    claim: leases.Claim,
    result: BandResult | CheckResult,
    planes: Mapping[str, bytes] = leases.NO_PLANES,
) -> bool:
    """Mark a band or check done, and create the finish when it was the last. True when it was.

    Planes and state commit in one transaction, under the lock of the analysis: of two workers that end the last two
    parts at once, exactly one sees none left.

    Raises:
        LeaseLost: the row is no longer the claimant's.
    """
    assert claim.analysis_id is not None
    analysis = lock(session, claim.analysis_id)
    leases.complete(session, claim, to_stored(result), planes)
    return add_finish(session, analysis)


def add_finish(session: Session, analysis: Analysis) -> bool:
    """Create the finish when all parts are done and there is none. The analysis's row must be locked."""
    count = select(func.count()).select_from(Work).where(Work.analysis_id == analysis.id)
    if analysis.state != "running" or session.scalar(count.where(Work.kind == "finish")):
        return False
    parts = count.where(Work.kind.in_(PARTS))
    if not session.scalar(parts) or session.scalar(parts.where(Work.state != "done")):
        return False
    leases.add(session, "finish", analysis.workspace_id, analysis.slide_id, analysis_id=analysis.id)
    return True


def mark_running(session: Session, claim: leases.Claim, provenance: dict[str, Any]) -> None:
    """queued → running at the first claim of any of its rows. Does nothing when the claim is no longer current.

    A worker may have been suspended between its claim and this call. Meanwhile the analysis may have been restarted
    and claimed by a worker with another fingerprint, whose provenance must stay.
    """
    assert claim.analysis_id is not None
    lock(session, claim.analysis_id)  # before the claim is checked: a restart raises the token under this lock
    current = select(Work.id).where(leases.claim_condition(claim)).exists()
    query = update(Analysis).where(Analysis.id == claim.analysis_id, Analysis.state == "queued", current)
    session.execute(query.values(state="running", started_at=clock(session), provenance=provenance))


def succeed(session: Session, claim: leases.Claim, results: Results, withheld: Withheld | None) -> None:
    """Mark the finish done and store the results.

    Raises:
        LeaseLost: the row is no longer the claimant's.
    """
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
    """Cancel an active analysis, and raise every row's token so that late writes are fenced off.

    Cancelling twice is no error.

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
    """Start a failed or cancelled analysis again. Parts that are done and read whole stay done.

    Raises:
        Conflict: it is neither, or its slide has another scale or another mask now.
        TooMany: its principal has as many active analyses as its quota allows.
    """
    unlocked = session.get_one(Analysis, analysis_id)  # names the slide, which is locked before its analyses
    quotas.require_analysis_quota(session, unlocked.created_by)
    slide = session.get_one(Slide, unlocked.slide_id)
    catalog.lock(session, slide)
    analysis = lock(session, analysis_id)
    if analysis.state not in ("failed", "cancelled"):
        detail, action = f"the analysis is {analysis.state}", "retry analyses that failed or were cancelled"
        raise Conflict("nothing-to-retry", detail, action)
    scale.require_own_scale(analysis, slide)
    require_own_mask(analysis, slide)
    unfinished = or_(Work.state.in_(("failed", "cancelled")), Work.id.in_(_incomplete_bands(session, analysis)))
    rows = update(Work).where(Work.analysis_id == analysis.id, unfinished)
    fresh = {"state": "open", "attempts": 0, "reason": None, "done_at": None, "lease_until": None}
    # The raised token fences off a worker that still computes the last attempt.
    session.execute(rows.values(**fresh, token=Work.token + 1))
    _drop_early_finish(session, analysis)
    analysis.state, analysis.reason, analysis.ended_at = "queued", None, None
    return analysis


def _incomplete_bands(session: Session, analysis: Analysis) -> list[str]:
    """Ids of done bands with cells that were not read; of all bands where the finish missed scores without a reason."""
    every = analysis.reason is not None and analysis.reason["code"] == "no-finite-score"
    return [row.id for row in band_rows(session, analysis.id) if every or band_result(row).unreadable]


def _drop_early_finish(session: Session, analysis: Analysis) -> None:
    """Delete the finish while any part is open: a new one will be created after the last part."""
    of_analysis = Work.analysis_id == analysis.id
    # A finish that ran now would assemble the former values, or find bands without any.
    waiting = session.scalar(select(func.count()).where(of_analysis, Work.kind.in_(PARTS), Work.state != "done"))
    if waiting:
        session.execute(delete(Work).where(of_analysis, Work.kind == "finish"))


def restart(session: Session, analysis: Analysis) -> None:
    """Compute everything again: no worker of its fingerprint is left, and one answer never mixes two fingerprints.

    The analysis's row must be locked. One that ended meanwhile stays as it is.
    """
    if analysis.state not in ACTIVE:
        return
    # Rows that a person cancelled or that failed stay so: only the values computed under the former fingerprint go.
    unfailed = update(Work).where(Work.analysis_id == analysis.id, Work.state.in_(("open", "claimed", "done")))
    fresh = {"state": "open", "attempts": 0, "result": None, "lease_until": None, "done_at": None}
    empty = {"values": None, "strangeness": None}
    session.execute(unfailed.where(Work.kind.in_(PARTS)).values(**fresh, **empty, token=Work.token + 1))
    _drop_early_finish(session, analysis)
    # Unpinned: the next claim pins the fingerprint of whichever worker makes it.
    analysis.fingerprint, analysis.provenance = None, None
    analysis.state, analysis.started_at = "queued", None


def stranded(session: Session) -> list[str]:
    """Active analyses whose fingerprint no live worker has, while a live worker offers their model."""
    # A model that no live worker offers is left alone: its worker may only be restarting.
    silent_since = clock(session) - get_settings().repin_seconds
    fingerprints = select(Worker.fingerprint).where(Worker.seen_at > silent_since)
    models = select(Worker.model).where(Worker.seen_at > silent_since)
    pinned = select(Analysis.id).where(Analysis.state.in_(ACTIVE), Analysis.fingerprint.is_not(None))
    return list(session.scalars(pinned.where(Analysis.fingerprint.notin_(fingerprints), Analysis.model.in_(models))))


def unfinished(session: Session) -> list[str]:
    """Running analyses without a finish. `add_finish` decides under the lock whether one is due."""
    has_finish = select(Work.analysis_id).where(Work.kind == "finish", Work.analysis_id.is_not(None))
    return list(session.scalars(select(Analysis.id).where(Analysis.state == "running", Analysis.id.notin_(has_finish))))
