"""What is written into the audit, and when: before it is seen, or together with what it changes.

A change is told in its own transaction (`changed`), so that neither stands without the other. What leaves the service
is told in a transaction that ends before (`sent`, `viewed`): an audit that cannot be written blocks what it would tell
of. A view is a principal's first look at a thing in a quarter of an hour. Refusals are told once a minute for each
place, and so many a minute at most, so that nobody fills the disk by being refused.
"""

import logging
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from api.contract.calls import SAFE_METHODS, plain
from api.metrics import REFUSED
from api.request.visitor import Who
from core.access import audit
from core.access.visitor import Visitor
from core.database.record import DEFAULT_WORKSPACE
from core.database.transactions import reading, writing

VIEW_SECONDS = 900.0
DENIAL_SECONDS = 60.0
MOST_DENIALS = 20  # rows a minute of one principal, or of all that nobody knows
DENIED = "access.denied"
LONGEST_PLACE = 64
NOBODY = Visitor("", DEFAULT_WORKSPACE, "viewer", "nobody known")
log = logging.getLogger(__name__)


def origin_of(connection: HTTPConnection) -> str:
    """The network address that asks."""
    return connection.client.host if connection.client else ""


class Trail:
    """Writes down what a visitor does, from a network address."""

    def __init__(self, visitor: Visitor, origin: str) -> None:
        self._visitor, self._origin = visitor, origin

    def changed(self, session: Session, action: str, subject: str, **detail: Any) -> None:
        """In the transaction of the change, which must lock what it changes before."""
        audit.write(session, self._visitor, action, subject, self._origin, **detail)

    def sent(self, looked: Session, action: str, subject: str, **detail: Any) -> None:
        """Before something leaves the service. `looked`: the request's look at the database, which ends here: who waits
        for a connection holds none.
        """
        looked.commit()
        with writing() as session:
            audit.write(session, self._visitor, action, subject, self._origin, **detail)

    def viewed(self, looked: Session, action: str, subject: str) -> None:
        """Before something is shown, the first time in a quarter of an hour."""
        if not audit.count_recent(looked, self._visitor, action, VIEW_SECONDS, subject):
            self.sent(looked, action, subject)


def _of_request(visitor: Who, request: Request) -> Trail:
    return Trail(visitor, origin_of(request))


Told = Annotated[Trail, Depends(_of_request)]


def denied(visitor: Visitor | None, code: str, place: str, origin: str) -> None:
    """Somebody was refused. A refusal stands even where it cannot be written down."""
    who, subject = (visitor, place[:LONGEST_PLACE]) if visitor else (NOBODY, origin)
    REFUSED.labels(code).inc()
    try:
        with reading() as looked:
            told = audit.count_recent(looked, who, DENIED, DENIAL_SECONDS, subject)
            many = audit.count_recent(looked, who, DENIED, DENIAL_SECONDS) >= MOST_DENIALS
        if not told and not many:
            with writing() as session:
                audit.write(session, who, DENIED, subject, origin, code=code, place=place[:500])
    except (DBAPIError, PoolTimeout) as error:
        log.warning("a refusal (%s) was not written down: %s", code, type(error).__name__)


def denied_to(request: Request, code: str) -> None:
    """The same of a request; one that brought no proof at all was not refused anything."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    if visitor or "authorization" in request.headers or request.method not in SAFE_METHODS:
        denied(visitor, code, f"{request.method} {plain(request.scope['path'])}", origin_of(request))
    else:
        REFUSED.labels(code).inc()
