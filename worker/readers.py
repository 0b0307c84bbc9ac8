"""The reader that a worker process keeps open between regions and rows."""

import threading

from core.database.slides import Slide
from core.reader.client import Reader
from core.settings import get_settings
from core.slides import opening


class OpenReader:
    """At most one open reader: that of the slide read last, since most rows of a process are of one slide.

    The thread that reads ahead asks for the reader, and the thread that computes closes it after a fault. The lock
    keeps a reader from being opened while another is closed, which would leave a child that nobody ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slide_id, self._reader = "", None

    _reader: Reader | None

    def get(self, slide: Slide) -> Reader:
        """A live reader of the slide. A reader of another slide, or one whose child ended, is closed first.

        Raises:
            Gone: the slide's file was changed or is missing.
        """
        opening.require_unaltered(slide)
        with self._lock:
            if self._reader is None or self._slide_id != slide.id or not self._reader.alive:
                self._close()
                self._reader, self._slide_id = _open(slide), slide.id
            return self._reader

    def close(self) -> None:
        """Close the reader, if one is open."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


def _open(slide: Slide) -> Reader:
    settings, file = get_settings(), opening.slide_file(slide)
    return Reader(file.path, settings.reader_seconds, settings.reader_memory_bytes, file.readable)


_process = OpenReader()
reader_of, close_readers = _process.get, _process.close
