"""Values that several answers share."""

from datetime import UTC, datetime

from core.analyses.statements import Reason

__all__ = ["NOTICE", "Reason", "iso"]
NOTICE = "For research use only. Not a medical device. Results are preliminary."


def iso(seconds: float | None) -> str | None:
    """A time of the database, in seconds since 1970, as ISO 8601 in UTC with milliseconds."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
