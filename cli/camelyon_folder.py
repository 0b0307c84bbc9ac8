"""Joins the slides of one folder with the outlines of another by name.

The rule, from the strictest to the loosest; a file that one step joined is out of the next ones:

1. the outlines are named by the slide's sha256: `<sha256>.xml`;
2. by the slide's file name: `tumor_001.tif.geojson` for `tumor_001.tif`;
3. by its name without the suffix: `tumor_001.xml`;
4. steps 2 and 3 with spaces, underscores and hyphens alike: `tumor 001.xml`.

Case never counts, nor how an accent is encoded (NFC), nor spaces at the ends or how many there are. Where a step finds
several slides or several outlines under one name, none of them is joined, and each is reported.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cli.client import file_digest

OUTLINE_SUFFIXES = (".xml", ".json", ".geojson")
SLIDE_SUFFIXES = (
    ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".svs", ".svslide", ".ndpi", ".scn", ".bif", ".mrxs", ".vms", ".vmu",
    ".dcm", ".dicom", ".zip", ".czi",
)  # fmt: skip
SIDE_SUFFIXES = (
    ".txt", ".csv", ".tsv", ".xlsx", ".md", ".md5", ".sha1", ".sha256", ".log", ".html", ".pdf", ".ini", ".db", ".yml",
    ".yaml", ".qpproj", ".qpdata", ".lnk", ".ndpa", ".annotations", ".gz",
)  # fmt: skip
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class SlideFile:
    """A file that is meant as a slide."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def digest(self) -> str:
        """The file's sha256. Reads the whole file, at the first use."""
        return file_digest(self.path)


@dataclass
class Join:
    """Which slides and outlines belong together, and all files that do not."""

    pairs: list[tuple[SlideFile, Path]] = field(default_factory=list)
    lone_slides: list[SlideFile] = field(default_factory=list)
    lone_outlines: list[Path] = field(default_factory=list)
    unclear_slides: dict[SlideFile, str] = field(default_factory=dict)
    unclear_outlines: dict[Path, str] = field(default_factory=dict)


def fold(name: str) -> str:
    """Returns a name without case, in NFC, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).split())


def loose(name: str) -> str:
    """Returns a folded name whose spaces, underscores and hyphens are alike."""
    return re.sub(r"[ _-]+", "_", name)


def stem(name: str) -> str:
    """Returns a folded file name without the suffix of a slide, or without its last one."""
    suffix = next((suffix for suffix in SLIDE_SUFFIXES if name.endswith(suffix)), Path(name).suffix)
    return name.removesuffix(suffix).strip()


def base(path: Path) -> str:
    """Returns an outlines file's folded name without the suffix of outlines."""
    name = fold(path.name)
    return next(name.removesuffix(suffix).strip() for suffix in OUTLINE_SUFFIXES if name.endswith(suffix))


def slide_files(folder: Path) -> tuple[list[SlideFile], dict[Path, str]]:
    """Returns the slides of a folder, by name, and what else is in it: {path: why it is no slide}."""
    paths, others = _sorted_out(folder, _why_no_slide)
    return [SlideFile(path) for path in paths], others


def outline_files(folder: Path) -> tuple[list[Path], dict[Path, str]]:
    """Returns the outlines of a folder, by name, and what else is in it: {path: why it is none}."""
    return _sorted_out(folder, _why_no_outlines)


def _sorted_out(folder: Path, why_not: Callable[[Path], str | None]) -> tuple[list[Path], dict[Path, str]]:
    """Returns the entries of a folder without a reason, by name, and the others with theirs."""
    reasons = {path: why_not(path) for path in sorted(folder.iterdir())}
    return [path for path, reason in reasons.items() if not reason], {p: why for p, why in reasons.items() if why}


def _why_no_file(path: Path) -> str | None:
    if path.name.startswith("."):
        return "a hidden file"
    if path.is_dir():
        return "a folder, which is not searched"
    return None if path.is_file() else "no file: a link to nothing, or a device"


def _why_no_outlines(path: Path) -> str | None:
    if path.name.lower().endswith(OUTLINE_SUFFIXES):
        return _why_no_file(path)
    return _why_no_file(path) or f"not one of {', '.join(OUTLINE_SUFFIXES)}"


def _why_no_slide(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if reason := _why_no_file(path):
        return reason
    if suffix in OUTLINE_SUFFIXES:
        return "outlines by its suffix"
    return f"no slide by its suffix {suffix}" if suffix in SIDE_SUFFIXES else None


def join(slides: Iterable[SlideFile], outlines: Iterable[Path]) -> Join:
    """Joins slides and outlines by the rule above."""
    result = Join(lone_slides=list(slides), lone_outlines=list(outlines))
    if any(DIGEST.fullmatch(base(path)) for path in result.lone_outlines):
        _step(result, lambda slide: digest_or_none(slide) or "", base)
    _step(result, lambda slide: fold(slide.name), base)
    _step(result, lambda slide: stem(fold(slide.name)), base)
    _step(result, lambda slide: loose(fold(slide.name)), lambda path: loose(base(path)))
    _step(result, lambda slide: loose(stem(fold(slide.name))), lambda path: loose(base(path)))
    return result


def digest_or_none(slide: SlideFile) -> str | None:
    """Returns the file's sha256; None for a file that cannot be read, whose upload reports it."""
    try:
        return slide.digest
    except OSError:
        return None


def _step(result: Join, slide_key: Callable[[SlideFile], str], outline_key: Callable[[Path], str]) -> None:
    """Joins what is alone under its key on both sides, and takes what is not out of the next steps."""
    by_key: dict[str, tuple[list[SlideFile], list[Path]]] = defaultdict(lambda: ([], []))
    for slide in result.lone_slides:
        by_key[slide_key(slide)][0].append(slide)
    for path in result.lone_outlines:
        by_key[outline_key(path)][1].append(path)
    for slides, outlines in by_key.values():
        if not slides or not outlines:
            continue
        if len(slides) == len(outlines) == 1:
            result.pairs.append((slides[0], outlines[0]))
        else:
            names = ", ".join([slide.name for slide in slides] + [path.name for path in outlines])
            result.unclear_slides.update(dict.fromkeys(slides, f"its name fits several files: {names}"))
            result.unclear_outlines.update(dict.fromkeys(outlines, f"its name fits several files: {names}"))
        result.lone_slides = [slide for slide in result.lone_slides if slide not in slides]
        result.lone_outlines = [path for path in result.lone_outlines if path not in outlines]


def named_slides(names: Iterable[str], slides: list[SlideFile]) -> tuple[set[SlideFile], list[str]]:
    """Returns the slides that a list names, by file name or without its suffix, and the names that fit none.

    A name may fit several slides, such as two files of one case: all of them are meant.
    """
    chosen: set[SlideFile] = set()
    lone = []
    for name in names:
        key = fold(name)
        fits = [slide for slide in slides if key in (fold(slide.name), stem(fold(slide.name)))]
        chosen.update(fits)
        if not fits:
            lone.append(name.strip())
    return chosen, lone
