"""Decides which file a reader opens for a slide, and which other files it may read. API and workers both ask here.

    uploaded                slides/ID/slide.EXT
    by reference            the file where it lies, beside its companions
    zip, either way         slides/ID/parts/slide.EXT, unpacked by the inspection

A backup holds neither a slide by reference nor what was unpacked from it. So parts that are missing are unpacked again,
by the process that needs them first.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.database.slides import Slide
from core.errors import Gone, StorageFault, Unavailable
from core.reader.exit_status import storage_fault
from core.slides import archives
from core.slides.storage import KNOWN_SUFFIX, PARTS, absolute, folder, main_part

NAMES_OTHERS = (".dcm", ".vms", ".vmu")  # formats whose other files lie beside, under names of their own
_unpacking: set[str] = set()
_unpacking_lock = threading.Lock()
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlideFile:
    """What a reader opens: `path`, which needs the files and folders `readable`.

    `stamp` changes when somebody writes to the file, or puts another in its place.
    """

    path: Path
    readable: tuple[Path, ...]
    stamp: str


def slide_file(slide: Slide, advance: Callable[[], None] = lambda: None) -> SlideFile:
    """The file that a reader opens for an inspected slide.

    Args:
        advance: called now and then while a zip is unpacked; what it raises ends the unpacking.

    Raises:
        Gone: the file is not there, or was changed since its inspection. StorageFault: it cannot be read.
        ArchiveRefused, NoSpace: the parts of its zip are missing, and it cannot be unpacked again.
        Unavailable: another thread unpacks it at this moment.
    """
    require_unaltered(slide)
    return file_to_inspect(slide.id, slide.file, advance)


def file_to_inspect(slide_id: str, file: str, advance: Callable[[], None] = lambda: None) -> SlideFile:
    """Returns the file of a slide without comparing it with the stamp of its inspection. `file`: `Slide.file`.

    An inspection has no stamp yet, or compares the digest.

    Raises:
        As `slide_file`.
    """
    try:
        path = reader_path(slide_id, file)
        if _is_packed(path, file):
            with _alone(slide_id):
                path = archives.unpack(path, folder(slide_id), advance)
        return SlideFile(path, tuple(readable(path)), stamp(path))
    except OSError as error:
        raise file_fault(error) from error


def needs_unpacking(slide: Slide) -> bool:
    """Whether `slide_file` has to unpack a zip, which takes minutes. Raises Gone or StorageFault, as it does."""
    try:
        return _is_packed(reader_path(slide.id, slide.file), slide.file)
    except OSError as error:
        raise file_fault(error) from error


def _is_packed(path: Path, file: str) -> bool:
    return path == absolute(file) and archives.is_archive(path)


def file_fault(error: OSError) -> Gone | StorageFault:
    """The domain's error for a slide file that cannot be opened or read. A fault of the storage is logged here, once.

    Only a missing file is gone. A share that does not answer, a failing disk or a process without free descriptors may
    work again in a moment.
    """
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Gone(
            "slide-file-gone", f"the slide's file cannot be opened: {error.strerror}", "put it back where it was"
        )
    log.warning("slide file not readable", extra={"fields": {"error": type(error).__name__, "cause": error.strerror}})
    return storage_fault(error.strerror or type(error).__name__)


@contextmanager
def _alone(slide_id: str) -> Iterator[None]:
    """One thread of a process unpacks a slide. Others are turned away rather than queued: it may take minutes."""
    with _unpacking_lock:
        if slide_id in _unpacking:
            raise Unavailable("slide-unpacking", "the slide's zip is being unpacked", "try again in a moment")
        _unpacking.add(slide_id)
    try:
        yield
    finally:
        with _unpacking_lock:
            _unpacking.discard(slide_id)


def reader_path(slide_id: str, file: str) -> Path:
    """Where the file lies as far as it is unpacked. Raises Gone: the slide's parts lack their own file."""
    return main_part(folder(slide_id) / PARTS) if is_unpacked(slide_id) else absolute(file)


def is_unpacked(slide_id: str) -> bool:
    """Whether the slide came as a zip, and its parts are here."""
    return (folder(slide_id) / PARTS).is_dir()


def stamp(path: Path) -> str:
    """Size in bytes and time of the last change in ns. Raises OSError."""
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def readable(path: Path) -> list[Path]:
    """What a reader of this file may read: the slide's own folder; of one by reference, the files that belong to it."""
    if path.is_relative_to(absolute("slides")):
        return [path.parent]
    if path.suffix.lower() in NAMES_OTHERS or not KNOWN_SUFFIX.search(path.name):
        return [path.parent]
    return [path, path.with_suffix("")]  # MIRAX keeps its other files in a folder of the same name


def require_unaltered(slide: Slide) -> None:
    """Compare the file of a slide by reference, which others may write to, with its stamp at inspection.

    Raises:
        Gone: it is another file now, or is missing. StorageFault: it cannot be read.
    """
    stamp_at_inspection = (slide.info or {}).get("stamp")
    if stamp_at_inspection is None:
        return
    try:
        unchanged = stamp(absolute(slide.file)) == stamp_at_inspection
    except OSError as error:
        raise file_fault(error) from error
    if not unchanged:
        detail = "the slide's file was changed after its inspection"
        raise Gone("slide-file-changed", detail, "register it again, as another slide")
