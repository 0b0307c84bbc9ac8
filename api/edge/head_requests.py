"""Answers HEAD wherever GET is answered: same status and headers, no body (RFC 9110, section 9.3.2)."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract import calls


class HeadRequests:
    """Runs the GET of an address for its HEAD, with all that it checks and records, and sends no body.

    A HEAD of its own in the table of calls (tus) is passed on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        call = calls.find("HEAD", scope["path"]) if is_head else None
        if call is None or call.method == "HEAD":
            await self.app(scope, receive, send)
            return
        headers = _Headers(receive, send)
        await self.app({**scope, "method": "GET"}, headers.receive, headers.send)


class _Headers:
    """Sends an answer's headers alone. Once they are sent, the client counts as gone, which ends a stream of events."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._is_answered = asyncio.Event()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
            await self._send({"type": "http.response.body", "body": b""})
            self._is_answered.set()

    async def receive(self) -> Message:
        message, answered = asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._is_answered.wait())
        try:
            await asyncio.wait((message, answered), return_when=asyncio.FIRST_COMPLETED)
            return message.result() if message.done() else {"type": "http.disconnect"}
        finally:
            message.cancel()
            answered.cancel()
