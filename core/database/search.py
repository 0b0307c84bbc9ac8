"""Text that people type and text that is stored are compared in one form, by a rule of this program.

Databases differ: SQLite's LIKE ignores the case of ASCII alone, PostgreSQL's ILIKE follows its locale, and neither
treats the composed and the decomposed form of "ü" as one. So text is folded here, once when it is stored and once when
it is asked for, and the database compares code points.
"""

import re
import unicodedata
from collections.abc import Iterable

SPECIAL, LITERAL = re.compile(r"([\\%_])"), r"\\\1"


def compose(text: str) -> str:
    """Returns text in Unicode's form NFC (UAX 15), as every name and identifier is stored; macOS sends NFD."""
    return unicodedata.normalize("NFC", text)


def fold(text: str) -> str:
    """Returns the form in which texts are compared: compatibility-composed and without case.

    NFKC around Unicode's full case folding (The Unicode Standard, section 3.13, definition D146). "STRASSE" matches
    "straße", and full-width letters match the usual ones.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def searchable(texts: Iterable[str]) -> str:
    """Returns the folded texts, one a line, so that no search matches across two of them."""
    return "\n".join(fold(text) for text in texts if text)


def patterns(query: str) -> list[str]:
    """Returns a LIKE pattern (escape character \\) for each word of a query: a text must hold all of them."""
    return [f"%{SPECIAL.sub(LITERAL, word)}%" for word in fold(query).split()]
