"""Rejects unauthenticated requests before reading the body.

FastAPI reads a body before it resolves a route's dependencies, so anybody could make it buffer one. Here the order is:
rate limit, credential, then the body with a bound on size and time (a mebibyte, half a minute). Routes that stream
their body (uploads, outlines) bound it themselves.
"""

import asyncio
import time

from anyio import to_thread
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract import calls
from api.contract.calls import PREFIX, SAFE_METHODS
from api.contract.problems import ACCESS_ERRORS, from_database, from_error, pool_exhausted
from api.edge.rate_limits import Buckets
from api.metrics import REFUSED
from api.request import trail
from api.request.visitor import admit, cached_principal_id
from core.errors import Invalid, QuarterturnError, TooLarge, TooMany
from core.settings import get_settings

MOST_BODY = 1 << 20
BODY_SECONDS = 30.0


class Gate:
    """Answers 429 over the rate limit, 401 without a valid credential, 413 for a long body; passes the rest on.

    Requests are counted by principal, or by address where no principal is cached for the secret.
    """

    def __init__(self, app: ASGIApp) -> None:
        settings = get_settings()
        self.app = app
        self._requests = Buckets(settings.requests_per_second, settings.request_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(f"{PREFIX}/"):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            self._limit(request)
            if scope["method"] not in SAFE_METHODS:
                receive = await self._admit(request, receive)
        except QuarterturnError as error:
            await _refuse(request, error, send)
        except DBAPIError as error:
            await from_database(error)(scope, receive, send)
        except PoolTimeout:
            await pool_exhausted()(scope, receive, send)
        except ClientDisconnect:
            return  # nobody is left to answer; Correlated counts it as such
        else:
            await self.app(scope, receive, send)

    def _limit(self, request: Request) -> None:
        """Raises TooMany."""
        client = cached_principal_id(request) or trail.origin_of(request)
        if not self._requests.take(client, time.monotonic()):
            raise TooMany("too-many-requests", "this client sends more requests than it may", "slow down")

    async def _admit(self, request: Request, receive: Receive) -> Receive:
        """Authenticates, then returns the body's source. Raises Unauthenticated, Forbidden, TooLarge or Invalid."""
        call = calls.find(request.method, request.scope["path"]) or calls.UNLISTED
        if not call.public:
            await to_thread.run_sync(admit, request, call)
        if call.streamed:
            return receive
        if int(request.headers.get("content-length") or 0) > MOST_BODY:
            raise _too_large()
        try:
            body = await asyncio.wait_for(_read(receive), BODY_SECONDS)
        except TimeoutError:
            raise Invalid("body-too-slow", "the request's body did not arrive in time", "send it again") from None
        return _buffered(body, receive)


async def _refuse(request: Request, error: QuarterturnError, send: Send) -> None:
    if isinstance(error, ACCESS_ERRORS):
        await to_thread.run_sync(trail.record_denied_request, request, error.code)
    else:
        REFUSED.labels(error.code).inc()
    answer = from_error(error)
    answer.headers["Connection"] = "close"  # the rest of the body is not read, so the connection cannot be used again
    await answer(request.scope, request.receive, send)


def _too_large() -> TooLarge:
    return TooLarge("body-too-large", f"the request's body is larger than {MOST_BODY} bytes", "send less")


async def _read(receive: Receive) -> bytes:
    """The body. Raises TooLarge, or ClientDisconnect when the client leaves before the end of it."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MOST_BODY:
            raise _too_large()
        if not message.get("more_body"):
            return bytes(body)


def _buffered(body: bytes, receive: Receive) -> Receive:
    """A source that gives the body once, then what the connection gives."""
    waiting = [body]

    async def receive_buffered() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receive_buffered
