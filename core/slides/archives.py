"""Unpacks slides of many files (MRXS, VMS, VMU, a DICOM series), which are uploaded as one zip.

    slides/ID/slide.zip    as it was sent: these bytes were acknowledged, and the sha256 is theirs
    slides/ID/parts/       what readers see: slide.mrxs, slide/Slidedat.ini, …; complete or absent
    slides/ID/left-out.json    names of the zip's other files (core.slides.layout)

The zip is not trusted. File names that a slide's files use for each other are kept, all others are
replaced, and folders are flattened. A file that may belong to another slide is refused, and so is a size that a zip of
images cannot have.
"""

import contextlib
import errno
import io
import json
import os
import shutil
import stat
import struct
import tempfile
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from core.errors import ArchiveRefused, NoSpace
from core.settings import get_settings
from core.slides import durable, storage
from core.slides.layout import (
    ALONE,
    AS_SCANNED,
    OWN_FILES,
    ZIP,
    Layout,
    is_left_behind,
    layout,
    name_of,
    quoted,
    refuse_references,
)

MOST_FILES = 4000
MOST_DIRECTORY = 1 << 21  # bytes of the central directory
MOST_RATIO, SMALL = 20, 1 << 22  # images in a slide are compressed already, so deflate gains little
ABANDONED_SECONDS = 3600.0
COPY_BYTES = 1 << 20
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# What zipfile raises of a damaged or hostile archive, in all the places where it trusts its input.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, RuntimeError, struct.error)
BROKEN = ("the zip is damaged, or a file in it is not what its list says", "zip and send it again")


def is_archive(path: Path) -> bool:
    """Whether a file begins with a zip's signature."""
    with path.open("rb") as file:
        return file.read(4) in ZIP


def unpack(archive: Path, folder: Path, advance: Callable[[], None]) -> Path:
    """Unpacks a zip unless its parts exist; returns the slide's own file among them.

    Args:
        folder: of the slide, in the data folder. `parts` appears in it in one step, complete.
        advance: called now and then; what it raises ends the unpacking.

    Raises:
        ArchiveRefused: it is damaged, or not the zip of one slide. NoSpace: it does not fit.
    """
    parts = folder / storage.PARTS
    if not parts.is_dir():
        try:
            _unpack_beside(archive, parts, advance)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            # `_plan` compared the sizes with the free space, but others write to the disk too.
            detail = "the disk became full while the slide's zip was unpacked"
            raise NoSpace("no-space", detail, "free space on the server's disk, then try again") from error
    return storage.main_part(parts)


def left_out(folder: Path) -> list[str]:
    """Returns the names of the files of a slide's zip that are no part of the slide. `folder`: of the slide."""
    try:
        return [str(name) for name in json.loads((folder / storage.LEFT_OUT).read_bytes())]
    except FileNotFoundError:
        return []


def _unpack_beside(archive: Path, parts: Path, advance: Callable[[], None]) -> None:
    """Unpacks into a folder beside `parts` and renames it: a process that is killed leaves no half of a slide."""
    folder = parts.parent
    folder.mkdir(parents=True, exist_ok=True)  # a slide by reference has no folder yet
    _remove_abandoned(folder)
    fresh = Path(tempfile.mkdtemp(prefix=f"{storage.PARTS}.", dir=folder))
    try:
        left_out = _unpack(archive, fresh, advance)
        if left_out:
            durable.write(folder / storage.LEFT_OUT, json.dumps(left_out).encode())
        _settle(fresh, parts)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Removes what killed workers left. A young folder stays: another worker may be writing to it."""
    for half_done in folder.glob(f"{storage.PARTS}.*"):
        with contextlib.suppress(FileNotFoundError):
            if half_done.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                shutil.rmtree(half_done, ignore_errors=True)


def _unpack(archive: Path, fresh: Path, advance: Callable[[], None]) -> list[str]:
    try:
        with _Bounded(archive) as file, zipfile.ZipFile(file) as opened:
            plan = _plan(opened, archive.stat().st_size)
            for target, entry in plan.plan.items():
                _copy(opened, entry, fresh / target, advance)
            return plan.left_out
    except DAMAGED:  # zipfile's messages contain names of files in the zip, which may be PHI
        raise ArchiveRefused("zip-damaged", *BROKEN) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a seek to a negative offset, which only the zip can have caused
            raise
        raise ArchiveRefused("zip-damaged", *BROKEN) from None


class _Bounded(io.FileIO):
    """A file of which no single read exceeds MOST_DIRECTORY bytes.

    zipfile reads the central directory in one call, of the size that the zip claims for it.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        count = left if size is None or size < 0 else size
        if count > MOST_DIRECTORY:
            raise _too_many()
        return super().read(count)


def _too_many() -> ArchiveRefused:
    return ArchiveRefused("zip-too-many", f"the zip lists more than {MOST_FILES} files", ALONE, most=MOST_FILES)


def _plan(opened: zipfile.ZipFile, size_bytes: int) -> Layout:
    """Decides where each file goes before the first byte is unpacked. Raises ArchiveRefused, NoSpace."""
    if len(opened.infolist()) > MOST_FILES:
        raise _too_many()
    files = [one for one in opened.infolist() if not name_of(one).endswith("/")]
    entries = [one for one in files if not is_left_behind(one)]
    # A refused zip costs neither time nor disk.
    for entry in entries:
        _refuse_unsafe(entry)
    _refuse_claims(entries, size_bytes)
    decided = layout(opened, entries, [one for one in files if is_left_behind(one)])
    plan = decided.plan
    # NFKC and case folding, as file systems that ignore case or normalise names would take two entries for one.
    if len({unicodedata.normalize("NFKC", target).casefold() for target in plan}) < len(plan):
        raise ArchiveRefused("zip-names", "two files of the zip have the same name", ALONE)
    refuse_references(opened, plan)
    storage.require_space(sum(entry.file_size for entry in plan.values()))
    return decided


def _refuse_unsafe(entry: zipfile.ZipInfo) -> None:
    # `orig_filename` in `name_of`: zipfile's own `filename` is cut at a zero byte.
    # The upper 16 bits of `external_attr` are the Unix mode, 0 where the zip was made on another system.
    name, kind = name_of(entry), stat.S_IFMT(entry.external_attr >> 16)
    path, file = PurePosixPath(name), quoted(entry)
    if "\0" in name or ":" in name or path.is_absolute() or ".." in path.parts:
        raise ArchiveRefused("zip-names", f"a name in the zip leads out of it: {file}", OWN_FILES, file=file)
    if kind not in (0, stat.S_IFREG):
        detail = f"the zip contains a link or a device: {file}"
        raise ArchiveRefused("zip-links", detail, "zip the files themselves", file=file)
    if entry.flag_bits & 1:
        raise ArchiveRefused("zip-encrypted", f"the zip is encrypted: {file}", "zip it without a password", file=file)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveRefused(
            "zip-method",
            f"the zip uses a compression method other than store and deflate: {file}",
            "zip it again with deflate, or without compression",
            file=file,
        )


def _refuse_claims(entries: list[zipfile.ZipInfo], size_bytes: int) -> None:
    """Refuses sizes that the file cannot contain (entries that overlap), and those that no slide has (zip bombs)."""
    packed, unpacked = sum(one.compress_size for one in entries), sum(one.file_size for one in entries)
    most = get_settings().upload_max_bytes
    if packed > size_bytes or any(one.header_offset >= size_bytes for one in entries):
        raise ArchiveRefused("zip-claims", "the zip's files are larger than the zip, or overlap in it", "zip it again")
    if unpacked > SMALL and unpacked > MOST_RATIO * packed:
        detail = f"{packed} bytes of the zip claim to become {unpacked}: more than {MOST_RATIO} times as many"
        sizes = {"packed_bytes": packed, "unpacked_bytes": unpacked, "most_ratio": MOST_RATIO}
        raise ArchiveRefused("zip-ratio", detail, AS_SCANNED, **sizes)
    if unpacked > most:
        detail = f"the zip's files have {unpacked} bytes, over the limit of {most}"
        raise ArchiveRefused("zip-too-large", detail, "send less", unpacked_bytes=unpacked, most_bytes=most)


def _copy(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, advance: Callable[[], None]) -> None:
    """Unpacks one file, durably. zipfile ends at the claimed size and compares the CRC-32."""
    target.parent.mkdir(exist_ok=True)
    with opened.open(entry) as read, target.open("xb") as written:
        while part := read.read(COPY_BYTES):
            written.write(part)
            advance()
        if written.tell() != entry.file_size:
            raise zipfile.BadZipFile("a file ends early")
        written.flush()
        os.fsync(written.fileno())


def _settle(fresh: Path, parts: Path) -> None:
    """Renames the finished folder to its place, durably. Where another worker was first, its parts are the same."""
    fresh.chmod(0o755)
    for directory in (*(path for path in fresh.iterdir() if path.is_dir()), fresh):
        durable.sync_directory(directory)
    try:
        fresh.rename(parts)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    durable.sync_directory(parts.parent)
