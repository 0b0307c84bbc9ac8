"""Who did what, when, from where: rows that are only ever added, each sealed by a hash over itself and the one before.

    hash = sha256(hash of the row before ‖ the row's content as canonical JSON)        one chain a workspace

A row that was changed, removed or put in later breaks the chain from its place on. Rows are written in the transaction
of what they tell of, or before it: what cannot be written down does not happen.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.access.visitor import Visitor
from core.database.people import Audit
from core.database.record import Workspace
from core.database.transactions import clock, now

PAGE = 100
BEGINNING = ""


@dataclass(frozen=True)
class Break:
    """Where a chain is broken first: the number that is missing, or whose row is not as it was written."""

    number: int


def seal(before: str, row: Audit) -> str:
    """The hash of a row that follows another."""
    told = (row.workspace_id, row.number, row.at, row.principal_id, row.who, row.action, row.subject, row.origin)
    content = json.dumps([*told, row.detail], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{before}{content}".encode()).hexdigest()


def write(session: Session, visitor: Visitor, action: str, subject: str, origin: str, **detail: Any) -> Audit:
    """Add a row to the visitor's chain; others wait until this transaction has ended.

    Args:
        action: what was done, such as `slide.label.reveal`.
        subject: the id of what it was done to.
        origin: the network address that the request came from.
    """
    session.execute(select(Workspace.id).where(Workspace.id == visitor.workspace_id).with_for_update(key_share=True))
    newest = select(Audit).where(Audit.workspace_id == visitor.workspace_id).order_by(Audit.number.desc()).limit(1)
    last = session.scalars(newest).first()
    row = Audit(
        workspace_id=visitor.workspace_id,
        number=last.number + 1 if last else 1,
        at=clock(session),
        principal_id=visitor.principal_id,
        who=visitor.name,
        action=action,
        subject=subject,
        origin=origin,
        detail=detail,
    )
    row.hash = seal(last.hash if last else BEGINNING, row)
    session.add(row)
    session.flush()
    return row


def count_recent(session: Session, visitor: Visitor, action: str, seconds: float, subject: str | None = None) -> int:
    """How often this principal did so within so many seconds; to one subject, or to any."""
    mine = (Audit.workspace_id == visitor.workspace_id, Audit.principal_id == visitor.principal_id)
    found = select(func.count()).where(*mine, Audit.action == action, Audit.at > now() - seconds)
    return session.scalar(found if subject is None else found.where(Audit.subject == subject)) or 0


def list_rows(session: Session, visitor: Visitor, before: int | None = None, limit: int = PAGE) -> list[Audit]:
    """Rows of the visitor's workspace, newest first, under a number."""
    found = select(Audit).where(Audit.workspace_id == visitor.workspace_id)
    if before is not None:
        found = found.where(Audit.number < before)
    return list(session.scalars(found.order_by(Audit.number.desc()).limit(limit)))


def newest_seal(session: Session, workspace_id: str) -> str:
    """The hash that seals all rows of a workspace: to be kept elsewhere. Empty without a row."""
    found = select(Audit.hash).where(Audit.workspace_id == workspace_id).order_by(Audit.number.desc()).limit(1)
    return session.scalars(found).first() or ""


def contains_seal(session: Session, workspace_id: str, seal: str) -> bool:
    """Whether the row that was the newest once is still there."""
    mine = select(Audit.number).where(Audit.workspace_id == workspace_id, Audit.hash == seal)
    return session.scalars(mine.limit(1)).first() is not None


def verify(session: Session, workspace_id: str) -> Break | None:
    """Walk a workspace's chain; the first place where it does not hold, or None.

    Rows that are missing from its end leave no trace: keep the newest row's hash elsewhere to see that.
    """
    before, expected = BEGINNING, 1
    found = select(Audit).where(Audit.workspace_id == workspace_id).order_by(Audit.number)
    for row in session.scalars(found.execution_options(yield_per=1000)):
        if row.number != expected or row.hash != seal(before, row):
            return Break(expected)
        before, expected = row.hash, expected + 1
    return None
