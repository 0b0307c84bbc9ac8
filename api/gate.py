"""Before the framework: how often, who, how much. Nobody unknown has a byte of a body read, and no body is endless.

FastAPI reads a body before it asks who sends it; here the order is the other way round. Small bodies are taken in whole
(a mebibyte, half a minute) and handed on; uploads and outlines stream through, and count their own bytes.
"""

import asyncio
import time
from dataclasses import dataclass, field

from anyio import to_thread
from cachetools import TTLCache
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import trail
from api.dependencies import recognised
from api.errors import from_error
from core.errors import Invalid, QuarterturnError, TooLarge, TooMany, Unauthenticated
from core.settings import get_settings

PREFIX = "/api/v1/"
SIGN_IN = "/api/v1/session"
STREAMED = ("/api/v1/uploads/", "/annotation")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
MOST_BODY = 1 << 20
BODY_SECONDS = 30.0
FAILED_SIGN_INS, FAILED_SECONDS = 10, 60.0
REMEMBERED = 4096


@dataclass
class Buckets:
    """Token buckets: `burst` requests at once, `rate` a second in the long run, for each key. 0 a second: no limit.

    Each process counts for itself.
    """

    rate: float
    burst: float
    _kept: TTLCache[str, tuple[float, float]] = field(default_factory=lambda: TTLCache(REMEMBERED, 600.0))

    def level(self, key: str, at: float) -> float:
        """Tokens that are left."""
        left, since = self._kept.get(key, (self.burst, at))
        return min(self.burst, left + (at - since) * self.rate)

    def take(self, key: str, at: float) -> bool:
        """One token, if there is one."""
        left = self.level(key, at)
        if self.rate and left < 1:
            return False
        self._kept[key] = (left - 1, at)
        return True


class Gate:
    """Too often: 429. Unknown: 401 before the body. Too long: 413."""

    def __init__(self, app: ASGIApp) -> None:
        settings = get_settings()
        self.app = app
        self._requests = Buckets(settings.requests_per_second, settings.request_burst)
        self._failures = Buckets(FAILED_SIGN_INS / FAILED_SECONDS, FAILED_SIGN_INS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            self._limit(request)
            if scope["method"] not in SAFE_METHODS:
                receive = await self._admit(request, receive)
        except QuarterturnError as error:
            if isinstance(error, Unauthenticated):
                await to_thread.run_sync(trail.denied_to, request, error.code)
            answer = from_error(error)
            answer.headers["Connection"] = "close"  # what is still being sent is not read
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, self._watched(request, send) if request.url.path == SIGN_IN else send)

    def _limit(self, request: Request) -> None:
        """Raises TooMany."""
        at, origin = time.monotonic(), trail.origin_of(request)
        signing_in = request.url.path == SIGN_IN and request.method == "POST"
        if signing_in and self._failures.level(origin, at) < 1:
            raise TooMany("too-many-sign-ins", "too many sign-ins failed from this address", "wait a minute")
        if not self._requests.take(_proof_of(request) or origin, at):
            raise TooMany("too-many-requests", "more requests came than one visitor may send", "slow down")

    async def _admit(self, request: Request, receive: Receive) -> Receive:
        """The body's source, after who sends it is known. Raises Unauthenticated, TooLarge or Invalid."""
        path = request.url.path
        if path != SIGN_IN:
            await to_thread.run_sync(recognised, request)
        if any(part in path for part in STREAMED):
            return receive
        if int(request.headers.get("content-length") or 0) > MOST_BODY:
            raise _too_large()
        try:
            body = await asyncio.wait_for(_whole(receive), BODY_SECONDS)
        except TimeoutError:
            raise Invalid("body-too-slow", "the request's body did not arrive in time", "send it again") from None
        return _replayed(body, receive)

    def _watched(self, request: Request, send: Send) -> Send:
        """Counts sign-ins that fail."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401 and request.method == "POST":
                self._failures.take(trail.origin_of(request), time.monotonic())
            await send(message)

        return watched


def _proof_of(connection: HTTPConnection) -> str:
    return connection.headers.get("authorization") or connection.headers.get("cookie") or ""


def _too_large() -> TooLarge:
    return TooLarge("body-too-large", f"a request's body may have {MOST_BODY} bytes", "send less")


async def _whole(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BODY:
            raise _too_large()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once, then whatever else comes."""
    waiting = [body]

    async def replayed() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replayed
