"""Entity tags and their conditions (RFC 9110, sections 8.8.3 and 13.1)."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

OPAQUE = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def tag_of(content: bytes) -> str:
    """A strong tag: equal exactly where the content is, byte for byte."""
    return f'"{hashlib.blake2b(content, digest_size=16).hexdigest()}"'


def matches(condition: str, tag: str) -> bool:
    """Whether the tags of an If-None-Match name this one, by the weak comparison that GET needs. `*` names any."""
    return condition.strip() == "*" or tag.removeprefix("W/") in OPAQUE.findall(condition)


def is_unmodified(request: Mapping[str, str], answer: Mapping[str, str]) -> bool:
    """Whether a client that sent these conditions has the content already.

    If-Modified-Since counts only without If-None-Match, which is the stricter one.

    Args:
        request, answer: headers, by their names in lower case.
    """
    if "if-none-match" in request:
        return "etag" in answer and matches(request["if-none-match"], answer["etag"])
    since, changed = _date(request.get("if-modified-since")), _date(answer.get("last-modified"))
    return since is not None and changed is not None and changed <= since


def _date(value: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(value) if value else None
    except ValueError:
        return None
    return date if date and date.tzinfo else None  # a date without a zone compares with none
