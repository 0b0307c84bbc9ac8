"""Reads a band's regions ahead of the network, through a bounded queue."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextvars import copy_context
from typing import Generic, TypeVar

from core.errors import QuarterturnError, ReaderEnded, SlideRejected
from core.heatmap.grid import RegionImage
from core.pixels.levels import SlideInfo
from core.reader.client import Reader
from worker.compute.region_retry import Pixels, read_with_retry

Sent = TypeVar("Sent")
Unread = ReaderEnded | SlideRejected  # why a region is left out: its file is the cause, or may be
AHEAD = 2  # regions that wait: hides the reading behind the network, and bounds the memory


class RegionLoader(Generic[Sent]):
    """Iterates (region, what `send` made of its pixels), or (region, error) where the file cannot be read.

    `open_reader` gives a live reader: a crashed one is replaced before the next region. `seconds`: spent reading, while
    the network works.
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        info: SlideInfo,
        regions: Iterable[RegionImage],
        send: Callable[[Pixels], Sent],
    ) -> None:
        self._open_reader, self._info, self._regions, self._send = open_reader, info, list(regions), send
        self._ready: queue.Queue[tuple[RegionImage, Sent | Unread] | BaseException] = queue.Queue(AHEAD)
        self._stop, self.seconds = threading.Event(), 0.0
        inherited = copy_context().run  # the correlation of log lines, which a new thread lacks
        self._thread = threading.Thread(target=inherited, args=(self._run,), name="region-loader", daemon=True)

    def _run(self) -> None:
        ended = EOFError("the reading thread ended before its last region")
        try:
            for region in self._regions:
                if self._stop.is_set() or not self._put(self._load(region)):
                    return
        except Exception as error:  # noqa: BLE001 - the edge of a thread: the iterating thread raises it
            ended.__cause__ = error
        finally:
            self._put(ended)  # whatever ended this thread, the iterating thread must not wait for ever

    def _load(self, region: RegionImage) -> tuple[RegionImage, Sent | Unread] | BaseException:
        began = time.perf_counter()
        try:
            return region, self._read(region)
        except (OSError, ValueError, MemoryError, QuarterturnError) as error:
            return error
        finally:
            self.seconds += time.perf_counter() - began

    def _read(self, region: RegionImage) -> Sent | Unread:
        """What `send` made of the pixels, or why the file gives none. Faults of the machine raise."""
        try:
            return self._send(read_with_retry(self._open_reader, self._info, region))
        except (ReaderEnded, SlideRejected) as error:
            return error

    def _put(self, item: tuple[RegionImage, Sent | Unread] | BaseException) -> bool:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=0.2)  # never for ever: after a fault nobody takes from the queue
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Generator[tuple[RegionImage, Sent | Unread], None, None]:
        self._thread.start()
        try:
            for _ in self._regions:
                item = self._ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._stop.set()
            self._thread.join()
