"""The audit: append-only rows of who did what, when and from where, each sealed by a hash over it and the one before.

    hash = sha256(hash of the row before ‖ the row's content as canonical JSON)        one chain a workspace

A row that was changed, removed or inserted later breaks the chain from its place on. Rows are written in the
transaction of the action that they record, or before it, so an action that cannot be audited does not happen.
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
NO_SEAL = ""  # what the first row of a chain has before it


@dataclass(frozen=True)
class Break:
    """The first place where a chain is broken: the number of the row that is missing or was changed."""

    number: int


def seal(before: str, row: Audit) -> str:
    """Returns the hash of a row that follows a row with the hash `before`."""
    columns = (row.workspace_id, row.number, row.at, row.principal_id, row.who, row.action, row.subject, row.origin)
    # A JSON array, so that a value cannot be shifted into the next column without changing the hash.
    content = json.dumps([*columns, row.detail], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{before}{content}".encode()).hexdigest()


def write(session: Session, visitor: Visitor, action: str, subject: str, origin: str, **detail: Any) -> Audit:
    """Appends a row to the chain of the visitor's workspace.

    Args:
        action: what was done, such as `slide.label.reveal`.
        subject: the id of the object that it was done to.
        origin: the network address of the request; "" for a part of the service.
    """
    # Two writers would give two rows the same predecessor: the lock makes writers of one workspace take turns until
    # their transactions end. FOR NO KEY UPDATE: rows that only refer to the workspace need not wait.
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
    row.hash = seal(last.hash if last else NO_SEAL, row)
    session.add(row)
    session.flush()
    return row


def count_recent(session: Session, visitor: Visitor, action: str, seconds: float, subject: str | None = None) -> int:
    """Counts how often the visitor did something in the last `seconds`, to one subject or (None) to any."""
    mine = (Audit.workspace_id == visitor.workspace_id, Audit.principal_id == visitor.principal_id)
    query = select(func.count()).where(*mine, Audit.action == action, Audit.at > now() - seconds)
    return session.scalar(query if subject is None else query.where(Audit.subject == subject)) or 0


def list_rows(session: Session, visitor: Visitor, before: int | None = None, limit: int = PAGE) -> list[Audit]:
    """Returns rows of the visitor's workspace, newest first; with `before`, only those with a lower number."""
    query = select(Audit).where(Audit.workspace_id == visitor.workspace_id)
    if before is not None:
        query = query.where(Audit.number < before)
    return list(session.scalars(query.order_by(Audit.number.desc()).limit(limit)))


def newest_seal(session: Session, workspace_id: str) -> str:
    """Returns the hash of a workspace's newest row, which seals all rows before it; "" without a row.

    An operator stores it elsewhere, to see later whether rows were cut off the end (`contains_seal`).
    """
    query = select(Audit.hash).where(Audit.workspace_id == workspace_id).order_by(Audit.number.desc()).limit(1)
    return session.scalars(query).first() or NO_SEAL


def contains_seal(session: Session, workspace_id: str, seal: str) -> bool:
    """Whether a workspace's chain contains the row with this hash."""
    query = select(Audit.number).where(Audit.workspace_id == workspace_id, Audit.hash == seal)
    return session.scalars(query.limit(1)).first() is not None


def verify(session: Session, workspace_id: str) -> Break | None:
    """Recomputes a workspace's chain; returns the first place where it is broken, or None.

    Rows that are missing from the end leave no trace in the chain: compare a seal that was stored elsewhere.
    """
    before, expected = NO_SEAL, 1
    query = select(Audit).where(Audit.workspace_id == workspace_id).order_by(Audit.number)
    for row in session.scalars(query.execution_options(yield_per=1000)):  # a chain may be longer than memory
        if row.number != expected or row.hash != seal(before, row):
            return Break(expected)
        before, expected = row.hash, expected + 1
    return None
