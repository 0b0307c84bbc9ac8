"""Log lines: for people as text, for machines as one JSON object a line, each with the correlation of its request.

A correlation begins with a request (its X-Request-Id, or one that is made), is kept with the work that the request
asked for, and is taken up again by whichever worker does that work: one search finds all that came of a request.
Text that came from outside cannot begin a line of its own in either form.
"""

import json
import logging
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from core.settings import get_settings

LONGEST = 64
CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_current: ContextVar[str] = ContextVar("correlation", default="")


def correlation() -> str:
    """Of what is being done now; empty outside a request or a piece of work."""
    return _current.get()


def new_correlation() -> str:
    return uuid.uuid4().hex


@contextmanager
def correlated(known: str) -> Iterator[None]:
    """All lines inside belong to this correlation."""
    token = _current.set(known[:LONGEST])
    try:
        yield
    finally:
        _current.reset(token)


class JsonLines(logging.Formatter):
    """time, level, service, logger, message, correlation, `fields` (log.info(…, extra={"fields": {…}})), exception."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            "correlation": correlation(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


class TextLines(logging.Formatter):
    """The same for people: a line each, what came with it in key=value pairs; an exception's lines begin with a bar."""

    converter = staticmethod(time.gmtime)
    default_time_format, default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        fields = {**getattr(record, "fields", {}), **({"correlation": correlation()} if correlation() else {})}
        pairs = "".join(f" {name}={value}" for name, value in fields.items())
        return _in_one_line(super().formatMessage(record) + pairs)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        return "\n".join(f"  | {_in_one_line(line)}" for line in super().formatException(ei).split("\n"))


def _in_one_line(text: str) -> str:
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def configure(service: str, level: int = logging.INFO) -> None:
    """This process's log goes to standard error, in the form that the settings name."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(service) if get_settings().log_format == "json" else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("httpx", "alembic", "celery", "kombu", "amqp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("kombu.connection").setLevel(logging.ERROR)  # the embedded broker has no host, and needs none
