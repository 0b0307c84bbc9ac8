"""The reader that a worker process keeps open."""

from core.database.slides import Slide
from core.reader.client import Reader
from core.settings import get_settings
from core.slides import opening

_readers: dict[str, Reader] = {}


def reader_of(slide: Slide) -> Reader:
    """A live reader of the slide; the process keeps the last one open. Raises Gone when its file was changed."""
    opening.require_unaltered(slide)
    kept = _readers.get(slide.id)
    if kept is not None and kept.alive:
        return kept
    close_readers()
    settings, file = get_settings(), opening.slide_file(slide)
    limits = settings.reader_seconds, settings.reader_memory_bytes
    _readers[slide.id] = Reader(file.path, *limits, file.readable)
    return _readers[slide.id]


def close_readers() -> None:
    for reader in _readers.values():
        reader.close()
    _readers.clear()
