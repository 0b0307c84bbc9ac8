"""Camelyon16's polygons in JSON: {"positive": [{"name": …, "vertices": [[x, y], …]}], "negative": […]}."""

from typing import Any

from core.marks.formats.mark import KEY, Budget, Malformed, Mark

NAME = "camelyon-json"
LISTS = ("positive", "negative")


def read(document: Any, budget: Budget) -> list[Mark]:
    """Returns the marks of a document: tumour, then the holes in it, then what is neither.

    Raises:
        Malformed: no such document, or more than an annotation needs.
    """
    try:
        named = [(str(one["name"]), one["vertices"], group) for group in LISTS for one in document[group]]
        others = sorted(document.keys() - set(LISTS))
    except (KeyError, TypeError, AttributeError) as error:
        raise Malformed(f"the JSON is no annotation: {type(error).__name__} {error}") from error
    marks = [_mark(name, vertices, group, budget) for name, vertices, group in named]
    reason = "it is neither `positive` nor `negative`"
    return marks + [
        Mark(
            str(key),
            (str(key),),
            "list" if document[key] and isinstance(document[key], list) else KEY,
            "points",
            neither=reason,
        )
        for key in others
    ]


def _mark(name: str, vertices: Any, group: str, budget: Budget) -> Mark:
    if not isinstance(vertices, list):
        raise Malformed(f"{name} (group {group}) has vertices that are no list")
    budget.add_mark()
    budget.add_points(len(vertices))
    return Mark(name, (group,), rings=[vertices])
