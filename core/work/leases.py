"""The law of the database row: work is a row, a worker holds it by a lease, and every write proves that it still does.

    open ──claim──▶ claimed ──complete──▶ done
      ▲                │ ├──reopen──▶ open
      └─ lease ran out ┘ └──too many attempts──▶ failed          cancelled: from open or claimed

A claim sets a lease by the database's clock and raises the row's token. Whoever writes names its token; a worker whose
lease ran out, or whose work was cancelled, finds another token there and writes nothing. So any number of workers may
be killed, stopped and woken, and each row is done once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select, update
from sqlalchemy.orm import Session

from core import logs
from core.database.analyses import Analysis, Work
from core.database.transactions import affected_rows, clock, now, reading, writing
from core.errors import QuarterturnError
from core.settings import get_settings

LANES = {"inspect": 0, "profile": 1, "finish": 2, "evaluate": 2, "check": 3, "band": 4}
UNFINISHED = ("open", "claimed")
UNPINNED = ("inspect", "profile")  # no part of an answer that must be of one fingerprint
NO_PLANES: Mapping[str, bytes] = MappingProxyType({})
CLAIM_TRIES = 20
LONGEST_PAUSE = 120.0


class LeaseLost(QuarterturnError):
    """The row is no longer this worker's: its lease ran out and another took it, or it was cancelled."""

    def __init__(self) -> None:
        super().__init__("lease-lost", "this work is no longer this worker's", "leave it to whoever has it")


@dataclass(frozen=True)
class Claim:
    """A row in hand. `token` proves it."""

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
    """A new open row in its lane."""
    row = Work(kind=kind, lane=LANES[kind], workspace_id=workspace_id, slide_id=slide_id, **fields)
    row.created_at, row.correlation = clock(session), logs.correlation()
    session.add(row)
    session.flush()
    return row


def _claimable() -> ColumnElement[bool]:
    waits = Work.lease_until >= now()  # a holder's lease, or the pause after a fault
    free = or_(Work.lease_until.is_(None), ~waits)
    return and_(Work.state.in_(UNFINISHED), free, Work.attempts < get_settings().max_attempts)


def _next(offers: Mapping[str, str]) -> Select[str, str | None, str, str | None]:
    same = or_(Analysis.fingerprint.is_(None), Analysis.fingerprint.in_(offers.values()), Work.kind.in_(UNPINNED))
    fits = or_(Work.analysis_id.is_(None), and_(Analysis.model.in_(offers), same))
    query = select(Work.id, Work.analysis_id, Work.kind, Analysis.model)
    query = query.outerjoin(Analysis, Work.analysis_id == Analysis.id).where(_claimable(), fits)
    return query.order_by(Work.lane, Work.created_at, Work.ordinal).limit(1)


def claim_next(worker: str, offers: Mapping[str, str]) -> Claim | None:
    """The next row that this worker may do, now its own; None when there is none.

    The first claim of an analysis pins its fingerprint: from then on only workers that would compute bit for bit the
    same may claim its rows.

    Args:
        offers: the models that the worker can run, each with its fingerprint.
    """
    for _ in range(CLAIM_TRIES):
        with writing() as session:
            found = session.execute(_next(offers)).first()
            if found is None:
                return None
            work_id, analysis_id, kind, model = found
            mine = model is None or kind in UNPINNED or _pin(session, analysis_id, offers[model])
            row = _take(session, work_id, worker) if mine else None
            if row is not None:
                return _as_claim(row, model)
    return None


def _pin(session: Session, analysis_id: str | None, fingerprint: str) -> bool:
    """Whether the analysis is, or now becomes, of this fingerprint."""
    if analysis_id is None:
        return True
    mine = select(Analysis.fingerprint).where(Analysis.id == analysis_id)
    pinned = session.execute(mine.with_for_update(key_share=True)).scalar_one()  # nobody restarts it meanwhile
    if pinned is not None:
        return bool(pinned == fingerprint)
    query = update(Analysis).where(Analysis.id == analysis_id, Analysis.fingerprint.is_(None))
    return bool(affected_rows(session, query.values(fingerprint=fingerprint)))


def _take(session: Session, work_id: str, worker: str) -> Work | None:
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
    """The claimed row, as long as it is the claimant's."""
    return and_(Work.id == claim.id, Work.token == claim.token, Work.state == "claimed")


def renew(claim: Claim) -> bool:
    """Extend the lease; False when the row is no longer this worker's."""
    with writing() as session:
        lease = now() + get_settings().lease_seconds
        return bool(affected_rows(session, update(Work).where(claim_condition(claim)).values(lease_until=lease)))


def is_current(claim: Claim) -> bool:
    """Whether the row is still this worker's: a look, no write."""
    with reading() as session:
        return session.execute(select(Work.id).where(claim_condition(claim))).first() is not None


def complete(
    session: Session, claim: Claim, result: dict[str, Any] | None = None, planes: Mapping[str, bytes] = NO_PLANES
) -> None:
    """Mark the row done with what came of it, in the caller's transaction.

    Args:
        planes: packed values of a band's cells, by the name of their column.

    Raises:
        LeaseLost: the row is no longer this worker's; the caller's transaction must not commit.
    """
    done = {"state": "done", "result": result, "lease_until": None, "done_at": now(), "reason": None}
    if not affected_rows(session, update(Work).where(claim_condition(claim)).values(**done, **planes)):
        raise LeaseLost


def reopen(claim: Claim, reason: dict[str, Any]) -> None:
    """Open the row again after a fault, to be claimed after a pause that doubles with every attempt.

    It keeps its count of attempts; nothing happens when it is no longer claimed.
    """
    pause = min(LONGEST_PAUSE, get_settings().retry_seconds * 2.0 ** (claim.attempts - 1))
    with writing() as session:
        back = {"state": "open", "lease_until": now() + pause, "reason": reason}
        session.execute(update(Work).where(claim_condition(claim)).values(**back))


def release_all(worker: str) -> None:
    """A worker that ends in good order gives back what it holds, without counting the attempt."""
    with writing() as session:
        mine = update(Work).where(Work.worker == worker, Work.state == "claimed")
        session.execute(mine.values(state="open", lease_until=None, token=Work.token + 1, attempts=Work.attempts - 1))


def cancel_all(session: Session, *conditions: ColumnElement[bool]) -> None:
    """Cancel unfinished rows; the raised token shuts out whoever holds one."""
    query = update(Work).where(Work.state.in_(UNFINISHED), *conditions)
    session.execute(query.values(state="cancelled", token=Work.token + 1, lease_until=None, done_at=now()))


def _is_exhausted() -> ColumnElement[bool]:
    ended = or_(Work.state == "open", and_(Work.state == "claimed", Work.lease_until < now()))
    return and_(ended, Work.attempts >= get_settings().max_attempts)


def exhausted(session: Session) -> list[tuple[str, str | None]]:
    """(id, analysis id) of rows that were claimed as often as allowed and are not done: a look."""
    return [(row[0], row[1]) for row in session.execute(select(Work.id, Work.analysis_id).where(_is_exhausted()))]


def fail_exhausted(session: Session, work_id: str) -> Work | None:
    """Mark such a row failed; None when it is none any more. Lock its analysis's row first, when it has one."""
    query = update(Work).where(Work.id == work_id, _is_exhausted())
    failed = query.values(state="failed", token=Work.token + 1, lease_until=None, done_at=now()).returning(Work)
    return session.scalars(failed, execution_options={"synchronize_session": False}).first()


def claimable_count(most: int) -> int:
    """How many rows wait for a worker, counted up to `most`."""
    with reading() as session:
        return len(session.execute(select(Work.id).where(_claimable()).limit(most)).all())
