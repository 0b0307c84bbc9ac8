"""Authenticates the visitor of a request, and checks the scope and role that its call needs."""

import contextlib
import threading
from typing import Annotated
from urllib.parse import quote

from cachetools import TTLCache
from fastapi import Depends, Header, Request
from sqlalchemy.exc import DBAPIError

from api.contract import calls
from api.contract.calls import Call
from core.access import credentials, visitor
from core.access.visitor import Kind
from core.database.transactions import reading
from core.errors import Unauthenticated
from core.settings import get_settings

_recorded_uses: TTLCache[str, bool] = TTLCache(4096, 60.0)
_principals: TTLCache[str, str] = TTLCache(4096, 600.0)
_lock = threading.Lock()


def cookie_name() -> str:
    """The session cookie. `__Host-` binds it to this host (RFC 6265bis); browsers accept that over TLS only.

    `__Host-` needs Path=/, so services under several prefixes of one host tell their cookies apart by name.
    """
    settings = get_settings()
    name = "quarterturn" + quote(settings.prefix()).replace("/", "-")
    return f"__Host-{name}" if settings.base_url().startswith("https://") else name


def secret_of(authorization: str | None, cookie: str | None) -> tuple[str, Kind]:
    """The secret in a request's headers and its kind: a bearer key before a session's cookie.

    Raises:
        Unauthenticated: there is neither.
    """
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer" and value:
            return value.strip(), "key"
    if cookie:
        return cookie, "session"
    raise Unauthenticated(
        "not-signed-in", "no API key and no session came with the request", "send Authorization: Bearer"
    )


def _secret_of_request(request: Request) -> tuple[str, Kind]:
    return secret_of(request.headers.get("authorization"), request.cookies.get(cookie_name()))


def authenticate(request: Request) -> visitor.Visitor:
    """The visitor of a request, looked up once a request. It checks neither scope nor role: `admit` does.

    Raises:
        Unauthenticated: no valid secret came.
    """
    cached: visitor.Visitor | None = getattr(request.state, "visitor", None)
    if cached is not None:
        return cached
    secret, kind = _secret_of_request(request)
    with reading() as session:
        # Set before any check of scope or role: a refusal is audited under the visitor's own name.
        request.state.visitor = principal = credentials.authenticate(session, secret, kind)
    with _lock:
        _principals[credentials.secret_hash(secret)] = principal.principal_id
    _record_use(secret)
    return principal


def admit(request: Request, call: Call) -> visitor.Visitor:
    """The visitor of a request, if the call is open to it.

    Raises:
        Unauthenticated: no valid secret came. Forbidden: the scope or the role does not cover this call.
    """
    principal = authenticate(request)
    principal.require_scope(call.scope)
    principal.require(call.role)
    return principal


def is_still_authenticated(request: Request) -> bool:
    """Whether the secret of a long answer's request is still valid."""
    try:
        with reading() as session:
            credentials.authenticate(session, *_secret_of_request(request))
    except Unauthenticated:
        return False
    return True


def cached_principal_id(request: Request) -> str:
    """Cached principal id, for rate limiting only; not authentication. Empty when the secret is not cached."""
    try:
        secret, _ = _secret_of_request(request)
    except Unauthenticated:
        return ""
    with _lock:
        return _principals.get(credentials.secret_hash(secret), "")


def _record_use(secret: str) -> None:
    """Records a key's use, once a minute in each process. A full disk must not keep visitors out."""
    hashed = credentials.secret_hash(secret)
    with _lock:
        if hashed in _recorded_uses:
            return
        _recorded_uses[hashed] = True
    with contextlib.suppress(DBAPIError):
        credentials.record_use(secret)


def _visitor(request: Request, authorization: Annotated[str | None, Header()] = None) -> visitor.Visitor:
    """`authorization` stands here for the OpenAPI document; `authenticate` reads the request itself."""
    return admit(request, calls.of_route(request.scope))


Visitor = Annotated[visitor.Visitor, Depends(_visitor)]
