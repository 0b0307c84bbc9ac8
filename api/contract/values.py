"""What the API takes and gives."""

from datetime import UTC, datetime

from pydantic import BaseModel

NOTICE = "For research use only. Not a medical device. Results are preliminary."


def iso(seconds: float | None) -> str | None:
    """UTC, ISO 8601."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Reason(BaseModel):
    code: str
    detail: str
    action: str = ""
