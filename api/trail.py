"""What is written into the audit, and when: before it is seen, or together with what it changes.

A change is told in its own transaction (`changed`), so that neither stands without the other. What leaves the service
is told in a transaction that ends before (`sent`, `viewed`): an audit that cannot be written blocks what it would tell
of. A view is a principal's first look at a thing in a quarter of an hour; tiles are none. Refusals are told once a
minute for each place, so that nobody fills the disk by being refused.
"""

import logging
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from api.dependencies import Who
from api.metrics import REFUSED
from core import audit
from core.access import Visitor
from core.database import reading, writing
from core.records import DEFAULT_WORKSPACE

VIEW_SECONDS = 900.0
DENIAL_SECONDS = 60.0
LONGEST_PLACE = 64
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
NOBODY = Visitor("", DEFAULT_WORKSPACE, "viewer", "nobody known")
log = logging.getLogger(__name__)


def origin_of(connection: HTTPConnection) -> str:
    """The network address that asks."""
    return connection.client.host if connection.client else ""


class Trail:
    """Writes down what this request's visitor does."""

    def __init__(self, visitor: Who, request: Request) -> None:
        self._visitor, self._origin = visitor, origin_of(request)

    def changed(self, session: Session, action: str, subject: str, **detail: Any) -> None:
        """In the transaction of the change, which must lock what it changes before."""
        audit.write(session, self._visitor, action, subject, self._origin, **detail)

    def sent(self, action: str, subject: str, **detail: Any) -> None:
        """Before something leaves the service."""
        with writing() as session:
            audit.write(session, self._visitor, action, subject, self._origin, **detail)

    def viewed(self, action: str, subject: str) -> None:
        """Before something is shown, the first time in a quarter of an hour."""
        if not _lately(self._visitor, action, subject, VIEW_SECONDS):
            self.sent(action, subject)


def _lately(visitor: Visitor, action: str, subject: str, seconds: float) -> bool:
    with reading() as session:
        return audit.did_lately(session, visitor, action, subject, seconds)


Told = Annotated[Trail, Depends(Trail)]


def denied(visitor: Visitor | None, code: str, place: str, origin: str) -> None:
    """Somebody was refused. A refusal stands even where it cannot be written down."""
    who, subject = (visitor, place[:LONGEST_PLACE]) if visitor else (NOBODY, origin)
    try:
        if not _lately(who, "access.denied", subject, DENIAL_SECONDS):
            with writing() as session:
                audit.write(session, who, "access.denied", subject, origin, code=code, place=place[:500])
    except DBAPIError as error:
        log.warning("a refusal (%s) was not written down: %s", code, type(error).__name__)


def denied_to(request: Request, code: str) -> None:
    """The same of a request; one that brought no proof at all was not refused anything."""
    REFUSED.labels(code).inc()
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    if visitor or "authorization" in request.headers or request.method not in SAFE_METHODS:
        denied(visitor, code, f"{request.method} {request.url.path}", origin_of(request))
