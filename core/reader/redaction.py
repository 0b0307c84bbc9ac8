"""Removes file paths from messages: they are this machine's, and names in them may be patients' (PHI).

Only what looks like a path goes. The rest is the reason, and stays: "I/O error", "JPEG/JFIF", "3281 < 3427".
"""

import re
from collections.abc import Iterable
from pathlib import Path

REMOVED = "…"
END = r"(?=: |[\"'\n]|$)"  # a reason follows a path after a colon and a space; names may hold spaces and colons
QUOTED = re.compile(r"(?<=[\"'])(?:[A-Za-z]:)?[/\\][^\"'\n]+(?=[\"'])")
UNKNOWN = re.compile(rf"(?<![\w.{REMOVED}/\\])(?:[A-Za-z]:)?[/\\][^\s\"']+?(?=[\s\"')]|: |:?$|,\s)", re.MULTILINE)
STANDARD = re.compile(r"(Index\.dat|Data\d{4}\.dat|Slidedat\.ini)$")  # MIRAX's own names say what is missing


def without_paths(text: str, paths: Iterable[Path] = ()) -> str:
    """Returns a message without its paths.

    Args:
        paths: files and folders that may occur in it. They are recognised whole, whatever characters they are made of;
            an unknown absolute path ends at the first space.
    """
    for path in sorted({str(path) for path in paths}, key=len, reverse=True):
        if path.strip("/."):
            text = re.sub(rf"{re.escape(path)}(/.*?{END})?", _removed, text)
    return UNKNOWN.sub(_removed, QUOTED.sub(_removed, text))


def _removed(path: re.Match[str]) -> str:
    standard = STANDARD.search(path[0])
    return f"{REMOVED}/{standard[0]}" if standard else REMOVED


def paths_of_slide(path: Path) -> list[Path]:
    """Paths that messages about a slide may contain: its file, MIRAX's folder of that name, its folder."""
    return [path, path.with_suffix(""), path.parent]
