"""Which file a reader opens for a slide."""

from collections.abc import Callable
from pathlib import Path

from core.database.slides import Slide
from core.errors import Gone
from core.slides import archives, storage
from core.slides.storage import KNOWN_SUFFIX, PARTS, absolute, folder, main_part

NAMES_OTHERS = (".dcm", ".vms", ".vmu")  # their other files lie beside them, under names of their own


def opened(slide_id: str, file: str) -> Path:
    """What a reader opens of a slide: its file, or of a zip what was unpacked from it."""
    parts = folder(slide_id) / PARTS
    return main_part(parts) if parts.is_dir() else absolute(file)


def stamp(path: Path) -> str:
    """What changes when somebody writes to a file: its size and the time of its last change. Raises OSError."""
    found = path.stat()
    return f"{found.st_size}-{found.st_mtime_ns}"


def readable(path: Path) -> list[Path]:
    """What a reader of this slide may see: the slide's own folder; of one by reference, the files that belong to it."""
    if path.is_relative_to(absolute("slides")):
        return [path.parent]
    if path.suffix.lower() in NAMES_OTHERS or not KNOWN_SUFFIX.search(path.name):
        return [path.parent]
    return [path, path.with_suffix("")]  # a folder beside an MRXS file has its name


def require_unaltered(slide: Slide) -> None:
    """Check the file of a slide by reference, which others may write to, against its stamp at inspection.

    Raises:
        Gone: it is another file now, or cannot be opened.
    """
    stamp_at_inspection = (slide.info or {}).get("stamp")
    if stamp_at_inspection is None:
        return
    try:
        unchanged = stamp(absolute(slide.file)) == stamp_at_inspection
    except OSError as error:
        detail = f"the slide's file cannot be opened: {error.strerror}"
        raise Gone("slide-file-gone", detail, "put it back where it was") from None
    if not unchanged:
        detail = "the slide's file was changed after it was looked at"
        raise Gone("slide-file-changed", detail, "name it anew, as another slide")


def unpacked_or_opened(slide: Slide) -> Path:
    """What a reader opens; of a zip whose parts are not here (a slide by reference, after a restore) unpacked anew."""
    path = opened(slide.id, slide.file)
    return unpacked(slide, path, lambda: None) if path.is_file() else path


def unpacked(slide: Slide, path: Path, advance: Callable[[], None]) -> Path:
    """The slide's own file: this one, or of a zip the one that is unpacked from it."""
    return archives.unpack(path, storage.folder(slide.id), advance) if archives.is_archive(path) else path
