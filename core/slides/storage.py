"""Slide files and what is derived from them, in the data folder.

slides/ID/slide.EXT, parts/ (of a zip), tiles.npz, thumbnail.jpeg
"""

import re
import shutil
import time
from pathlib import Path

from core.errors import Gone, Invalid, NoSpace
from core.settings import get_settings

KNOWN_SUFFIX = re.compile(r"\.(svs|tiff?|ndpi|vms|vmu|scn|mrxs|svslide|bif|dcm|zvi|czi|zip)$", re.IGNORECASE)
LONGEST_PATH = 300
TILE_INDEX, THUMBNAIL = "tiles.npz", "thumbnail.jpeg"
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


def main_part(parts: Path) -> Path:
    """The slide's own file among those that came in a zip: the one that we named. Raises Gone when it is not there."""
    found = [path for path in sorted(parts.glob("slide*")) if main_name(path.name) == path.name and path.is_file()]
    if not found:
        raise Gone("slide-file-gone", "what was unpacked of the slide is not here", "send it again")
    return found[0]


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


def folder(slide_id: str) -> Path:
    return absolute(f"slides/{slide_id}")


def stored_slides() -> list[str]:
    """The slides that have a folder here."""
    root = absolute("slides")
    return [entry.name for entry in root.iterdir()] if root.is_dir() else []


def empty_slides(older_seconds: float) -> list[str]:
    """Of those, the ones that hold no byte and were not changed for so long."""
    oldest = time.time() - older_seconds
    return [slide_id for slide_id in stored_slides() if _is_empty(folder(slide_id), oldest)]


def _is_empty(directory: Path, oldest: float) -> bool:
    try:
        sizes = [path.stat().st_size for path in directory.iterdir()]
        return not any(sizes) and directory.stat().st_mtime <= oldest
    except (FileNotFoundError, NotADirectoryError):  # it goes at this very moment, or is none of ours
        return False


def remove(slide_id: str) -> None:
    """All files of a slide; those that are gone already are no error."""
    shutil.rmtree(folder(slide_id), ignore_errors=True)


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
