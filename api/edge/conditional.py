"""Answers 304 to a GET whose client has the content already, and keeps answers out of shared caches.

The tag is the content's own hash, so it can neither outlive a change nor differ between processes. It saves the
transfer; the request is still admitted, recorded and computed. Files carry tags of their own, and so do tiles
(api.tiles), which are not even read.
"""

import re

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract.calls import PREFIX
from api.contract.entity_tags import is_unmodified, tag_of

PRIVATE = "private, no-cache"  # stored by the browser alone, and used only after the service has confirmed it
OF_BODY = ("content-length", "content-type", "content-range")  # the others describe what the client has
RANGE = re.compile(rb"(?=.*\d)(\d{0,18})-(\d{0,18})")
LARGE = 1 << 20  # bytes from which hashing would hold the event loop for a millisecond or more


class ConditionalReads:
    """Adds ETag and Cache-Control to answers to GET that have none, and evaluates the conditions of the request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not is_read:
            await self.app(scope, receive, send)
            return
        headers = [field for field in scope["headers"] if field[0] != b"range" or _is_range(field[1])]
        await self.app({**scope, "headers": headers}, receive, _Answer(scope, send).send)


def _is_range(value: bytes) -> bool:
    """Whether a Range is one of bytes. Others are ignored (RFC 9110, section 14.2), which the framework answers 400."""
    unit, _, ranges = value.partition(b"=")
    pairs = [RANGE.fullmatch(part.strip()) for part in ranges.split(b",")]
    return unit.strip() == b"bytes" and all(
        match is not None and (not (match[1] and match[2]) or int(match[1]) <= int(match[2])) for match in pairs
    )


class _Answer:
    """Keeps the headers of an answer back until the first part of its body, whose hash they need."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._request, self._send = Headers(scope=scope), send
        self._is_api = scope["path"].startswith(f"{PREFIX}/")
        self._start: Message | None = None
        self._is_over = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._start is not None:
            start, self._start = self._start, None
            await self._answer(start, message)
        elif not self._is_over:
            await self._send(message)

    async def _begin(self, start: Message) -> None:
        start["headers"] = list(start["headers"])
        headers = MutableHeaders(raw=start["headers"])
        if self._is_api and start["status"] != 304:
            headers.setdefault("cache-control", PRIVATE)
        is_stream = headers.get("content-type", "").startswith("text/event-stream")
        if start["status"] in (200, 206) and not is_stream and "no-store" not in headers.get("cache-control", ""):
            self._start = start
        else:
            await self._send(start)

    async def _answer(self, start: Message, body: Message) -> None:
        headers = MutableHeaders(raw=start["headers"])
        if "etag" not in headers and not body.get("more_body"):
            content = body.get("body", b"")
            headers["etag"] = await to_thread.run_sync(tag_of, content) if len(content) >= LARGE else tag_of(content)
        if is_unmodified(self._request, headers):
            self._is_over = True
            for name in OF_BODY:
                del headers[name]
            start, body = {**start, "status": 304}, {"type": "http.response.body", "body": b""}
        await self._send(start)
        await self._send(body)
