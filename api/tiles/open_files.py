"""Slide files that the API keeps open for viewers: native tiles by a read in place, all else by a reader child."""

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from weakref import WeakSet

from cachetools import TTLCache

from core.errors import Conflict
from core.pixels import native_tiles
from core.reader.client import Reader
from core.settings import get_settings
from core.slides import opening
from core.slides.opening import SlideFile

FileKey = tuple[Path, str]  # the path and the stamp of its last change: another file may take the path
MOST_READERS = 4
MOST_FILES = 64
IDLE_SECONDS = 600
SWEEP_SECONDS = 10.0
NOWAIT = getattr(os, "RWF_NOWAIT", None)  # Linux: a read that would wait for the disk fails instead (preadv2(2))


class TileFile:
    """An open slide file with the places of its native tiles.

    The file is closed by `close`, once no read is under way, or else with the last reference to it. References are not
    enough for a deleted slide: the traceback of a refused request refers to them in a cycle, which the garbage
    collector of an idle process may find hours later.
    """

    def __init__(self, file: FileIO, version: str, levels: dict[int, native_tiles.NativeLevel]) -> None:
        self.version = version
        self._file, self._levels = file, levels
        self._lock, self._reads, self._closing = threading.Lock(), 0, False

    def _locate(self, level: int, col: int, row: int) -> tuple[native_tiles.NativeLevel, int, int] | None:
        """A tile's level, offset and length in bytes."""
        native = self._levels.get(level)
        span = native.span(col, row) if native else None
        return None if native is None or span is None else (native, *span)

    def _begin_reading(self) -> bool:
        """Keeps the descriptor valid until `_end_reading`; false where the file is closed.

        A read of a closed descriptor could meet another file that has its number by now.
        """
        with self._lock:
            self._reads += not self._closing
            return not self._closing

    def _end_reading(self) -> None:
        with self._lock:
            self._reads -= 1
            self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._closing and not self._reads:
            self._file.close()

    def close(self) -> None:
        """Closes the file after the reads that are under way. Later reads fail."""
        with self._lock:
            self._closing = True
            self._close_if_unused()

    def tile(self, level: int, col: int, row: int) -> bytes | None:
        """The file's own JPEG, completed with its tables; None where it has none for this place, or was cut off there.

        Raises:
            Gone: the file was closed, since its slide was deleted. StorageFault: the disk or share failed.
        """
        location = self._locate(level, col, row)
        if location is None:
            return None
        native, offset, length = location
        if not self._begin_reading():
            raise opening.file_fault(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
        try:
            stream = os.pread(self._file.fileno(), length, offset)
        except OSError as error:
            raise opening.file_fault(error) from error
        finally:
            self._end_reading()
        # A part of a JPEG would be cached by browsers for a year. The reader says why the file is short.
        return native.splice(stream) if len(stream) == length else None

    def tile_in_memory(self, level: int, col: int, row: int) -> bytes | None:
        """The same if the page cache has it, without waiting; None where it has not, or where that is unknown."""
        location = self._locate(level, col, row)
        if location is None or NOWAIT is None or not self._begin_reading():
            return None
        native, offset, length = location
        stream = bytearray(length)
        try:
            if os.preadv(self._file.fileno(), [stream], offset, NOWAIT) != length:
                return None
        except OSError:  # EAGAIN: not in memory; EOPNOTSUPP: the file system cannot tell
            return None
        finally:
            self._end_reading()
        return native.splice(bytes(stream))


class SlideFiles:
    """Open files and reader children, one of each a slide. The least recently used are closed first."""

    def __init__(self) -> None:
        self._files: TTLCache[Path, TileFile] = TTLCache(MOST_FILES, IDLE_SECONDS)
        # All files that are open, those that the cache dropped while something refers to them included.
        self._opened: dict[Path, WeakSet[TileFile]] = {}
        self._idle: OrderedDict[FileKey, Reader] = OrderedDict()
        self._used: dict[FileKey, tuple[Reader, int]] = {}  # with the number of users
        # The event loop takes the first, so nothing slow may happen under it.
        self._files_lock, self._lock = threading.Lock(), threading.Lock()

    def cached(self, path: Path, version: str) -> TileFile | None:
        """The slide's file if it is open. Does not wait."""
        with self._files_lock:
            file = self._files.get(path)
        return file if file is not None and file.version == version else None

    def open(self, path: Path, index: Path, version: str) -> TileFile:
        """The slide's file, opened where it is not.

        Raises:
            Gone: the file is missing. Conflict: the index of its tiles does not exist yet. StorageFault: the disk or
                share failed.
        """
        file = self.cached(path, version)
        if file is not None:
            return file
        try:
            levels = native_tiles.restore(index.read_bytes())
        except FileNotFoundError:
            raise Conflict(
                "slide-not-ready", "the slide's tiles are not indexed yet", "wait for its inspection"
            ) from None
        except OSError as error:
            raise opening.file_fault(error) from error
        try:
            file = TileFile(FileIO(path), version, levels)
        except OSError as error:
            raise opening.file_fault(error) from error
        with self._files_lock:
            other = self._files.get(path)
            if other is None or other.version != version:
                self._files[path], other = file, None
                self._opened.setdefault(path, WeakSet()).add(file)
        if other is not None:  # another thread was faster
            file.close()
            return other
        if not index.exists():  # the slide was deleted meanwhile: an open file would keep its space
            self.drop(path)
        return file

    @contextmanager
    def reader(self, slide_file: SlideFile) -> Iterator[Reader]:
        """The slide's reader, shared by all who are in here. Another file at the same path gets a reader of its own.

        Raises:
            MachineFault: a reader cannot be started.
        """
        key = slide_file.path, slide_file.stamp
        with self._lock:
            reader, users = self._used.get(key) or (self._take_idle(key, slide_file), 0)
            self._used[key] = (reader, users + 1)
        try:
            yield reader
        finally:
            with self._lock:
                closing = self._release(key)
            for one in closing:
                one.close()

    def _take_idle(self, key: FileKey, slide_file: SlideFile) -> Reader:
        """The idle reader of this file, or a new one."""
        idle = self._idle.pop(key) if key in self._idle else None
        if idle is not None and idle.alive:
            return idle
        settings = get_settings()
        limits = settings.reader_seconds, settings.reader_memory_bytes
        return Reader(slide_file.path, *limits, slide_file.readable)

    def _release(self, key: FileKey) -> list[Reader]:
        """Counts one user less. Returns the readers to close, which waits and so must happen outside the lock."""
        reader, users = self._used.pop(key)
        if users > 1:
            self._used[key] = (reader, users - 1)
            return []
        if not reader.alive:
            return [reader]
        self._idle[key] = reader
        return [self._idle.popitem(last=False)[1] for _ in range(len(self._idle) - MOST_READERS)]

    def drop(self, path: Path) -> None:
        """Closes a deleted slide's file and idle reader, so that its space becomes free."""
        with self._files_lock:
            self._files.pop(path, None)
            opened = list(self._opened.pop(path, ()))
        for file in opened:
            file.close()
        with self._lock:
            closing = [self._idle.pop(key) for key in list(self._idle) if key[0] == path]
        for reader in closing:
            reader.close()

    def sweep(self) -> None:
        """Drops the files whose path has gone, and lets go of those that nobody has used for long.

        Another process may have deleted their slide: a worker by its retention period, or a second API. A share that
        does not answer says nothing about its files.
        """
        with self._files_lock:
            expired = self._files.expire()
            self._opened = {path: opened for path, opened in self._opened.items() if opened}
            paths = set(self._opened)
        del expired  # closes them where nothing else refers to them, and not under the lock
        with self._lock:
            paths |= {path for path, _ in self._idle}
        for path in paths:
            try:
                path.stat()
            except (FileNotFoundError, NotADirectoryError):
                self.drop(path)
            except OSError:
                continue

    def close(self) -> None:
        """Closes everything."""
        with self._files_lock:
            self._files.clear()
        with self._lock:
            while self._idle:
                self._idle.popitem()[1].close()
            for reader, _ in self._used.values():
                reader.close()
