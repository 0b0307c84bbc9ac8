"""The correlation id of a request: the client's X-Request-Id where it is well formed, else a new one."""

import re

from core import logs

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")  # nothing that could begin a line of a log, or break a header


def correlation_of(headers: dict[bytes, bytes]) -> str:
    """The id of a request with these headers."""
    header = headers.get(b"x-request-id", b"").decode("latin-1")
    return header if REQUEST_ID.fullmatch(header) else logs.new_correlation()
