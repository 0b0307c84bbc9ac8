"""Pure ASGI layers: an id for every request, security headers on every answer, and the refusal of cross-site writes
that ride on a cookie.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract.problems import problem
from api.metrics import REQUESTS
from core import logs
from core.settings import get_settings

ID = re.compile(r"[0-9a-f]{16}([0-9a-f]{16})?(_files|\.dzi)?")
NUMBERS = re.compile(r"[0-9]{1,7}(_[0-9]{1,7}\.jpe?g)?")
WORDS = {  # of our routes
    "api", "v1", "analyses", "annotation", "audit", "cancel", "check", "docs", "evaluations", "events",
    "favicon.ico", "healthz", "heatmap", "heatmap.png", "inspect", "keys", "label", "libraries", "macro",
    "metrics", "models", "openapi.json", "password", "people", "profiles", "readyz", "regions", "regions.csv",
    "regions.geojson", "retry", "session", "slides", "static", "thumbnail", "tiles", "uploads",
}  # fmt: skip
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
log = logging.getLogger(__name__)
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class SecurityHeaders:
    """Adds the house's headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class Correlated:
    """Each request has an id, its caller's or one of ours: answered, logged, and kept with the work that it asks for.

    One line a request: no query, and of the path ids and our own words alone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        known, status, began = sent if REQUEST_ID.fullmatch(sent) else logs.new_correlation(), [0], time.monotonic()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", known.encode())]
            await send(message)

        with logs.correlated(known):
            try:
                await self.app(scope, receive, told)
            finally:
                if not status[0]:
                    status[0] = 500
                    log.error("a fault that nobody foresaw", exc_info=True)
                REQUESTS.labels(scope["method"], str(status[0])).inc()
                fields = {"method": scope["method"], "path": plain(scope["path"]), "status": status[0]}
                seconds = round(time.monotonic() - began, 4)
                log.info("request", extra={"fields": {**fields, "seconds": seconds, "visitor": _visitor_of(scope)}})


def plain(path: str) -> str:
    """Ids, numbers and our own words; whatever else somebody asked for is left out."""
    return "/".join(part if _is_plain(part) else "…" for part in path[:300].split("/"))


def _is_plain(part: str) -> bool:
    return not part or part in WORDS or bool(ID.fullmatch(part) or NUMBERS.fullmatch(part))


def _visitor_of(scope: Scope) -> str:
    visitor = scope.get("state", {}).get("visitor")
    return visitor.principal_id if visitor else ""


class SameOriginWrites:
    """A write that names no key must come from our own pages: its Origin, when it has one, is ours.

    With the cookie's SameSite=Strict these are two locks on one door. Programs with a key are no browsers and pass.
    `refused` is told of each.
    """

    def __init__(self, app: ASGIApp, refused: Callable[[Request, str], None]) -> None:
        self.app, self._refused = app, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and _is_foreign(scope["headers"]):
            await to_thread.run_sync(self._refused, Request(scope), "cross-site-write")
            detail = "a page of another site may not change anything here"
            answer = problem(403, "cross-site-write", detail, "use the service's own pages or an API key")
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _is_foreign(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    found = {name: value.decode("latin-1") for name, value in headers}
    if b"authorization" in found:
        return False
    if found.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = found.get(b"origin")
    ours = {found.get(b"host", ""), urlsplit(get_settings().base_url()).netloc}
    return origin is not None and urlsplit(origin).netloc not in ours
