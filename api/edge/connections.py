"""Bounds a request's head in time and size, before the request is authenticated.

uvicorn bounds neither, so slow or endless heads could hold every connection. The bounds of a body are in api.edge.gate
and api.routes.uploads; its trailers (RFC 9112, section 7.1.2) are headers, and are bounded here.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from core.settings import get_settings

MOST_HEAD = 1 << 16  # bytes, beside those of one read of the socket


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection whose head, or whose rest after an answer, is late or too long."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _size = 0  # bytes of the head so far

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._stop_timer()
        self._in_head = True  # most heads arrive with one read, so the timer starts only in data_received

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value)
        if self._size <= MOST_HEAD:
            super().on_header(name, value)
        else:
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timer is None and (self._in_head or self._lacks_timeout()):
            self._start_timer()
        if self._timer is not None:
            self._size += len(data)
            if self._size > MOST_HEAD:
                self.transport.close()

    def _lacks_timeout(self) -> bool:
        """After a blank line, or the rest of a body whose answer did not need it, uvicorn waits without a timeout."""
        return self._is_idle() and self.timeout_keep_alive_task is None

    def _is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(get_settings().head_seconds, self._give_up)

    def _give_up(self) -> None:
        if self._is_idle():
            self.transport.close()
        else:  # uvicorn reads nothing while an answer is under way, so the client is not late
            self._timer = self.loop.call_later(get_settings().head_seconds, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._size = None, 0
