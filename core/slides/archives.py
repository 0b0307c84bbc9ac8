"""Unpacks slides of many files (MRXS, VMS, VMU, a DICOM series), which are uploaded as one zip.

    slides/ID/slide.zip    as it was sent: these bytes were acknowledged, and the sha256 is theirs
    slides/ID/parts/       what readers see: slide.mrxs, slide/Slidedat.ini, …; complete or absent

The zip is not trusted. File names that a slide's files use for each other are kept, all others are
replaced, and folders are flattened. A file that does not belong to the format is refused, and so is a size that a zip
of images cannot have. Content decides what a file is, never its name.
"""

import contextlib
import errno
import io
import os
import re
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

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
MOST_FILES = 4000
MOST_DIRECTORY = 1 << 21  # bytes of the central directory
MOST_RATIO, SMALL = 20, 1 << 22  # images in a slide are compressed already, so deflate gains little
MOST_TEXT, LONGEST_NAME = 1 << 20, 200
ABANDONED_SECONDS = 3600.0
COPY_BYTES = 1 << 20
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
LEFT_BEHIND = re.compile(r"(^|/)(__MACOSX/|\.DS_Store\Z|\._|Thumbs\.db\Z|desktop\.ini\Z|DICOMDIR\Z)", re.IGNORECASE)
PLAIN = re.compile(r"[\w ,;+@()\[\]-][\w .,;+@()\[\]-]*")
BESIDE = {".vms": re.compile(r"\.(jpe?g|opt)\Z", re.IGNORECASE), ".vmu": re.compile(r"\.(ngr|opt)\Z", re.IGNORECASE)}
IN_MRXS = re.compile(r"\.(ini|dat)\Z", re.IGNORECASE)
NAMES_A_FILE = re.compile(r"FILE_\d+|INDEXFILE|ImageFile.*|MapFile|MacroImage|OptimisationFile", re.IGNORECASE)
# What zipfile raises of a damaged or hostile archive, in all the places where it trusts its input.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, RuntimeError, struct.error)
AS_SCANNED, ALONE = "send the slide as its scanner wrote it", "zip one slide alone"
OWN_FILES = "zip the slide's own files, nothing else"
BROKEN = ("the zip is damaged, or a file in it is not what its list says", "zip and send it again")
Plan = dict[str, zipfile.ZipInfo]  # target below `parts` → entry


def is_archive(path: Path) -> bool:
    """Whether a file begins with a zip's signature."""
    with path.open("rb") as file:
        return file.read(4) in MAGIC


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


def _unpack_beside(archive: Path, parts: Path, advance: Callable[[], None]) -> None:
    """Unpacks into a folder beside `parts` and renames it: a process that is killed leaves no half of a slide."""
    folder = parts.parent
    folder.mkdir(parents=True, exist_ok=True)  # a slide by reference has no folder yet
    _remove_abandoned(folder)
    fresh = Path(tempfile.mkdtemp(prefix=f"{storage.PARTS}.", dir=folder))
    try:
        _unpack(archive, fresh, advance)
        _settle(fresh, parts)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Removes what killed workers left. A young folder stays: another worker may be writing to it."""
    for half_done in folder.glob(f"{storage.PARTS}.*"):
        with contextlib.suppress(FileNotFoundError):
            if half_done.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                shutil.rmtree(half_done, ignore_errors=True)


def _unpack(archive: Path, fresh: Path, advance: Callable[[], None]) -> None:
    try:
        with _Bounded(archive) as file, zipfile.ZipFile(file) as opened:
            plan = _plan(opened, archive.stat().st_size)
            for target, entry in plan.items():
                _copy(opened, entry, fresh / target, advance)
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


def _plan(opened: zipfile.ZipFile, size_bytes: int) -> Plan:
    """Decides where each file goes, by the central directory alone. Raises ArchiveRefused, NoSpace."""
    if len(opened.infolist()) > MOST_FILES:
        raise _too_many()
    entries = [
        one for one in opened.infolist() if not one.filename.endswith("/") and not LEFT_BEHIND.search(one.filename)
    ]
    # Everything is decided before the first byte is unpacked: a refused zip costs neither time nor disk.
    for entry in entries:
        _refuse_unsafe(entry)
    _refuse_claims(entries, size_bytes)
    plan = _layout(opened, entries)
    # NFKC and case folding, as file systems that ignore case or normalise names would take two entries for one.
    if len({unicodedata.normalize("NFKC", target).casefold() for target in plan}) < len(entries):
        raise ArchiveRefused("zip-names", "two files of the zip have the same name", ALONE)
    _refuse_references(opened, plan)
    storage.require_space(sum(entry.file_size for entry in entries))
    return plan


def _refuse_unsafe(entry: zipfile.ZipInfo) -> None:
    # `orig_filename`: zipfile's own `filename` is cut at a zero byte and has its separators replaced.
    # The upper 16 bits of `external_attr` are the Unix mode, 0 where the zip was made on another system.
    name, kind = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
    path = PurePosixPath(name)
    if "\\" in name or "\0" in name or ":" in name or path.is_absolute() or ".." in path.parts:
        raise ArchiveRefused("zip-names", "a name in the zip leads out of it", OWN_FILES)
    if kind not in (0, stat.S_IFREG):
        raise ArchiveRefused("zip-links", "the zip contains a link or a device", "zip the files themselves")
    if entry.flag_bits & 1:
        raise ArchiveRefused("zip-encrypted", "the zip is encrypted", "zip it without a password")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveRefused(
            "zip-method",
            "the zip uses a compression method other than store and deflate",
            "zip it again with deflate, or without compression",
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


def _layout(opened: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Plan:
    """Decides by the slide's format which other files may come with it. Raises ArchiveRefused."""
    named = [one for one in entries if PurePosixPath(one.filename).suffix.lower() in (".mrxs", *BESIDE)]
    if len(named) == 1:
        return _layout_of_many(named[0], [one for one in entries if one is not named[0]])
    if not named and entries and all(_is_dicom(opened, one) for one in entries):
        # The largest file is that of the finest level. Names and numbers say nothing reliable of the order.
        ordered = sorted(entries, key=lambda one: (-one.file_size, one.filename))
        return {"slide.dcm" if i == 0 else f"part{i:04d}.dcm": one for i, one in enumerate(ordered)}
    if len(entries) == 1:
        return {storage.main_name(entries[0].filename): entries[0]}
    detail = "the zip is not one slide: one file, or the files of one MRXS, VMS or VMU slide or DICOM series"
    raise ArchiveRefused("zip-no-slide", detail, "zip one slide alone, with all its files")


def _layout_of_many(main: zipfile.ZipInfo, others: list[zipfile.ZipInfo]) -> Plan:
    path = PurePosixPath(main.filename)
    suffix = path.suffix.lower()
    home, belongs, below = path.with_suffix(""), IN_MRXS, "slide/"
    if suffix in BESIDE:
        home, belongs, below = path.parent, BESIDE[suffix], ""
    plan = {f"slide{suffix}": main}
    # Formats refer to companions by name, so names are stored as they are, and only plain ones are accepted.
    for number, one in enumerate(others, 1):
        place = PurePosixPath(one.filename)
        plain = PLAIN.fullmatch(place.name) and len(place.name.encode()) <= LONGEST_NAME
        if place.parent != home or not belongs.search(place.name) or not plain:
            # Its number, not its name, which may be a patient's.
            detail = f"the zip contains a file that is not part of a {suffix} slide: number {number} of the others"
            raise ArchiveRefused("zip-kinds", detail, OWN_FILES, format=suffix, number=number)
        plan.setdefault(f"{below}{place.name}", one)  # _plan refuses equal names by their count
    return plan


def _is_dicom(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """DICOM PS3.10, section 7.1: a preamble of 128 bytes of any content, then DICM."""
    with opened.open(entry) as file:
        return file.read(132)[128:] == b"DICM"


def _refuse_references(opened: zipfile.ZipFile, plan: Plan) -> None:
    """Refuses an index file that names files elsewhere. The reader's sandbox is the second line of defence."""
    for target, entry in plan.items():
        if not target.lower().endswith(("/slidedat.ini", ".vms", ".vmu")):
            continue
        if entry.file_size > MOST_TEXT:
            raise ArchiveRefused("zip-claims", "a text file of the slide is too large", AS_SCANNED)
        with opened.open(entry) as file:
            text = file.read(MOST_TEXT).decode("latin-1")  # maps every byte to a character, so it cannot fail
        pairs = [line.partition("=") for line in text.splitlines()]
        named = [value for key, _, value in pairs if NAMES_A_FILE.fullmatch(key.strip())]
        if any("/" in name or "\\" in name or ".." in name for name in named):
            raise ArchiveRefused("zip-references", "the slide names files outside of itself", AS_SCANNED)


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
