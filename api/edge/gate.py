"""Before the framework: how often, who, how much. Nobody unknown has a byte of a body read, and no body is endless.

FastAPI reads a body before it asks who sends it; here the order is the other way round. Small bodies are taken in whole
(a mebibyte, half a minute) and handed on; uploads and outlines stream through, and count their own bytes.
"""

import asyncio
import re
import time

from anyio import to_thread
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract.calls import SAFE_METHODS
from api.contract.problems import KEPT_OUT, from_database, from_error, too_crowded
from api.edge.buckets import Buckets
from api.metrics import REFUSED
from api.request import trail
from api.request.visitor import known_principal, recognised
from core.errors import Invalid, QuarterturnError, TooLarge, TooMany
from core.settings import get_settings

PREFIX = "/api/v1/"
SIGN_IN = "/api/v1/session"
STREAMED = re.compile(r"PATCH /api/v1/uploads/[^/]+|PUT /api/v1/slides/[^/]+/annotation")
MOST_BODY = 1 << 20
BODY_SECONDS = 30.0


class Gate:
    """Too often: 429. Unknown: 401 before the body. Too long: 413.

    Requests are counted for each principal; those of whom nobody knows yet, for their address.
    """

    def __init__(self, app: ASGIApp) -> None:
        settings = get_settings()
        self.app = app
        self._requests = Buckets(settings.requests_per_second, settings.request_burst)

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
            if isinstance(error, KEPT_OUT):
                await to_thread.run_sync(trail.denied_to, request, error.code)
            else:
                REFUSED.labels(error.code).inc()
            answer = from_error(error)
            answer.headers["Connection"] = "close"  # what is still being sent is not read
            await answer(scope, receive, send)
        except DBAPIError as error:
            await from_database(error)(scope, receive, send)
        except PoolTimeout:
            await too_crowded()(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            await self.app(scope, receive, send)

    def _limit(self, request: Request) -> None:
        """Raises TooMany."""
        if not self._requests.take(known_principal(request) or trail.origin_of(request), time.monotonic()):
            raise TooMany("too-many-requests", "more requests came than one visitor may send", "slow down")

    async def _admit(self, request: Request, receive: Receive) -> Receive:
        """The body's source, after who sends it is known. Raises Unauthenticated, TooLarge or Invalid."""
        method, path = request.method, request.scope["path"]
        if path != SIGN_IN:
            await to_thread.run_sync(recognised, request)
        if STREAMED.fullmatch(f"{method} {path}"):
            return receive
        if int(request.headers.get("content-length") or 0) > MOST_BODY:
            raise _too_large()
        try:
            body = await asyncio.wait_for(_whole(receive), BODY_SECONDS)
        except TimeoutError:
            raise Invalid("body-too-slow", "the request's body did not arrive in time", "send it again") from None
        return _replayed(body, receive)


def _too_large() -> TooLarge:
    return TooLarge("body-too-large", f"a request's body may have {MOST_BODY} bytes", "send less")


async def _whole(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect  # what came is no request
        body += message.get("body", b"")
        if len(body) > MOST_BODY:
            raise _too_large()
        if not message.get("more_body"):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once, then whatever else comes."""
    waiting = [body]

    async def replayed() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replayed
