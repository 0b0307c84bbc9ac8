"""Removes file paths and a file's content from messages: both may hold names of patients (PHI).

Only what looks like a path or a quotation goes. The rest is the reason, and stays: "I/O error", "JPEG/JFIF",
"3281 < 3427".
"""

import re
from collections.abc import Iterable
from pathlib import Path

REMOVED = "…"
MOST_CHARACTERS = 300  # of a reason: longer ones repeat content of the file
END = r"(?=: |[\"'\n]|$)"  # a reason follows a path after a colon and a space; names may hold spaces and colons
QUOTED = re.compile(r"(?<=[\"'])(?:[A-Za-z]:)?[/\\][^\"'\n]+(?=[\"'])")
UNKNOWN = re.compile(rf"(?<![\w.{REMOVED}/\\])(?:[A-Za-z]:)?[/\\][^\s\"']+?(?=[\s\"')]|: |:?$|,\s)", re.MULTILINE)
# Up to the last closing mark: the quoted content may hold closing marks of its own.
QUOTATION = re.compile(r"“.*”|\".*\"", re.DOTALL)
STANDARD = re.compile(r"(Index\.dat|Data\d{4}\.dat|Slidedat\.ini)\Z")  # MIRAX's own names say what is missing


def without_paths(text: str, paths: Iterable[Path] = ()) -> str:
    """Returns a message without its paths.

    Args:
        paths: files and folders that may occur in it. They are recognised whole, whatever characters they are made of.
            What follows one, up to the reason, may be the rest of a companion's name and goes with it. An unknown
            absolute path ends at the first space.
    """
    for path in sorted({str(path) for path in paths}, key=len, reverse=True):
        if path.strip("/."):
            text = re.sub(rf"{re.escape(path)}.*?{END}", _removed, text)
    return UNKNOWN.sub(_removed, QUOTED.sub(_removed, text))


def without_quotations(text: str) -> str:
    """Returns a message without what it quotes: OpenSlide and GLib repeat lines of a slide's index file."""
    return QUOTATION.sub(lambda quotation: f"{quotation[0][0]}{REMOVED}{quotation[0][-1]}", text)


def bounded(text: str) -> str:
    """Returns a message of at most MOST_CHARACTERS characters."""
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + REMOVED


def _removed(path: re.Match[str]) -> str:
    standard = STANDARD.search(path[0])
    return f"{REMOVED}/{standard[0]}" if standard else REMOVED


def paths_of_slide(path: Path) -> list[Path]:
    """Paths that messages about a slide may contain: its file, MIRAX's folder of that name, its folder."""
    return [path, path.with_suffix(""), path.parent]
