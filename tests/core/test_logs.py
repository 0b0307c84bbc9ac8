"""Log lines: one record is one line, times are UTC, and a correlation is limited to its block."""

import io
import json
import logging
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import logs

FORGED = "a\n2026-01-01T00:00:00.000Z INFO audit all is well\r\u2028\u0085\x1b[2J"
NOT_PRINTED = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def written(formatter, act):
    buffer = io.StringIO()
    handler = logging.StreamHandler(buffer)
    handler.setFormatter(formatter)
    log = logging.Logger("tests")
    log.addHandler(handler)
    act(log)
    return buffer.getvalue()


def fail(log):
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("it failed: %s", FORGED)


@given(text=st.text(max_size=80), name=st.text(max_size=20))
def test_text_log_records_stay_on_one_line(text, name):
    line = written(logs.TextLines(), lambda log: log.warning("%s", text, extra={"fields": {name: text}}))
    assert line.endswith("\n")
    assert not NOT_PRINTED.search(line[:-1])


@given(text=st.text(max_size=80))
def test_a_json_line_is_one_object_on_one_line(text):
    line = written(logs.JsonLines("api"), lambda log: log.warning("%s", text, extra={"fields": {"path": text}}))
    assert line.count("\n") == 1
    fields = json.loads(line)
    assert (fields["message"], fields["path"], fields["service"], fields["level"]) == (text, text, "api", "warning")
    assert abs(datetime.fromisoformat(fields["time"]) - datetime.now(UTC)).total_seconds() < 60


def test_exceptions_cannot_forge_log_lines():
    lines = written(logs.TextLines(), fail).splitlines()
    assert sum(" ERROR tests it failed" in line for line in lines) == 1
    assert all(line.startswith("  | ") for line in lines[1:])
    (line,) = written(logs.JsonLines("api"), fail).splitlines()
    assert "ValueError" in json.loads(line)["exception"]


def test_log_times_are_utc():
    line = written(logs.TextLines(), lambda log: log.warning("x"))
    at = datetime.fromisoformat(line.split(" ")[0])
    assert at.tzinfo is UTC
    assert abs(at - datetime.now(UTC)).total_seconds() < 60


@pytest.mark.parametrize("formatter", [logs.TextLines(), logs.JsonLines("worker")])
def test_correlation_is_limited_to_its_block(formatter):
    def act(log):
        log.warning("before")
        with logs.correlated("c" * 100):
            log.warning("inside")
        log.warning("after")

    before, inside, after = written(formatter, act).splitlines()
    assert "c" * logs.LONGEST_CORRELATION in inside
    assert "c" * (logs.LONGEST_CORRELATION + 1) not in inside
    assert "ccc" not in before + after
