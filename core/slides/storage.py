"""Slide files and what is derived from them, in the data folder.

slides/ID/slide.EXT, parts/ (of a zip), tiles.npz, thumbnail.jpeg
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from core.errors import Gone, Invalid, NoSpace
from core.settings import get_settings

KNOWN_SUFFIX = re.compile(r"\.(svs|tiff?|ndpi|vms|vmu|scn|mrxs|svslide|bif|dcm|zvi|czi|zip)$", re.IGNORECASE)
NAMES_OTHERS = (".dcm", ".vms", ".vmu")  # their other files lie beside them, under names of their own
LONGEST_PATH = 300
HASH_BYTES = 1 << 22
PARTS = "parts"  # of a slide that came as a zip (core.slides.archives)


def slide_file(slide_id: str, filename: str) -> str:
    """Where a slide's bytes go, relative to the data folder; of the sender's name only a known suffix is used."""
    return f"slides/{slide_id}/{main_name(filename)}"


def main_name(filename: str) -> str:
    """What a slide's own file is called here."""
    found = KNOWN_SUFFIX.search(filename)
    return f"slide{found.group(0).lower() if found else ''}"


def absolute(relative: str) -> Path:
    """Where a slide's file lies; an absolute path (a slide by reference) stays itself."""
    return get_settings().data.resolve() / relative


def opened(slide_id: str, file: str) -> Path:
    """What a reader opens of a slide: its file, or of a zip what was unpacked from it."""
    parts = folder(slide_id) / PARTS
    return main_part(parts) if parts.is_dir() else absolute(file)


def main_part(parts: Path) -> Path:
    """The slide's own file among those that came in a zip: the one that we named. Raises Gone when it is not there."""
    found = [path for path in sorted(parts.glob("slide*")) if main_name(path.name) == path.name and path.is_file()]
    if not found:
        raise Gone("slide-file-gone", "what was unpacked of the slide is not here", "send it again")
    return found[0]


def stamp(path: Path) -> str:
    """What changes when somebody writes to a file: its size and the time of its last change. Raises OSError."""
    found = path.stat()
    return f"{found.st_size}-{found.st_mtime_ns}"


def require_unaltered(file: str, seen: str | None) -> None:
    """A slide by reference lies where others write. `seen`: its stamp at inspection; nothing for one of our own.

    Raises:
        Gone: it is another file now, or none.
    """
    if seen is None:
        return
    try:
        same = stamp(absolute(file)) == seen
    except OSError as error:
        told = f"the slide's file cannot be opened: {error.strerror}"
        raise Gone("slide-file-gone", told, "put it back where it was") from None
    if not same:
        told = "the slide's file was changed after it was looked at"
        raise Gone("slide-file-changed", told, "name it anew, as another slide")


def find_import(relative: str) -> Path:
    """A file below the import folder, with all links followed.

    Raises:
        Invalid: there is no import folder, no such file in it, or its path is too long to keep.
    """
    root = get_settings().import_dir
    if root is None:
        raise Invalid("no-import-folder", "this service takes no slides by reference", "set QUARTERTURN_IMPORT_DIR")
    try:
        path = (root / relative).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # missing, too long a name, a zero byte, a loop of links
        path = root
    if not path.is_relative_to(root.resolve()) or not path.is_file() or len(str(path)) > LONGEST_PATH:
        raise Invalid("no-such-file", "the import folder has no such file", "name it relative to the import folder")
    return path


def readable(path: Path) -> list[Path]:
    """What a reader of this slide may see: the slide's own folder; of one by reference, the files that belong to it."""
    if path.is_relative_to(absolute("slides")):
        return [path.parent]
    if path.suffix.lower() in NAMES_OTHERS or not KNOWN_SUFFIX.search(path.name):
        return [path.parent]
    return [path, path.with_suffix("")]  # a folder beside an MRXS file has its name


def folder(slide_id: str) -> Path:
    return absolute(f"slides/{slide_id}")


def write(path: Path, content: bytes) -> None:
    """Whole or not at all, durable when it returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".part")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    sync_directory(path.parent)


def create_empty(path: Path) -> None:
    """A file of no bytes whose name is durable, as are those of the folders in which it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    sync_directory(path.parent)
    sync_directory(path.parent.parent)


def sync_directory(directory: Path) -> None:
    """What is in it, and under which names, is on the disk."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def kept_slides() -> list[str]:
    """The slides that have a folder here."""
    root = absolute("slides")
    return [entry.name for entry in root.iterdir()] if root.is_dir() else []


def empty_slides(older_seconds: float) -> list[str]:
    """Of those, the ones that hold no byte and were not changed for so long."""
    oldest = time.time() - older_seconds
    return [slide_id for slide_id in kept_slides() if _is_empty(folder(slide_id), oldest)]


def _is_empty(directory: Path, oldest: float) -> bool:
    try:
        sizes = [path.stat().st_size for path in directory.iterdir()]
        return not any(sizes) and directory.stat().st_mtime <= oldest
    except (FileNotFoundError, NotADirectoryError):  # it goes at this very moment, or is none of ours
        return False


def remove(slide_id: str) -> None:
    """All files of a slide; those that are gone already are no error."""
    shutil.rmtree(folder(slide_id), ignore_errors=True)


def sha256(path: Path, advance: Callable[[], None] = lambda: None) -> str:
    """In hexadecimal digits. `advance`: called now and then; what it raises ends it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(HASH_BYTES):
            digest.update(part)
            advance()
    return digest.hexdigest()


def require_space(wanted_bytes: int) -> None:
    """Raises NoSpace when the disk cannot take so many bytes and keep the free space it must."""
    settings = get_settings()
    settings.data.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.data).free
    if free - wanted_bytes < settings.min_free_bytes:
        raise NoSpace(
            "no-space",
            f"{wanted_bytes} bytes do not fit: {free} are free and {settings.min_free_bytes} must stay so",
            "free space on the server's disk, then send again",
        )
