"""Which scope a call needs of a key that is for a part of its role alone. The first rule that fits holds; what no rule
knows needs `manage`.
"""

import re

from api.contract.openapi import PREFIX
from core.access.visitor import Scope

RULES: tuple[tuple[str, Scope | None], ...] = (
    (r"[A-Z]+ session", None),
    (r"[A-Z]+ uploads(/[^/]+)?|POST slides|PATCH slides/[^/]+|POST slides/[^/]+/inspect", "upload"),
    (r"POST slides/[^/]+/analyses|POST analyses/[^/]+/(cancel|retry|profiles)|POST evaluations", "analyse"),
    (r"(PUT|DELETE) slides/[^/]+/annotation", "analyse"),
    (r"(GET|HEAD) ((audit|keys|people)(/.*)?|slides/[^/]+/label)", "manage"),
    (r"(GET|HEAD|OPTIONS) .*", "read"),
)
COMPILED = [(re.compile(pattern), scope) for pattern, scope in RULES]


def scope_of(method: str, path: str) -> Scope | None:
    """None: whoever is signed in may."""
    place = path.removeprefix(f"{PREFIX}/").rstrip("/")
    asked = f"{method} {place}"
    return next((scope for pattern, scope in COMPILED if pattern.fullmatch(asked)), "manage")
