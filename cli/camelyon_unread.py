"""Says which files that are neither slides nor outlines may be outlines or slides that nobody reads.

Such a file is a problem: a slide whose outlines are not read would count as free of tumour. Hidden files, checksums and
notes whose name fits no slide are none.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from cli.camelyon_folder import OUTLINE_SUFFIXES, SIDE_SUFFIXES, SlideFile, fold, loose, stem

CHECKSUMS = (".md5", ".sha1", ".sha256")
# image data of QuPath, a shortcut to any file, outlines of NDP.view and of HALO, anything compressed
MAY_HAVE_OUTLINES = (".qpdata", ".lnk", ".ndpa", ".annotations", ".gz")
DATA_FOLDERS = (".mrxs",)  # a slide of these formats has a folder of its name beside it


def unread_files(
    folders: tuple[Path, Path], slides: list[SlideFile], others: tuple[dict[Path, str], dict[Path, str]]
) -> dict[Path, str]:
    """Returns {path: why it is a problem} of the files and folders that neither side reads.

    Args:
        folders: those of slides and of outlines.
        others: {path: why it was not read} of each of them.
    """
    roots = {folder.resolve() for folder in folders}
    read_by_other_side = {slide.path.resolve() for slide in slides} if len(roots) == 1 else set()
    names = {loose(form) for slide in slides for form in (fold(slide.name), stem(fold(slide.name)))}
    data = {stem(fold(slide.name)) for slide in slides if fold(slide.name).endswith(DATA_FOLDERS)}
    problems: dict[Path, str] = {}
    for is_outlines, side in enumerate(others):
        for path, reason in side.items():
            place = path.resolve()
            if path.name.startswith(".") or place in roots or place in read_by_other_side:
                continue
            if path.is_dir() and fold(path.name) in data:
                continue
            if why := _why_problem(path, reason, names, bool(is_outlines), same_folder=len(roots) == 1):
                problems[path] = why
    return problems


def _why_problem(path: Path, reason: str, names: set[str], is_outlines: bool, same_folder: bool) -> str | None:
    """Why a file that one side did not read is a problem; None when it is none."""
    name = fold(path.name)
    if not path.is_file():  # a subfolder, or a link to nothing
        return reason
    if name.endswith(OUTLINE_SUFFIXES):  # among the slides: outlines are read from the other folder
        return None if same_folder else "outlines beside the slides: move them to the folder of outlines"
    if name.endswith(CHECKSUMS):
        return None
    if any(form in names for form in _forms(name)):
        return f"its name fits a slide, and it is not read ({reason})"
    is_note = name.endswith(SIDE_SUFFIXES) and not name.endswith(MAY_HAVE_OUTLINES)
    return reason if name.endswith(MAY_HAVE_OUTLINES) or (is_outlines and not is_note) else None


def _forms(name: str) -> Iterator[str]:
    """The name, then without its last suffix, and so on: `a.ndpi.ndpa`, `a.ndpi`, `a`."""
    while name:
        yield loose(name)
        name = name.rpartition(".")[0].strip()


def sort_out(
    folders: tuple[Path, Path], slides: list[SlideFile], outlines: Iterable[Path], others: tuple[dict[Path, str], ...]
) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the files that nobody reads as problems, and those that need no reading: {path: reason} of each."""
    side_by_side = (others[0], others[1])
    problems = unread_files(folders, slides, side_by_side)
    left_out = {**others[0], **others[1]}
    for path in (*(slide.path for slide in slides), *outlines, *problems):
        left_out.pop(path, None)  # where both folders are one, each file is read by one side and left by the other
    return _by_path(problems), _by_path(left_out)


def _by_path(reasons: dict[Path, str]) -> dict[str, str]:
    return {str(path): reason for path, reason in sorted(reasons.items())}
