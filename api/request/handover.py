"""One writer per upload: a second request takes over from the first."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect

from core.settings import get_settings

BATCH_BYTES, BATCHES = 1 << 20, 2  # what is written at once, and how much may wait for the disk


class Holder:
    """The PATCH that writes an upload now: others ask it to stop, and wait until its bytes are safe."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.ended, self.stopped, self.whole, self.stalled = asyncio.Event(), False, False, False
        self._came = 0
        self.batches: asyncio.Queue[bytes | None] = asyncio.Queue(BATCHES)
        self._pump = asyncio.create_task(self._receive(chunks))
        self._watch = asyncio.create_task(self._expect_bytes(get_settings().upload_silent_seconds))

    async def _expect_bytes(self, seconds: float) -> None:
        """A client from which nothing comes for so long has gone, whatever its connection says."""
        while True:
            before = self._came
            await asyncio.sleep(seconds)
            if self._came == before and self.batches.empty() and not self._pump.done():
                self.stalled = True
                self._pump.cancel()
                return

    async def _receive(self, chunks: AsyncIterator[bytes]) -> None:
        """Fill `batches` with what comes, ahead of the disk; None is the last. It writes nothing and can be cut off."""
        parts, size = list[bytes](), 0
        try:
            async for chunk in chunks:
                parts.append(chunk)
                size += len(chunk)
                self._came += 1
                if size >= BATCH_BYTES:
                    await self.batches.put(b"".join(parts))
                    parts, size = [], 0
            self.whole = True
        except ClientDisconnect:
            pass
        finally:
            await self.batches.put(b"".join(parts))
            await self.batches.put(None)

    async def batch(self) -> bytes | None:
        """The next bytes to write, a mebibyte or what there is; None when no more will come."""
        ended_unborn = self._pump.done() and self.batches.empty()
        return None if ended_unborn else await self.batches.get()

    def stop(self) -> None:
        """Wait for no more bytes; those that came are still written."""
        self.stopped = True
        self._pump.cancel()

    async def end(self) -> None:
        """Nobody takes batches any more."""
        self._watch.cancel()
        while not self._pump.done():
            self._pump.cancel()
            await asyncio.wait((self._pump,), timeout=0.01)
        self.ended.set()
