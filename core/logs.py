"""Log lines, as text for people or as one JSON object a line for machines, each with the correlation of its request.

A correlation is the X-Request-Id of a request, or a new id. It is stored with the work that the request creates, and
the worker that does this work logs under it, so that one search finds everything that followed from a request.

Control characters are escaped in both forms: text from outside (a file name, a header) cannot forge a log line.
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

LONGEST_CORRELATION = 64  # as long as the column that stores it
CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_current: ContextVar[str] = ContextVar("correlation", default="")


def correlation() -> str:
    """Returns the current correlation; "" outside a request or a work row."""
    return _current.get()


def new_correlation() -> str:
    """Returns a random correlation, for a request that brings none."""
    return uuid.uuid4().hex


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Gives every line that is logged inside this correlation."""
    token = _current.set(correlation_id[:LONGEST_CORRELATION])
    try:
        yield
    finally:
        _current.reset(token)


class JsonLines(logging.Formatter):
    """Formats a record as a JSON object.

    Its keys: time, level, service, logger, message, correlation, exception, and those of
    `log.info(…, extra={"fields": {…}})`. json.dumps escapes control characters.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            "correlation": correlation(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """Formats a record as one line with its fields as key=value; the lines of an exception begin with a bar."""

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
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def configure(service: str, level: int = logging.INFO) -> None:
    """Sends this process's log to standard error, in the form that the settings name."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(service) if get_settings().log_format == "json" else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("httpx", "alembic", "celery", "kombu", "amqp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # It warns at every start that the embedded broker has no host name.
    logging.getLogger("kombu.connection").setLevel(logging.ERROR)
