"""The audit: who did what, when, from where. For administrators, and nothing there can be changed."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.contract.people import AuditCheck, AuditPage, AuditRow
from api.request.trail import Told
from api.request.transactions import Read
from api.request.visitor import Admin
from core.access import audit

router = APIRouter(prefix="/audit", tags=["audit"])


@router.get("")
def listed(
    session: Read,
    visitor: Admin,
    told: Told,
    cursor: Annotated[int | None, Query(ge=1, description="of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = audit.PAGE,
) -> AuditPage:
    """What was done in the workspace, newest first. Reading it is written down, too."""
    told.viewed(session, "audit.view", visitor.workspace_id)
    found = audit.list_rows(session, visitor, cursor, limit + 1)
    more = found[limit - 1].number if len(found) > limit else None
    return AuditPage(rows=[AuditRow.of(row) for row in found[:limit]], next_cursor=more)


@router.get("/check")
def check(session: Read, visitor: Admin) -> AuditCheck:
    """Walk the whole chain of hashes: does every row stand as it was written?"""
    broken = audit.verify(session, visitor.workspace_id)
    return AuditCheck(holds=broken is None, broken_at=broken.number if broken else None)
