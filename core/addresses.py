"""Checks addresses in the settings: the path prefix that a proxy gives the service, and the origins of other sites."""

import re
from urllib.parse import unquote

# First segments of the service's own paths. As the first segment of a prefix they would be ambiguous: a proxy may strip
# the prefix or pass it on, so /slides/1 could be a page, or the prefix /slides before /1.
OWN_SEGMENTS = frozenset(
    {
        "api", "docs", "favicon.ico", "healthz", "libraries", "metrics", "openapi.json", "people", "readyz", "slides",
        "static",
    }
)  # fmt: skip
SEGMENT = re.compile(r"[\w.~-]+")
# RFC 6454, section 6.2, of http and https: scheme, host and port, nothing after them.
ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(?::([0-9]{1,5}))?")
DEFAULT_PORTS = {("http", "80"), ("https", "443")}


def clean_prefix(value: str) -> str:
    """Returns a path prefix in one form: "" or "/one/two", decoded, without a slash at its end.

    Raises:
        ValueError: it has other characters than letters, digits and . _ ~ -, or it begins like a path of the service.
    """
    segments = [segment for segment in unquote(value.strip()).strip("/").split("/") if value.strip(" /")]
    for segment in segments:
        if not SEGMENT.fullmatch(segment) or set(segment) == {"."}:
            raise ValueError("a path prefix looks like /one or /one/two: letters, digits and . _ ~ - between slashes")
    if segments and segments[0] in OWN_SEGMENTS:
        raise ValueError(f"/{segments[0]} is a path of the service itself; choose a prefix that begins otherwise")
    return "".join(f"/{segment}" for segment in segments)


def clean_origins(value: str) -> str:
    """Returns origins, separated by commas, as browsers send them: lower case, without a default port.

    Raises:
        ValueError: one is no origin. `*` is none: each site that may call is named.
    """
    return ",".join(_clean_origin(part.strip()) for part in value.split(",") if part.strip())


def _clean_origin(value: str) -> str:
    match = ORIGIN.fullmatch(value.lower())
    if match is None:
        raise ValueError("an origin looks like https://viewer.example.org or http://localhost:3000, without a path")
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and (scheme, port) not in DEFAULT_PORTS else "")
