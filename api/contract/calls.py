"""The table of calls."""

import re

ID = re.compile(r"[0-9a-f]{16}([0-9a-f]{16})?(_files|\.dzi)?")
NUMBERS = re.compile(r"[0-9]{1,7}(_[0-9]{1,7}\.jpe?g)?")
WORDS = {  # of our routes
    "api", "v1", "analyses", "annotation", "audit", "cancel", "check", "docs", "evaluations", "events",
    "favicon.ico", "healthz", "heatmap", "heatmap.png", "inspect", "keys", "label", "libraries", "macro",
    "metrics", "models", "openapi.json", "password", "people", "profiles", "readyz", "regions", "regions.csv",
    "regions.geojson", "retry", "session", "slides", "static", "thumbnail", "tiles", "uploads",
}  # fmt: skip
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def plain(path: str) -> str:
    """Ids, numbers and our own words; whatever else somebody asked for is left out."""
    return "/".join(part if _is_plain(part) else "…" for part in path[:300].split("/"))


def _is_plain(part: str) -> bool:
    return not part or part in WORDS or bool(ID.fullmatch(part) or NUMBERS.fullmatch(part))
