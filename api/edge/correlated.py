"""Gives every request a correlation id, logs it as one line and counts its answer."""

import logging
import time

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract import problems
from api.contract.calls import plain
from api.metrics import REQUESTS
from api.request.correlation import correlation_of
from core import logs

log = logging.getLogger(__name__)


class Correlated:
    """The id is the client's X-Request-Id, or a new one. It is in the answer, in all log lines and in the work rows.

    The line has no query, and of the path ids and the API's own words alone: a name in it could be a patient's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        correlation = correlation_of(dict(scope["headers"]))
        answer, began = _Answer(send, correlation), time.monotonic()
        with logs.correlated(correlation):
            try:
                await self.app(scope, receive, answer.send)
            except Exception:  # the process edge: logged here, once, with its correlation
                log.exception("unhandled exception")
                if not answer.status:
                    await problems.fault(Request(scope), None)(scope, receive, answer.send)
            finally:
                _log(scope, answer.status or problems.CLIENT_CLOSED_REQUEST, time.monotonic() - began)


class _Answer:
    """Adds the id to an answer on its way out and remembers the status. 0: none has begun."""

    def __init__(self, send: Send, correlation: str) -> None:
        self._send, self._correlation, self.status = send, correlation, 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self._correlation.encode())]
        await self._send(message)


def _log(scope: Scope, status: int, seconds: float) -> None:
    REQUESTS.labels(scope["method"], str(status)).inc()
    visitor = scope.get("state", {}).get("visitor")
    fields = {
        "method": scope["method"],
        "path": plain(scope["path"]),
        "status": status,
        "seconds": round(seconds, 4),
        "visitor": visitor.principal_id if visitor else "",
    }
    log.info("request", extra={"fields": fields})
