"""The rule that says which groups of marks are tumour, which are holes in it, and which are neither.

Camelyon16: the groups `_0` and `_1` are tumour and `_2` is cut out of them; its test slides have `Tumor` and
`Exclusion`. Camelyon17: `metastases` and `normal`. A group inside others is read as the nearest group with a reading.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Literal

from core.errors import Invalid
from core.marks.formats.mark import Mark

Reading = Literal["tumour", "hole", "ignored"]
Rule = Mapping[str, Reading]  # by folded name
Usual = Mapping[str, Reading | None]  # None: no reading, whatever is around the group
TUMOUR: tuple[str, ...] = ("_0", "_1", "tumor", "tumour", "metastases", "metastasis", "positive")
HOLES: tuple[str, ...] = ("_2", "exclusion", "normal", "negative")
USUAL: Usual = {**dict.fromkeys(TUMOUR, "tumour"), **dict.fromkeys(HOLES, "hole")}
# In QuPath and ImageScope a region of normal tissue is drawn beside or around a tumour, and Negative is a stain's word.
# Such a mark has no reading, and it does not take that of the layer around it either.
DRAWN_TISSUE: Usual = {**USUAL, "normal": None, "negative": None}
# Positive and Negative are a stain's words in QuPath: a cell that takes no stain is no hole in the tumour.
QUPATH: Usual = {**DRAWN_TISSUE, "positive": None}
OF_FORMAT: Mapping[str, Usual] = {"imagescope": DRAWN_TISSUE, "geojson": QUPATH}  # the others: USUAL


def fold(name: str) -> str:
    """Returns a group's name as it is compared: NFC, without case, trimmed, and runs of spaces as one."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def own_rule(tumour: Iterable[str], holes: Iterable[str], ignored: Iterable[str]) -> Rule:
    """Returns the rule of a caller's own names, which go before the usual ones. `none`: marks without a group.

    Raises:
        Invalid: a name stands for two readings.
    """
    rule: dict[str, Reading] = {}
    readings: tuple[tuple[Reading, Iterable[str]], ...] = (("tumour", tumour), ("hole", holes), ("ignored", ignored))
    for reading, names in readings:
        for name in map(fold, names):
            if rule.setdefault(name, reading) != reading:
                detail = f"the group {name!r} is named as {rule[name]} and as {reading}"
                raise Invalid("bad-group", detail, "name each group for one reading")
    return rule


def reading_of(mark: Mark, own: Rule, usual: Usual = USUAL) -> Reading | None:
    """Returns the reading of a mark's nearest group that has one, None where none has. A name with * is ignored."""
    for name in map(fold, mark.groups):
        if name in own:
            return own[name]
        if name.endswith("*"):  # QuPath's mark of classes that no measurement uses: Region*, Ignore*
            return "ignored"
        if name in usual:
            return usual[name]
    return None
