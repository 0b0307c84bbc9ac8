"""Rejects cross-origin writes that rely on a cookie."""

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.contract.calls import SAFE_METHODS
from api.contract.problems import problem
from core.settings import get_settings


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
