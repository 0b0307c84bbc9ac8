"""Slide files that the API holds open for viewers: their own tiles by a read in place, all else by a reader child."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from cachetools import TTLCache

from core.errors import Conflict, Gone
from core.pixels import native_tiles
from core.reader.client import Reader
from core.settings import get_settings
from core.slides import opening

Opened = tuple[Path, str]  # of a file also when it was changed last: another may come to lie there
MOST_READERS = 4
MOST_FILES = 64
KEPT_SECONDS = 600
AT_ONCE = getattr(os, "RWF_NOWAIT", None)  # Linux: a read that would wait for the disk says so instead


@dataclass(frozen=True)
class TileFile:
    """A slide's file, open, with the places of its own tiles. Closed when nobody holds it any more."""

    file: FileIO
    version: str
    levels: dict[int, native_tiles.NativeLevel]

    def _found(self, level: int, col: int, row: int) -> tuple[native_tiles.NativeLevel, int, int] | None:
        """A tile's level, offset and bytes."""
        native = self.levels.get(level)
        span = native.span(col, row) if native else None
        return None if native is None or span is None else (native, *span)

    def tile(self, level: int, col: int, row: int) -> bytes | None:
        """The file's own JPEG, completed; None where it has none for this place."""
        found = self._found(level, col, row)
        if found is None:
            return None
        native, offset, count = found
        return native.splice(os.pread(self.file.fileno(), count, offset))

    def tile_at_once(self, level: int, col: int, row: int) -> bytes | None:
        """The same if its bytes are in memory already; None when they are not, or cannot be known to be."""
        found = self._found(level, col, row)
        if found is None or AT_ONCE is None:
            return None
        native, offset, count = found
        stream = bytearray(count)
        try:
            if os.preadv(self.file.fileno(), [stream], offset, AT_ONCE) != count:
                return None
        except OSError:  # not in memory, or a file system that cannot tell
            return None
        return native.splice(bytes(stream))


def _opened(path: Path) -> Opened:
    """What a reader of this path would open now. Raises Gone."""
    try:
        return path, opening.stamp(path)
    except OSError as error:
        raise _gone(error) from None


def _gone(error: OSError) -> Gone:
    return Gone("slide-file-gone", f"the slide's file cannot be opened: {error.strerror}", "restore it")


class SlideFiles:
    """Open files and reader children, one of each a slide: what nobody uses is closed, the longest unused first."""

    def __init__(self) -> None:
        self._files: TTLCache[Path, TileFile] = TTLCache(MOST_FILES, KEPT_SECONDS)
        self._idle: OrderedDict[Opened, Reader] = OrderedDict()
        self._used: dict[Opened, tuple[Reader, int]] = {}
        self._files_lock, self._lock = threading.Lock(), threading.Lock()  # the first is never held for long

    def known(self, path: Path, version: str) -> TileFile | None:
        """The slide's file if it is open: no waiting."""
        with self._files_lock:
            found = self._files.get(path)
        return found if found is not None and found.version == version else None

    def opened(self, path: Path, index: Path, version: str) -> TileFile:
        """The slide's file, opened when it is not.

        Raises:
            Gone: the file cannot be opened. Conflict: its tiles were not looked up yet.
        """
        found = self.known(path, version)
        if found is not None:
            return found
        try:
            levels = native_tiles.restore(index.read_bytes())
        except FileNotFoundError:
            raise Conflict(
                "slide-not-ready", "the slide's tiles are not known yet", "wait for its inspection"
            ) from None
        try:
            found = TileFile(FileIO(path), version, levels)
        except OSError as error:
            raise _gone(error) from None
        with self._files_lock:
            self._files[path] = found
        if not index.exists():  # deleted meanwhile: its space shall be free
            self.drop(path)
        return found

    @contextmanager
    def reader(self, path: Path) -> Iterator[Reader]:
        """The slide's reader, which stays open at least as long as somebody is in here; a new one when another file
        lies there.

        Raises:
            Gone: there is no file.
        """
        opened = _opened(path)
        with self._lock:
            reader, users = self._used.get(opened) or (self._resting(opened), 0)
            self._used[opened] = (reader, users + 1)
        try:
            yield reader
        finally:
            with self._lock:
                closing = self._left(opened)
            for one in closing:
                one.close()

    def _resting(self, opened: Opened) -> Reader:
        """The reader that rests, or a new one."""
        kept = self._idle.pop(opened) if opened in self._idle else None
        if kept is not None and kept.alive:
            return kept
        settings, path = get_settings(), opened[0]
        return Reader(path, settings.reader_seconds, settings.reader_memory_bytes, opening.readable(path))

    def _left(self, opened: Opened) -> list[Reader]:
        """One user fewer; the readers that are to be closed now."""
        reader, users = self._used.pop(opened)
        if users > 1:
            self._used[opened] = (reader, users - 1)
            return []
        if not reader.alive:
            return [reader]
        self._idle[opened] = reader
        return [self._idle.popitem(last=False)[1] for _ in range(len(self._idle) - MOST_READERS)]

    def drop(self, path: Path) -> None:
        """Nobody will ask for this slide again: its file's space shall be free."""
        with self._files_lock:
            self._files.expire()  # pop would leave what has expired
            self._files.pop(path, None)
        with self._lock:
            closing = [self._idle.pop(opened) for opened in list(self._idle) if opened[0] == path]
        for reader in closing:
            reader.close()

    def close(self) -> None:
        with self._files_lock:
            self._files.clear()
        with self._lock:
            while self._idle:
                self._idle.popitem()[1].close()
            for reader, _ in self._used.values():
                reader.close()
