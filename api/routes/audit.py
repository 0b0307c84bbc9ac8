"""The audit: who did what, when, from where. Read-only, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.contract.people import AuditCheck, AuditPage, AuditRow
from api.request.trail import Trail
from api.request.transactions import Read
from api.request.visitor import Visitor
from core.access import audit

router = APIRouter(prefix="/audit", tags=["audit"])


@router.get("")
def list_audit(
    session: Read,
    visitor: Visitor,
    trail: Trail,
    cursor: Annotated[int | None, Query(ge=1, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = audit.PAGE,
) -> AuditPage:
    """Returns the workspace's audit, newest first. Reading it is audited, too."""
    trail.viewed(session, visitor.workspace_id)
    rows = audit.list_rows(session, visitor, cursor, limit + 1)
    next_cursor = rows[limit - 1].number if len(rows) > limit else None
    return AuditPage(rows=[AuditRow.from_row(row) for row in rows[:limit]], next_cursor=next_cursor)


@router.get("/check")
def check_audit(session: Read, visitor: Visitor) -> AuditCheck:
    """Verifies the chain of hashes over all rows."""
    broken = audit.verify(session, visitor.workspace_id)
    return AuditCheck(holds=broken is None, broken_at=broken.number if broken else None)
