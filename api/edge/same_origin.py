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
    """Refuses a write without an API key whose Origin or Sec-Fetch-Site names another site, with 403.

    The second defence after the cookie's SameSite=Strict, which older browsers ignore. A request with an Authorization
    header passes: no browser adds one by itself.
    """

    def __init__(self, app: ASGIApp, record_denied: Callable[[Request, str], None]) -> None:
        self.app, self._record_denied = app, record_denied

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and _is_foreign(scope["headers"]):
            await to_thread.run_sync(self._record_denied, Request(scope), "cross-site-write")
            detail = "a page of another site may not change anything here"
            answer = problem(403, "cross-site-write", detail, "use the service's own pages or an API key")
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _is_foreign(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    fields = {name: value.decode("latin-1") for name, value in headers}
    if b"authorization" in fields:
        return False
    if fields.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = fields.get(b"origin")
    own = {fields.get(b"host", ""), urlsplit(get_settings().base_url()).netloc}
    return origin is not None and urlsplit(origin).netloc not in own
