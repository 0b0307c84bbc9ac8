"""What a connection may cost before anybody knows who it is: a request's head comes soon and is not endless.

uvicorn bounds neither. A body's bounds are in api.edge.gate and api.routes.uploads; its trailers are headers, too.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from core.settings import get_settings

MOST_HEAD = 1 << 16  # besides what one read of the socket brings


class BoundedHeads(HttpToolsProtocol):
    """Closes a connection that waits for a request's head, or for the rest of one that was answered already, and does
    not get it in time and in bounds.
    """

    _late: asyncio.TimerHandle | None = None
    _in_head = False
    _size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._arrived()
        self._in_head = True  # most heads come whole with one read: only those that do not are waited for

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value)
        if self._size <= MOST_HEAD:
            super().on_header(name, value)
        else:
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._arrived()
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._late is None and (self._in_head or self._forgotten()):
            self._wait()
        if self._late is not None:
            self._size += len(data)
            if self._size > MOST_HEAD:
                self.transport.close()

    def _forgotten(self) -> bool:
        """After a blank line, or more of a body than its answer waited for, uvicorn waits without end."""
        return self._answered() and self.timeout_keep_alive_task is None

    def _answered(self) -> bool:
        """Whether nothing is being answered."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def _wait(self) -> None:
        self._arrived()
        self._late = self.loop.call_later(get_settings().head_seconds, self._give_up)

    def _give_up(self) -> None:
        if self._answered():
            self.transport.close()
        else:  # it is we who are late: reading rests while an answer is under way
            self._late = self.loop.call_later(get_settings().head_seconds, self._give_up)

    def _arrived(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late, self._size = None, 0
