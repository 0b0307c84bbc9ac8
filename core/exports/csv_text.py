"""Writes CSV as RFC 4180 describes it, for programs and for the spreadsheets of several languages.

A spreadsheet splits a file at its own language's list separator, whatever the file was written for, and computes a
cell that begins as a formula. So text is neutralised for every separator, the one in use or not.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.errors import Invalid

Cell = str | int | float

# Languages whose numbers have a decimal comma (Unicode CLDR), so that their spreadsheets separate cells by semicolons.
COMMA = frozenset((
    "bg", "ca", "cs", "da", "de", "el", "es", "et", "fi", "fr", "hr", "hu", "id", "is", "it", "lt", "lv", "nb", "nl",
    "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "uk", "vi",
))  # fmt: skip
POINT = frozenset(("en", "he", "hi", "ja", "ko", "ms", "th", "zh"))
SEPARATORS = {",": ";", ".": ","}  # by decimal mark
REGIONS = {  # (decimal mark, separator) that differ from the language's
    **dict.fromkeys(("de-ch", "de-li", "it-ch"), (".", ";")),
    **dict.fromkeys(("es-419", "es-do", "es-gt", "es-hn", "es-mx", "es-pa", "es-pe", "es-us"), (".", ",")),
    "en-za": (",", ";"),
}
# A language of the lists and its subtags (BCP 47), as de, fr-CA, pt_BR or zh-Hant-TW.
LOCALE = f"^({'|'.join(sorted(COMMA | POINT))})([-_][A-Za-z0-9]{{2,8}}){{0,3}}$"
BYTE_ORDER_MARK = "\ufeff"

# Before a formula's first character, at the beginning of the text or of what a wrong separator would make a cell of its
# own. Excel also takes the full-width forms, which East Asian keyboards write.
FORMULA = re.compile(r"""(^|[,;|\t\r\n"'])(?=\s*[=+\-@＝＋－＠])|^(?=[\t\r\n])""")


@dataclass(frozen=True)
class Style:
    """How numbers and cells are separated. `mark`: a byte order mark begins the file, so that Excel reads UTF-8."""

    decimal: str = "."
    separator: str = ","
    mark: bool = False

    @classmethod
    def from_locale(cls, locale: str | None, mark: bool) -> "Style":
        """The style of a language tag that LOCALE describes; None is a point and commas.

        Raises:
            Invalid: LOCALE does not describe it.
        """
        tag = "en" if locale is None else locale
        if not re.fullmatch(LOCALE, tag):
            languages = ", ".join(sorted(COMMA | POINT))
            raise Invalid("unknown-locale", f"{locale!r} is not a locale of this export", f"use one of {languages}")
        tag = tag.lower().replace("_", "-")
        language = tag.split("-")[0]
        decimal = "," if language in COMMA else "."
        decimal, separator = REGIONS.get(tag, (decimal, SEPARATORS[decimal]))
        return cls(decimal, separator, mark)


def write(header: Sequence[str], rows: Iterable[Sequence[Cell]], style: Style) -> str:
    """A header and rows, each ended by CRLF. Text cells come out so that no spreadsheet takes them for formulas."""
    buffer = io.StringIO()
    buffer.write(BYTE_ORDER_MARK if style.mark else "")
    writer = csv.writer(buffer, delimiter=style.separator, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(value, style) for value in row] for row in rows)
    return buffer.getvalue()


def neutralised(text: str) -> str:
    """Text with an apostrophe before each place where a spreadsheet could begin a formula."""
    return FORMULA.sub(r"\g<0>'", text)


def _cell(value: Cell, style: Style) -> str:
    """A number may begin with a minus, because the service computes it. Text is foreign."""
    if isinstance(value, str):
        return neutralised(value)
    return repr(value).replace(".", style.decimal)
