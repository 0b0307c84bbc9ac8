"""Names and places of slide files in the data folder.

slides/ID/slide.EXT         the upload, as it was sent
slides/ID/parts/            unpacked from a zip (core.slides.archives)
slides/ID/tiles.npz         index of the file's own JPEG tiles (core.pixels.native_tiles)
slides/ID/thumbnail.jpeg
"""

import re
import shutil
import time
from pathlib import Path

from core.errors import Gone, Invalid, NoSpace
from core.settings import get_settings

KNOWN_SUFFIX = re.compile(r"\.(svs|tiff?|ndpi|vms|vmu|scn|mrxs|svslide|bif|dcm|zvi|czi|zip)\Z", re.IGNORECASE)
LONGEST_PATH = 300
TILE_INDEX, THUMBNAIL = "tiles.npz", "thumbnail.jpeg"
PARTS, LEFT_OUT = "parts", "left-out.json"


def slide_file(slide_id: str, filename: str) -> str:
    """Returns where an upload is stored, relative to the data folder.

    Of the sender's name, which may be hostile or a patient's, only a known suffix is used.
    """
    return f"slides/{slide_id}/{main_name(filename)}"


def main_name(filename: str) -> str:
    """Returns the stored name of a slide's own file."""
    suffix = KNOWN_SUFFIX.search(filename)
    return f"slide{suffix.group(0).lower() if suffix else ''}"


def absolute(relative: str) -> Path:
    """Returns the place of a slide's file. An absolute path (a slide by reference) is returned as it is."""
    return get_settings().data.resolve() / relative


def main_part(parts: Path) -> Path:
    """Returns the slide's own file among the unpacked ones: `unpack` named it. Raises Gone when it is not there."""
    named = [path for path in sorted(parts.glob("slide*")) if main_name(path.name) == path.name and path.is_file()]
    if not named:
        raise Gone("slide-file-gone", "the unpacked files of the slide are not here", "send it again")
    return named[0]


def find_import(relative: str) -> Path:
    """Returns a file below the import folder, with all links followed, so that no link leads out of it.

    Raises:
        Invalid: there is no import folder, no such file in it, or its path is too long for the record.
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
    """Returns the ids of slides that have a folder here."""
    root = absolute("slides")
    return [entry.name for entry in root.iterdir()] if root.is_dir() else []


def empty_slides(older_seconds: float) -> list[str]:
    """Returns those of them whose folder holds no byte and has not changed for `older_seconds`."""
    oldest = time.time() - older_seconds
    return [slide_id for slide_id in stored_slides() if _is_empty(folder(slide_id), oldest)]


def _is_empty(directory: Path, oldest: float) -> bool:
    try:
        sizes = [path.stat().st_size for path in directory.iterdir()]
        return not any(sizes) and directory.stat().st_mtime <= oldest
    except (FileNotFoundError, NotADirectoryError):  # removed at this moment, or not a folder of ours
        return False


def remove(slide_id: str) -> None:
    """Removes all files of a slide. Files that are already gone are no error."""
    shutil.rmtree(folder(slide_id), ignore_errors=True)


def remove_parts(slide_id: str) -> None:
    """Removes what was unpacked from a slide's zip."""
    shutil.rmtree(folder(slide_id) / PARTS, ignore_errors=True)


def require_space(size_bytes: int) -> None:
    """Raises NoSpace when the disk cannot take these bytes and keep `min_free_bytes` free."""
    settings = get_settings()
    settings.data.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.data).free
    if free - size_bytes < settings.min_free_bytes:
        raise NoSpace(
            "no-space",
            f"{size_bytes} bytes do not fit: {free} are free and {settings.min_free_bytes} must stay free",
            "free space on the server's disk, then send again",
            bytes=size_bytes,
            free_bytes=free,
            min_free_bytes=settings.min_free_bytes,
        )
