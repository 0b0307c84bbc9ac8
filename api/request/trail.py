"""Writes the audit trail of requests. The table of calls names the action.

A change is recorded in its own transaction, so that neither exists without the other. A view or an export is recorded
in a transaction that commits before anything leaves the service: when the audit cannot be written, nothing is shown. A
view is recorded once in 15 minutes for a principal and an object. Refusals are recorded once a minute for each
address of a call, and at most MOST_DENIALS a minute, so that refused requests cannot fill the disk.
"""

import logging
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from api.contract import calls
from api.contract.calls import SAFE_METHODS, Call, plain
from api.metrics import REFUSED
from api.request.visitor import Visitor
from core.access import audit, visitor
from core.database.record import DEFAULT_WORKSPACE
from core.database.transactions import reading, writing

VIEW_SECONDS = 900.0
DENIAL_SECONDS = 60.0
MOST_DENIALS = 20  # rows a minute of one principal, or of all unauthenticated requests together
DENIED = "access.denied"
LONGEST_SUBJECT = 64
NOBODY = visitor.Visitor("", DEFAULT_WORKSPACE, "viewer", "nobody known")
log = logging.getLogger(__name__)


def origin_of(connection: HTTPConnection) -> str:
    """The network address of the client."""
    return connection.client.host if connection.client else ""


class AuditTrail:
    """Records what a visitor does by one call, from a network address."""

    def __init__(self, principal: visitor.Visitor, origin: str, call: Call) -> None:
        self._visitor, self._origin, self._call = principal, origin, call

    @classmethod
    def of_request(cls, principal: visitor.Visitor, request: Request) -> "AuditTrail":
        """Raises NotFound where the table does not name the route: an action without a name is not carried out."""
        return cls(principal, origin_of(request), calls.of_route(request.scope))

    def changed(self, session: Session, subject: str, **detail: Any) -> None:
        """Records the change in its own transaction, which must have locked what it changes before."""
        audit.write(session, self._visitor, self._call.change, subject, self._origin, **detail)

    def exported(self, session: Session, subject: str, **detail: Any) -> None:
        """Records an export. Call it before the data leaves.

        Args:
            session: the request's own read transaction. It ends here, so that a request that waits for a second
                connection does not hold the first: else as many requests as the pool is large lock each other out.
        """
        self._record_apart(session, self._call.export, subject, **detail)

    def viewed(self, session: Session, subject: str) -> None:
        """Records a view, unless this principal viewed the same in the last 15 minutes. `session` as for `exported`."""
        if not audit.count_recent(session, self._visitor, self._call.view, VIEW_SECONDS, subject):
            self._record_apart(session, self._call.view, subject)

    def _record_apart(self, session: Session, action: str, subject: str, **detail: Any) -> None:
        session.commit()
        with writing() as own:
            audit.write(own, self._visitor, action, subject, self._origin, **detail)


def _trail(principal: Visitor, request: Request) -> AuditTrail:
    return AuditTrail.of_request(principal, request)


Trail = Annotated[AuditTrail, Depends(_trail)]


def record_denial(principal: visitor.Visitor | None, code: str, place: str, origin: str) -> None:
    """Records a refusal. When it cannot be recorded, the request is refused all the same.

    Args:
        place: method and path of the call, as `plain` gives it: without names from the client.
    """
    recorded, subject = (principal, place[:LONGEST_SUBJECT]) if principal else (NOBODY, origin)
    REFUSED.labels(code).inc()
    try:
        with reading() as session:
            repeated = audit.count_recent(session, recorded, DENIED, DENIAL_SECONDS, subject)
            too_many = audit.count_recent(session, recorded, DENIED, DENIAL_SECONDS) >= MOST_DENIALS
        if not repeated and not too_many:
            with writing() as session:
                audit.write(session, recorded, DENIED, subject, origin, code=code, place=place[:500])
    except (DBAPIError, PoolTimeout) as error:
        log.warning("refusal not recorded", extra={"fields": {"code": code, "error": type(error).__name__}})


def record_denied_request(request: Request, code: str) -> None:
    """Records the refusal of a request. A read without any credential is only counted: each visit starts with one."""
    principal: visitor.Visitor | None = getattr(request.state, "visitor", None)
    if principal or "authorization" in request.headers or request.method not in SAFE_METHODS:
        record_denial(principal, code, f"{request.method} {plain(request.scope['path'])}", origin_of(request))
    else:
        REFUSED.labels(code).inc()
