"""Reads a band's regions ahead of the network, through a bounded queue."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextvars import copy_context
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import QuarterturnError, ReaderEnded, ReaderKilled, SlideRejected
from core.heatmap.grid import RegionImage
from core.pixels.frame import HALO_PX, STRIDE_PX
from core.pixels.levels import SlideInfo
from core.pixels.sampling import sample
from core.reader.client import Reader
from core.settings import get_settings

Pixels = NDArray[np.uint8]
Sent = TypeVar("Sent")
Unread = ReaderEnded | SlideRejected  # why a region is left out: its file is the cause, or may be
AHEAD = 2  # regions that wait: hides the reading behind the network, and bounds the memory


def network_pixels(reader: Reader, info: SlideInfo, origin: tuple[int, int], shape: tuple[int, int]) -> Pixels:
    """uint8 (rows, cols, 3) from network pixel `origin` (y, x), read as the settings say."""
    scaled = get_settings().reading == "scaled"
    return sample(reader.region, info.sources(scaled), info.frame(), origin, shape)


def region_pixels(reader: Reader, info: SlideInfo, region: RegionImage) -> Pixels:
    """uint8 (H, W, 3): all network pixels that the region's cells see, the halo included."""
    rows = STRIDE_PX * (region.row_end - region.row - 1) + 2 * HALO_PX
    cols = STRIDE_PX * (region.col_end - region.col - 1) + 2 * HALO_PX
    return network_pixels(reader, info, region.origin_net_px, (rows, cols))


def read_region(open_reader: Callable[[], Reader], info: SlideInfo, region: RegionImage) -> Pixels:
    """The pixels of a region, as `region_pixels`. A reader that ended is replaced once: the file need not be the cause.

    Raises:
        ReaderEnded: two readers ended on this region. SlideRejected: the file is the cause. MachineFault.
    """
    try:
        return region_pixels(open_reader(), info, region)
    except (ReaderEnded, ReaderKilled):
        return region_pixels(open_reader(), info, region)


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
            return self._send(read_region(self._open_reader, self._info, region))
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
