"""One writer per upload: a second request takes over from the first."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect

from core.errors import Conflict
from core.settings import get_settings

BATCH_BYTES, BATCHES = 1 << 20, 2  # bytes written at once, and batches that may wait for the disk
HANDOVER_SECONDS = 10.0
_writers: "dict[str, UploadWriter]" = {}


class UploadWriter:
    """The PATCH that writes an upload now. Others ask it to stop, and wait until its bytes are safe.

    A task receives bytes ahead of the disk; it writes nothing, so it may be cancelled at any point.

    Attributes:
        ended: set when the PATCH writes no more.
        complete: the whole body has arrived.
        stopped: another request took over.
        stalled: no bytes came for too long.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.ended, self.complete, self.stopped, self.stalled = asyncio.Event(), False, False, False
        self._chunks = 0
        self._batches: asyncio.Queue[bytes | None] = asyncio.Queue(BATCHES)
        self._receiver = asyncio.create_task(self._receive(chunks))
        self._watchdog = asyncio.create_task(self._expect_bytes(get_settings().upload_silent_seconds))

    async def _expect_bytes(self, seconds: float) -> None:
        """Ends an upload from which nothing came for so long: a client may be gone whose connection looks alive."""
        while True:
            before = self._chunks
            await asyncio.sleep(seconds)
            if self._chunks == before and self._batches.empty() and not self._receiver.done():
                self.stalled = True
                self._receiver.cancel()
                return

    async def _receive(self, chunks: AsyncIterator[bytes]) -> None:
        """Fills the batches; None is the last one."""
        parts, size = list[bytes](), 0
        try:
            async for chunk in chunks:
                parts.append(chunk)
                size += len(chunk)
                self._chunks += 1
                if size >= BATCH_BYTES:
                    await self._batches.put(b"".join(parts))
                    parts, size = [], 0
            self.complete = True
        except ClientDisconnect:
            pass
        finally:
            await self._batches.put(b"".join(parts))
            await self._batches.put(None)

    async def batch(self) -> bytes | None:
        """The next bytes to write, a mebibyte or what there is; None when no more will come."""
        cancelled_before_start = self._receiver.done() and self._batches.empty()
        return None if cancelled_before_start else await self._batches.get()

    def stop(self) -> None:
        """Waits for no more bytes; those that arrived are still written."""
        self.stopped = True
        self._receiver.cancel()

    async def end(self) -> None:
        """Ends both tasks. No more batches are taken."""
        self._watchdog.cancel()
        while not self._receiver.done():
            self._receiver.cancel()
            await asyncio.wait((self._receiver,), timeout=0.01)
        self.ended.set()


async def take_over(upload_id: str) -> None:
    """Stops the PATCH that writes this upload, if any, and waits until its bytes are safe.

    It is never cut off in the middle of a write or a commit. Of several requests that wait here one goes on first and
    becomes the writer before another one looks: there is no await between.

    Raises:
        Conflict: it does not end in time.
    """
    while (writer := _writers.get(upload_id)) is not None:
        writer.stop()
        try:
            await asyncio.wait_for(writer.ended.wait(), HANDOVER_SECONDS)
        except TimeoutError:
            raise Conflict("upload-busy", "another request still writes this upload", "try again in a moment") from None


def begin_writing(upload_id: str, chunks: AsyncIterator[bytes]) -> UploadWriter:
    """Becomes the upload's writer. Call it right after `take_over`, without an await between."""
    writer = _writers[upload_id] = UploadWriter(chunks)
    return writer


async def end_writing(upload_id: str, writer: UploadWriter) -> None:
    try:
        await writer.end()
    finally:
        del _writers[upload_id]
