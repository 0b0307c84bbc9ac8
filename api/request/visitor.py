"""What routes ask for: a transaction, and who is there."""

import contextlib
import threading
from typing import Annotated

from cachetools import TTLCache
from fastapi import Depends, Header, Request
from sqlalchemy.exc import DBAPIError

from api.contract.scopes import scope_of
from core.access import credentials
from core.access.visitor import Kind, Visitor
from core.database.transactions import reading
from core.errors import Unauthenticated
from core.settings import get_settings

_noted: TTLCache[str, bool] = TTLCache(4096, 60.0)
_principals: TTLCache[str, str] = TTLCache(4096, 600.0)
_lock = threading.Lock()


def cookie_name() -> str:
    """`__Host-` binds a cookie to this very host; browsers take it over TLS only."""
    return "__Host-quarterturn" if get_settings().base_url().startswith("https://") else "quarterturn"


def secret_of(authorization: str | None, cookie: str | None) -> tuple[str, Kind]:
    """The secret that a request carries. Raises Unauthenticated without one."""
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer" and value:
            return value.strip(), "key"
    if cookie:
        return cookie, "session"
    raise Unauthenticated(
        "not-signed-in", "no API key and no session came with the request", "send Authorization: Bearer"
    )


def _sent(request: Request) -> tuple[str, Kind]:
    """The secret that a request carries, and of which kind. Raises Unauthenticated."""
    return secret_of(request.headers.get("authorization"), request.cookies.get(cookie_name()))


def recognised(request: Request) -> Visitor:
    """Who sends a request; looked up once. Raises Unauthenticated, or Forbidden where a key is not for this call."""
    known: Visitor | None = getattr(request.state, "visitor", None)
    if known is None:
        secret, kind = _sent(request)
        with reading() as session:
            request.state.visitor = known = credentials.authenticate(session, secret, kind)
        with _lock:
            _principals[credentials.secret_hash(secret)] = known.principal_id
        _note_use(secret)
        known.require_scope(scope_of(request.method, request.scope["path"]))
    return known


def is_still_known(request: Request) -> bool:
    """Whether the secret that began a long answer still proves somebody."""
    try:
        with reading() as session:
            credentials.authenticate(session, *_sent(request))
    except Unauthenticated:
        return False
    return True


def known_principal(request: Request) -> str:
    """Whose secret a request carries, if it was recognised lately, or nothing. Proves nothing: for counting alone."""
    try:
        secret, _ = _sent(request)
    except Unauthenticated:
        return ""
    with _lock:
        return _principals.get(credentials.secret_hash(secret), "")


def _note_use(secret: str) -> None:
    """Once a minute in each process; a disk that is full keeps nobody out."""
    hashed = credentials.secret_hash(secret)
    with _lock:
        if hashed in _noted:
            return
        _noted[hashed] = True
    with contextlib.suppress(DBAPIError):
        credentials.record_use(secret)


def _visitor(request: Request, authorization: Annotated[str | None, Header()] = None) -> Visitor:
    return recognised(request)


Who = Annotated[Visitor, Depends(_visitor)]


def _analyst(visitor: Who) -> Visitor:
    visitor.require("analyst")
    return visitor


Analyst = Annotated[Visitor, Depends(_analyst)]


def _admin(visitor: Who) -> Visitor:
    visitor.require("admin")
    return visitor


Admin = Annotated[Visitor, Depends(_admin)]
