"""Pure ASGI layers: an id for every request, security headers on every answer, and the refusal of cross-site writes
that ride on a cookie.
"""

import logging
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract.calls import plain
from api.metrics import REQUESTS
from core import logs

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
log = logging.getLogger(__name__)


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


def _visitor_of(scope: Scope) -> str:
    visitor = scope.get("state", {}).get("visitor")
    return visitor.principal_id if visitor else ""
