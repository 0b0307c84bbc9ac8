"""Decides which files of a zip belong to its slide, by its list and the heads of its DICOM files.

What cannot be part of any slide (notes, checksums, thumbnails, annotations, what systems leave behind) is left out and
named. What may be another slide, or a part of this one that is not understood, is refused by name.
"""

import contextlib
import re
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from core.errors import ArchiveRefused
from core.formats.dicom import Header, NotDicom, is_dicom, read_header
from core.slides import storage
from core.slides.catalog import DROPPED

MOST_TEXT, LONGEST_NAME, MOST_NAMED, MOST_SHOWN = 1 << 20, 200, 50, 80
LEFT_BEHIND = re.compile(r"(^|/)(__MACOSX/|\.DS_Store\Z|\._|Thumbs\.db\Z|desktop\.ini\Z|DICOMDIR\Z)", re.IGNORECASE)
NOTES = re.compile(
    r"(^|/)((README|LICEN[CS]E|NOTICE|CHANGELOG|CHECKSUMS?|MANIFEST|(MD5|SHA\d+)(SUMS?)?)(\.\w+)?|\.[^/]*)\Z"
    r"|\.(xml|txt|md|rtf|html?|csv|tsv|json|geojson|ya?ml|md5|sha\d+|sfv|crc|sig|asc|pdf|docx?|xlsx?|log|url|lnk|ndpa"
    r"|annotations|qpdata|jpe?g|png|gif|bmp)\Z",
    re.IGNORECASE,
)
PLAIN = re.compile(r"[\w ,;+@()\[\]-][\w .,;+@()\[\]-]*")
BESIDE = {".vms": re.compile(r"\.(jpe?g|opt)\Z", re.IGNORECASE), ".vmu": re.compile(r"\.(ngr|opt)\Z", re.IGNORECASE)}
IN_MRXS = re.compile(r"\.(ini|dat)\Z", re.IGNORECASE)
NAMES_A_FILE = re.compile(r"FILE_\d+|INDEXFILE|ImageFile.*|MapFile|MacroImage|OptimisationFile", re.IGNORECASE)
AS_SCANNED, ALONE = "send the slide as its scanner wrote it", "zip one slide alone"
OWN_FILES = "zip the slide's own files, nothing else"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
Plan = dict[str, zipfile.ZipInfo]  # target below `parts` → entry


@dataclass(frozen=True)
class Layout:
    """Where each file of the slide goes, and the names of those that were left out."""

    plan: Plan
    left_out: list[str] = field(default_factory=list)


def name_of(entry: zipfile.ZipInfo) -> str:
    """Returns the name of an entry with slashes: some Windows programs write backslashes.

    A name without the flag for UTF-8 is read as code page 437, as the standard says, unless its bytes are UTF-8: many
    programs write that without the flag.
    """
    name = entry.orig_filename
    if not entry.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def quoted(entry: zipfile.ZipInfo) -> str:
    """Returns the name of an entry as a sentence quotes it."""
    folder, _, last = name_of(entry).rpartition("/")
    readable = "".join(c for c in last if c.isprintable() and c not in DROPPED)
    return "“__MACOSX”" if folder.split("/")[0] == "__MACOSX" else f"“{readable[:MOST_SHOWN]}”"


def is_left_behind(entry: zipfile.ZipInfo) -> bool:
    """Whether an operating system or a DICOM export left the entry there."""
    return LEFT_BEHIND.search(name_of(entry)) is not None


def layout(
    opened: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], left_behind: Sequence[zipfile.ZipInfo]
) -> Layout:
    """Decides by the slide's format which other files come with it. Raises ArchiveRefused."""
    named = [one for one in entries if PurePosixPath(name_of(one)).suffix.lower() in (".mrxs", *BESIDE)]
    dicom = [one for one in entries if not named and _is_dicom(opened, one)]
    if len(named) > 1:
        raise _several([quoted(one) for one in named])
    if named:
        plan, left_out = _layout_of_many(named[0], [one for one in entries if one is not named[0]])
    elif dicom:
        plan, left_out = _layout_of_dicom(opened, dicom, [one for one in entries if one not in dicom])
    else:
        plan, left_out = _layout_of_one(opened, entries)
    return Layout(plan, _bounded([*left_out, *dict.fromkeys(quoted(one) for one in left_behind)]))


def _bounded(names: list[str]) -> list[str]:
    more = len(names) - MOST_NAMED
    return names if more <= 0 else [*names[:MOST_NAMED], f"and {more} more"]


def _several(names: Sequence[str]) -> ArchiveRefused:
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    detail = f"the zip contains {len(names)} slides: {listed}"
    return ArchiveRefused("zip-no-slide", detail, "zip each slide alone", slides=len(names), files=listed)


def _foreign(entry: zipfile.ZipInfo, slide_format: str, number: int) -> ArchiveRefused:
    place = f"{quoted(entry)}, number {number} of the others"
    detail = f"the zip contains a file that is not part of a {slide_format} slide: {place}"
    return ArchiveRefused("zip-kinds", detail, OWN_FILES, format=slide_format, number=number, file=quoted(entry))


def _layout_of_one(opened: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo]) -> tuple[Plan, list[str]]:
    """A slide of one file. Whatever is alone in the zip counts as one: the reader says what it is not."""
    slides = [one for one in entries if not NOTES.search(name_of(one))] if len(entries) > 1 else list(entries)
    if len(slides) > 1:
        by_name = [one for one in slides if storage.KNOWN_SUFFIX.search(name_of(one))]
        if len(by_name) == 1:
            others = [one for one in slides if one is not by_name[0]]
            raise _foreign(others[0], PurePosixPath(name_of(by_name[0])).suffix.lower(), 1)
        if by_name:
            raise _several([quoted(one) for one in by_name])
    if len(slides) != 1:
        names = ", ".join(quoted(one) for one in (slides or entries)[:5])
        detail = "the zip is not one slide: one file, or the files of one MRXS, VMS or VMU slide or DICOM series"
        raise ArchiveRefused("zip-no-slide", f"{detail} ({names or 'it is empty'})", "zip one slide with all its files")
    with opened.open(slides[0]) as file:
        if file.read(4) in ZIP:
            detail = f"the zip contains a zip: {quoted(slides[0])}"
            raise ArchiveRefused("zip-nested", detail, "send the inner zip", file=quoted(slides[0]))
    left_out = [quoted(one) for one in entries if one is not slides[0]]
    return {storage.main_name(name_of(slides[0])): slides[0]}, left_out


def _layout_of_many(main: zipfile.ZipInfo, others: Sequence[zipfile.ZipInfo]) -> tuple[Plan, list[str]]:
    path = PurePosixPath(name_of(main))
    suffix = path.suffix.lower()
    home, belongs, below = path.with_suffix(""), IN_MRXS, "slide/"
    if suffix in BESIDE:
        home, belongs, below = path.parent, BESIDE[suffix], ""
    plan, left_out = {f"slide{suffix}": main}, []
    # Formats refer to companions by name, so names are stored as they are, and only plain ones are accepted.
    for number, one in enumerate(others, 1):
        place = PurePosixPath(name_of(one))
        plain = PLAIN.fullmatch(place.name) and len(place.name.encode()) <= LONGEST_NAME
        if place.parent == home and belongs.search(place.name) and plain:
            if f"{below}{place.name}" in plan:
                raise ArchiveRefused("zip-names", f"two files of the zip have the same name: {quoted(one)}", ALONE)
            plan[f"{below}{place.name}"] = one
        elif NOTES.search(place.as_posix()) and not belongs.search(place.name):
            left_out.append(quoted(one))
        else:
            raise _foreign(one, suffix, number)
    return plan, left_out


def _layout_of_dicom(
    opened: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], others: Sequence[zipfile.ZipInfo]
) -> tuple[Plan, list[str]]:
    """The levels, label and overview of one series. Other objects and series without a level are left out."""
    for number, one in enumerate(others, 1):
        if not NOTES.search(name_of(one)):
            raise _foreign(one, "DICOM", number)
    heads = [(one, _header(opened, one)) for one in entries]
    left_out = [f"{quoted(one)} ({head.class_name})" for one, head in heads if not head.is_wsi]
    images, copies = _without_copies([(one, head) for one, head in heads if head.is_wsi])
    if not images:
        detail = f"the zip has no whole-slide image: {', '.join(left_out[:5])}"
        raise ArchiveRefused("zip-no-slide", detail, "zip the slide's own series")
    series = dict[tuple[str, str], zipfile.ZipInfo]()
    for one, head in images:
        if head.is_volume:
            series.setdefault((head.study, head.series), one)
    if len(series) > 1:
        raise _several([f"the series of {quoted(one)}" for one in series.values()])
    chosen = next(iter(series), (images[0][1].study, images[0][1].series))
    own = [one for one, head in images if (head.study, head.series) == chosen]
    left_out += [f"{quoted(one)} (of another series)" for one, _ in images if one not in own]
    # The largest file is that of the finest level. Names and numbers say nothing reliable of the order.
    levels = {id(one) for one, head in images if head.is_volume}
    ordered = sorted(own, key=lambda one: (id(one) not in levels, -one.file_size, one.filename))
    plan = {"slide.dcm" if i == 0 else f"part{i:04d}.dcm": one for i, one in enumerate(ordered)}
    return plan, [*left_out, *copies, *(quoted(one) for one in others)]


def _without_copies(
    images: Sequence[tuple[zipfile.ZipInfo, Header]],
) -> tuple[list[tuple[zipfile.ZipInfo, Header]], list[str]]:
    """Returns the images without those that are another's bytes again, and the names of these.

    Raises:
        ArchiveRefused: two images have one SOP instance UID, and other bytes.
    """
    firsts, copies = dict[str, tuple[zipfile.ZipInfo, Header]](), []
    for number, (one, head) in enumerate(images):
        first, _ = firsts.setdefault(head.instance or str(number), (one, head))
        if first is one:
            continue
        if (first.file_size, first.CRC) != (one.file_size, one.CRC):
            detail = f"two images of the zip have one SOP instance UID: {quoted(first)} and {quoted(one)}"
            raise ArchiveRefused("zip-kinds", detail, ALONE, file=quoted(one))
        copies.append(f"{quoted(one)} (a copy of {quoted(first)})")
    return list(firsts.values()), copies


def _is_dicom(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    with opened.open(entry) as file:
        return is_dicom(file.read(132))


def _header(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Header:
    with opened.open(entry) as file:
        try:
            return read_header(file)
        except NotDicom as error:
            detail = f"a DICOM file of the zip cannot be read: {quoted(entry)} ({error})"
            raise ArchiveRefused("zip-kinds", detail, AS_SCANNED, file=quoted(entry)) from None


def refuse_references(opened: zipfile.ZipFile, plan: Plan) -> None:
    """Refuses an index file that names files elsewhere. The reader's sandbox is the second line of defence."""
    for target, entry in plan.items():
        if not target.lower().endswith(("/slidedat.ini", ".vms", ".vmu")):
            continue
        if entry.file_size > MOST_TEXT:
            detail = f"a text file of the slide is too large: {quoted(entry)}"
            raise ArchiveRefused("zip-claims", detail, AS_SCANNED, file=quoted(entry))
        with opened.open(entry) as file:
            text = file.read(MOST_TEXT).decode("latin-1")  # maps every byte to a character, so it cannot fail
        pairs = [line.partition("=") for line in text.splitlines()]
        named = [value for key, _, value in pairs if NAMES_A_FILE.fullmatch(key.strip())]
        if any("/" in name or "\\" in name or ".." in name for name in named):
            detail = f"the slide names files outside of itself: {quoted(entry)}"
            raise ArchiveRefused("zip-references", detail, AS_SCANNED, file=quoted(entry))
