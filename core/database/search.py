"""Text that people type and text that is stored are compared in one form, by a rule of this program.

Databases differ: SQLite's LIKE ignores the case of ASCII alone, PostgreSQL's ILIKE follows its locale, and neither
treats the composed and the decomposed form of "ü" as one. So text is folded here, once when it is stored and once when
it is asked for, and the database compares code points.
"""

import re
import unicodedata
from collections.abc import Iterable

FORBIDDEN = '<>:"|?*'  # in file names of some system: `clean_filename` drops them
SPECIAL, LITERAL = re.compile(r"([\\%_])"), r"\\\1"


def compose(text: str) -> str:
    """Returns text in Unicode's form NFC (UAX 15), as every name and identifier is stored; macOS sends NFD."""
    return unicodedata.normalize("NFC", text)


def fold(text: str) -> str:
    """Returns the form in which texts are compared: compatibility-composed and without case.

    NFKC around Unicode's full case folding (The Unicode Standard, section 3.13, definition D146), without characters
    that are invisible or that file names lose, and with every dash as a hyphen. "STRASSE" matches "straße", full-width
    letters match the usual ones, and "istanbul" matches "İSTANBUL".
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    visible = "".join("-" if unicodedata.category(c) == "Pd" else c for c in folded if not _is_ignored(c))
    return unicodedata.normalize("NFKC", visible)


def _is_ignored(char: str) -> bool:
    """Control and format characters, variation selectors, FORBIDDEN ones, the dot that folding leaves of an İ."""
    invisible = unicodedata.category(char) in ("Cc", "Cf") or "\ufe00" <= char <= "\ufe0f"
    return invisible or char == "\u0307" or char in FORBIDDEN


def searchable(texts: Iterable[str]) -> str:
    """Returns the folded texts, one a line, so that no search matches across two of them."""
    return "\n".join(fold(text) for text in texts if text)


def patterns(query: str) -> list[str]:
    """Returns a LIKE pattern (escape character \\) for each word of a query: a text must hold all of them."""
    return [f"%{SPECIAL.sub(LITERAL, word)}%" for word in map(fold, query.split()) if word]
