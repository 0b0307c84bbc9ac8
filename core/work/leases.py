"""Leases: work is a row, a worker claims it for a time, and every later write proves the claim.

    open ──claim──▶ claimed ──complete──▶ done
      ▲                │ ├──reopen──▶ open
      └─ lease expired ┘ └──too many attempts──▶ failed          cancelled: from open or claimed

A claim sets a lease by the database's clock and raises the row's token (a fencing token). Every later write names the
token of its claim. A worker whose row was claimed again after its lease expired, or cancelled, finds another token and
writes nothing. So workers may be killed, stopped and resumed at any moment, and each row is completed once.

Every transaction locks in the same order, so that two cannot wait for each other: principal, slide, analysis, work
rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select, update
from sqlalchemy.orm import Session, aliased

from core import logs
from core.database.analyses import Analysis, Work
from core.database.transactions import affected_rows, clock, now, reading, writing
from core.errors import QuarterturnError
from core.settings import get_settings

# Rows of a lower lane are claimed first: what a person waits for comes before the bands of a running analysis.
LANES = {"inspect": 0, "profile": 1, "finish": 2, "evaluate": 2, "check": 3, "band": 4}
UNFINISHED = ("open", "claimed")
UNPINNED = ("inspect", "profile")  # kinds whose values do not enter a heat map: any fingerprint may compute them
NO_PLANES: Mapping[str, bytes] = MappingProxyType({})
CLAIM_TRIES = 20  # each lost race means that another worker made progress; the doorbell rings again after these
LONGEST_PAUSE = 120.0  # seconds
_inspection = aliased(Work)  # made once: its construction takes a third of a claim's time


class LeaseLost(QuarterturnError):
    """The claim is no longer valid: its lease expired and another worker claimed the row, or it was cancelled."""

    def __init__(self) -> None:
        super().__init__("lease-lost", "another worker has this work, or it was cancelled", "stop; write nothing")


@dataclass(frozen=True)
class Claim:
    """A claimed row. `token` proves the claim; `model` is that of its analysis."""

    id: str
    kind: str
    token: int
    attempts: int
    slide_id: str
    analysis_id: str | None
    ordinal: int
    payload: dict[str, Any]
    model: str | None = None
    correlation: str = ""


def add(session: Session, kind: str, workspace_id: str, slide_id: str, **fields: Any) -> Work:
    """Adds an open row, in the lane of its kind and with the correlation of the current request."""
    row = Work(kind=kind, lane=LANES[kind], workspace_id=workspace_id, slide_id=slide_id, **fields)
    row.created_at, row.correlation = clock(session), logs.correlation()
    session.add(row)
    session.flush()
    return row


def _claimable() -> ColumnElement[bool]:
    # A claimed row counts as free once its lease has expired: no process needs to notice that a worker died.
    waits = Work.lease_until >= now()  # of a claimed row: its lease; of an open one: its pause after a fault
    free = or_(Work.lease_until.is_(None), ~waits)
    # While a slide is inspected again, other work on it would fail and use up its attempts. The subquery names no
    # column of the row, so it runs once a query, and `work_to_claim` leads it to the few unfinished inspections.
    inspected_now = select(_inspection.slide_id).where(
        _inspection.state.in_(UNFINISHED), _inspection.lane == LANES["inspect"]
    )
    readable = or_(Work.kind == "inspect", Work.slide_id.notin_(inspected_now))
    return and_(Work.state.in_(UNFINISHED), free, Work.attempts < get_settings().max_attempts, readable)


def _next_row(offers: Mapping[str, str]) -> Select[str, str | None, str, str | None]:
    pinned = or_(Analysis.fingerprint.is_(None), Analysis.fingerprint.in_(offers.values()), Work.kind.in_(UNPINNED))
    fits = or_(Work.analysis_id.is_(None), and_(Analysis.model.in_(offers), pinned))
    query = select(Work.id, Work.analysis_id, Work.kind, Analysis.model)
    # Outer join: an inspection has no analysis.
    query = query.outerjoin(Analysis, Work.analysis_id == Analysis.id).where(_claimable(), fits)
    return query.order_by(Work.lane, Work.created_at, Work.ordinal).limit(1)


def claim_next(worker: str, offers: Mapping[str, str]) -> Claim | None:
    """Claims the next row that this worker may do; None when there is none.

    The first claim of an analysis pins its fingerprint: from then on only workers that compute bit for bit the same
    values may claim its rows.

    The row is chosen without a lock, and claimed by one UPDATE that repeats the condition. Of several workers that
    chose the same row one succeeds, and the others choose again.

    Args:
        worker: the name of the worker process.
        offers: the models that the worker can run, each with its fingerprint.
    """
    for _ in range(CLAIM_TRIES):
        with writing() as session:
            choice = session.execute(_next_row(offers)).first()
            if choice is None:
                return None
            work_id, analysis_id, kind, model = choice
            allowed = model is None or kind in UNPINNED or _pin(session, analysis_id, offers[model])
            row = _claim(session, work_id, worker) if allowed else None
            if row is not None:
                return _as_claim(row, model)
    return None


def _pin(session: Session, analysis_id: str | None, fingerprint: str) -> bool:
    """Whether the analysis is pinned to this fingerprint, by an earlier claim or by this one."""
    if analysis_id is None:
        return True
    query = select(Analysis.fingerprint).where(Analysis.id == analysis_id)
    # The lock excludes a restart, which removes the pin and opens all rows again. A row claimed during a restart would
    # mix two fingerprints in one answer.
    pinned = session.execute(query.with_for_update(key_share=True)).scalar_one()
    if pinned is not None:
        return bool(pinned == fingerprint)
    unpinned = update(Analysis).where(Analysis.id == analysis_id, Analysis.fingerprint.is_(None))
    return bool(affected_rows(session, unpinned.values(fingerprint=fingerprint)))


def _claim(session: Session, work_id: str, worker: str) -> Work | None:
    # The database's clock sets and compares every lease: clocks of workers may differ.
    lease = {"state": "claimed", "worker": worker, "lease_until": now() + get_settings().lease_seconds}
    count = {"token": Work.token + 1, "attempts": Work.attempts + 1}
    query = update(Work).where(Work.id == work_id, _claimable()).values(**lease, **count).returning(Work)
    return session.scalars(query, execution_options={"synchronize_session": False}).first()


def _as_claim(row: Work, model: str | None) -> Claim:
    ids = (row.slide_id, row.analysis_id)
    return Claim(
        row.id, row.kind, row.token, row.attempts, *ids, row.ordinal, dict(row.payload), model, row.correlation
    )


def claim_condition(claim: Claim) -> ColumnElement[bool]:
    """Returns the condition for the claimed row, which matches nothing once the claim is no longer valid."""
    return and_(Work.id == claim.id, Work.token == claim.token, Work.state == "claimed")


def renew(claim: Claim) -> bool:
    """Extends the lease; False when the claim is no longer valid."""
    with writing() as session:
        lease = now() + get_settings().lease_seconds
        # An expired lease may be renewed as long as no other worker has claimed the row: its token is unchanged.
        return bool(affected_rows(session, update(Work).where(claim_condition(claim)).values(lease_until=lease)))


def is_current(claim: Claim) -> bool:
    """Whether the claim is still valid, without extending it."""
    with reading() as session:
        return session.execute(select(Work.id).where(claim_condition(claim))).first() is not None


def complete(
    session: Session, claim: Claim, result: dict[str, Any] | None = None, planes: Mapping[str, bytes] = NO_PLANES
) -> None:
    """Marks the row done with its result, in the caller's transaction: result and state commit together.

    Args:
        result: JSON-ready values.
        planes: packed values of a band's cells, by the name of their column.

    Raises:
        LeaseLost: the claim is no longer valid, and the caller's transaction must be rolled back.
    """
    done = {"state": "done", "result": result, "lease_until": None, "done_at": now(), "reason": None}
    if not affected_rows(session, update(Work).where(claim_condition(claim)).values(**done, **planes)):
        raise LeaseLost


def reopen(claim: Claim, reason: dict[str, Any]) -> None:
    """Opens the row again after a fault; it can be claimed after a pause that doubles with every attempt.

    The attempt counts. Does nothing when the claim is no longer valid.
    """
    pause = min(LONGEST_PAUSE, get_settings().retry_seconds * 2.0 ** (claim.attempts - 1))
    with writing() as session:
        # The token stays: a claim that reopened its row matches nothing any more, since the row is no longer claimed.
        values = {"state": "open", "lease_until": now() + pause, "reason": reason}
        session.execute(update(Work).where(claim_condition(claim)).values(**values))


def release_all(worker: str) -> None:
    """Opens all rows that a worker has claimed, when it shuts down in order; the attempts do not count."""
    # The token rises, although no claim follows at once: a thread of this worker may still compute, and must not write.
    with writing() as session:
        mine = update(Work).where(Work.worker == worker, Work.state == "claimed")
        session.execute(mine.values(state="open", lease_until=None, token=Work.token + 1, attempts=Work.attempts - 1))


def cancel_all(session: Session, *conditions: ColumnElement[bool]) -> None:
    """Cancels unfinished rows; the raised token fences off workers that have claimed some of them."""
    query = update(Work).where(Work.state.in_(UNFINISHED), *conditions)
    session.execute(query.values(state="cancelled", token=Work.token + 1, lease_until=None, done_at=now()))


def _is_exhausted() -> ColumnElement[bool]:
    # A row in its last attempt is not exhausted while its lease runs: that attempt may succeed.
    unclaimed = or_(Work.state == "open", and_(Work.state == "claimed", Work.lease_until < now()))
    return and_(unclaimed, Work.attempts >= get_settings().max_attempts)


def exhausted(session: Session) -> list[tuple[str, str | None]]:
    """Returns (id, analysis id) of rows that were claimed as often as allowed and are not done. Takes no lock."""
    return [(row[0], row[1]) for row in session.execute(select(Work.id, Work.analysis_id).where(_is_exhausted()))]


def fail_exhausted(session: Session, work_id: str) -> Work | None:
    """Marks an exhausted row failed and returns it; None when it is no longer exhausted.

    The caller locks the row's analysis first, or the slide of a row without one (the order of locks, above).
    """
    exhausted_row = update(Work).where(Work.id == work_id, _is_exhausted())
    failed = exhausted_row.values(state="failed", token=Work.token + 1, lease_until=None, done_at=now()).returning(Work)
    return session.scalars(failed, execution_options={"synchronize_session": False}).first()


def claimable_count(limit: int) -> int:
    """Counts the rows that wait for a worker, up to `limit`."""
    with reading() as session:
        return len(session.execute(select(Work.id).where(_claimable()).limit(limit)).all())
