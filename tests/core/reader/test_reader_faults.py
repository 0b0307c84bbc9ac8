"""A reader that gives no answer: the error says why, and one log line states how the child ended."""

import errno
import logging
import os
import signal
import sys
import threading

import pytest
from slides import tissue, write_pyramid

from core.errors import (
    MOST_TEXT,
    MachineFault,
    ReaderEnded,
    ReaderFailed,
    ReaderFault,
    ReaderKilled,
    ReaderOutOfMemory,
    ReaderStarved,
    ReaderTimedOut,
    SlideUnreadable,
    StorageFault,
)
from core.pixels.levels import Source
from core.reader import client
from core.reader.client import MOST_STDERR, Reader
from core.reader.redaction import MOST_CHARACTERS

MEMORY = 2 << 30


@pytest.fixture
def slide(tmp_path):
    folder = tmp_path / "Jane Doe 1950"
    folder.mkdir()
    return write_pyramid(folder / "case 7.tiff", tissue(600, 700), 0.5)


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Makes readers whose child runs these lines of Python at its first request."""

    def write_reader(lines, seconds=10):
        script = tmp_path / "child"
        script.write_text(
            f"#!{sys.executable}\nimport os, resource, signal, sys, time\nsys.stdin.readline()\n{lines}\n"
        )
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))
        return Reader(tmp_path / "Jane Doe 1950" / "case 7.tiff", seconds, MEMORY)

    return write_reader


def failure(reader, caplog):
    """The error of one request, and the fields of the one log line about it."""
    with reader, pytest.raises(ReaderFault) as raised, caplog.at_level(logging.DEBUG):
        reader.call("inspect")
    (record,) = [record for record in caplog.records if record.name == "core.reader.client"]
    assert record.fields["operation"] == "inspect"
    return raised.value, record.fields


ENDINGS = [
    ("os.kill(os.getpid(), signal.SIGSEGV)", ReaderFailed, "reader-crashed", "SIGSEGV"),
    ("sys.exit(3)", ReaderFailed, "reader-crashed", "exit code 3"),
    ("os.kill(os.getpid(), signal.SIGXCPU)", ReaderTimedOut, "reader-timeout", "SIGXCPU"),
    ("time.sleep(60)", ReaderTimedOut, "reader-timeout", "running"),
    ("os.kill(os.getpid(), signal.SIGKILL)", ReaderKilled, "reader-killed", "SIGKILL"),
    ("raise MemoryError", ReaderStarved, "too-much-memory", "exit code 1"),
    ("sys.stderr.write('GLib-ERROR: gmem.c:106: failed to allocate 99 bytes'); sys.stderr.flush(); os.abort()",
     ReaderStarved, "too-much-memory", "SIGABRT"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "kind", "code", "ending"), ENDINGS)
def test_the_error_names_the_cause_and_the_log_has_the_exit_status(lines, kind, code, ending, child, caplog):
    error, fields = failure(child(lines, seconds=2), caplog)
    assert type(error) is kind
    assert (error.code, fields["code"], fields["child"]) == (code, code, ending)
    assert error.action


def test_standard_error_of_the_child_is_logged_bounded_and_without_paths(child, tmp_path, caplog):
    path = tmp_path / "Jane Doe 1950" / "case 7.tiff"
    words = f"libtiff: {path}: bad tag\\nIndex of {path.parent}/case 7/Index.dat: short"
    _, fields = failure(
        child(f"sys.stderr.write('x' * 300_000 + '\\n{words}'); sys.stderr.flush(); sys.exit(1)"), caplog
    )
    assert len(fields["stderr"]) <= MOST_STDERR
    assert fields["stderr"].endswith("libtiff: …: bad tag\nIndex of …/Index.dat: short")
    assert "Jane" not in caplog.text


def test_a_child_that_writes_without_end_is_ended_at_the_wall_clock(child, caplog):
    reader = child("while True: sys.stderr.write('x' * 65536)", seconds=2)
    error, _ = failure(reader, caplog)
    assert isinstance(error, ReaderTimedOut)


def test_the_error_of_a_killed_reader_names_the_signal(slide, caplog):
    with Reader(slide, 60, MEMORY) as reader:
        reader.call("inspect")
        os.kill(reader._child.pid, signal.SIGSTOP)
        threading.Timer(0.5, os.kill, (reader._child.pid, signal.SIGKILL)).start()
        with pytest.raises(ReaderKilled, match="SIGKILL") as raised:
            reader.call("inspect")
    assert isinstance(raised.value, MachineFault)
    assert not isinstance(raised.value, ReaderEnded), "no slide is rejected for it"


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
def test_a_reader_that_cannot_start_is_a_fault_of_the_machine_and_logged(number, slide, monkeypatch, caplog):
    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(client.subprocess, "Popen", refused)
    with pytest.raises(MachineFault, match=os.strerror(number)) as raised:
        Reader(slide, 60, MEMORY)
    assert (raised.value.code, len(caplog.records)) == ("reader-not-started", 1)


def test_too_little_memory_is_not_called_a_damaged_slide(slide):
    with Reader(slide, 60, 700 << 20) as reader, pytest.raises(MachineFault) as raised:
        reader.call("inspect")
        reader.region(Source(0, 1, 1.0, 1.0), 0, 0, 8000, 8000)
    assert isinstance(raised.value, ReaderOutOfMemory)
    assert "QUARTERTURN_READER_MEMORY_BYTES" in raised.value.action


@pytest.mark.parametrize("name", ["case 7.tiff", "nothing.svs"])
def test_a_file_that_vanished_is_a_fault_of_the_storage(name, slide, caplog):
    path = slide.with_name(name)
    slide.unlink()
    error, fields = failure(Reader(path, 60, MEMORY, [path.parent]), caplog)
    assert isinstance(error, StorageFault)
    assert (error.code, fields["child"]) == ("disk-fault", "running")
    assert error.detail == "the slide's file cannot be read now: No such file or directory"


def test_a_reader_that_is_closed_on_purpose_logs_nothing(slide, caplog):
    reader = Reader(slide, 60, MEMORY)
    reader.close()
    with pytest.raises(ReaderEnded):
        reader.call("inspect")
    assert not caplog.records


def test_calls_that_waited_for_a_reader_that_timed_out_report_the_time_out_and_are_not_logged(child, caplog):
    reader, errors = child("time.sleep(60)", seconds=2), []

    def call():
        with pytest.raises(ReaderFault) as raised:
            reader.call("inspect")
        errors.append(raised.value)

    threads = [threading.Thread(target=call) for _ in range(4)]
    with reader:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [type(error) for error in errors] == [ReaderTimedOut] * 4
    assert len([record for record in caplog.records if record.name == "core.reader.client"]) == 1


ANSWER = "b = b'{\"ok\": true, \"bytes\": 0}'; os.write(1, len(b).to_bytes(4, 'big') + b)"


def test_what_an_earlier_call_wrote_is_not_the_cause_of_a_later_end(child, caplog):
    lines = f"os.write(2, b'warning: failed to allocate')\n{ANSWER}\nsys.stdin.readline()\nsys.exit(3)"
    with child(lines) as reader:
        reader.call("inspect")
        with pytest.raises(ReaderFailed, match="exit code 3"):
            reader.call("inspect")


def test_the_texts_of_an_answer_are_bounded(child):
    body = "{'ok': False, 'error': 'SlideUnreadable', 'code': 'c' * 9999, 'detail': 'd' * 9999, 'action': 'a' * 9999}"
    lines = f"import json; b = json.dumps({body}).encode(); os.write(1, len(b).to_bytes(4, 'big') + b); time.sleep(9)"
    with child(lines) as reader, pytest.raises(SlideUnreadable) as raised:
        reader.call("inspect")
    assert max(len(text) for text in (raised.value.code, raised.value.detail, raised.value.action)) <= MOST_CHARACTERS


def answering(parameters):
    texts = "'error': 'SlideUnreadable', 'code': 'c', 'detail': 'd', 'action': 'a'"
    body = f"{{'ok': False, {texts}, 'parameters': {parameters}}}"
    return f"import json; b = json.dumps({body}).encode(); os.write(1, len(b).to_bytes(4, 'big') + b); time.sleep(9)"


def test_the_numbers_of_a_reason_reach_the_caller(child):
    with child(answering("{'bytes': 7, 'ending': 'x' * 9999}")) as reader, pytest.raises(SlideUnreadable) as raised:
        reader.call("inspect")
    assert raised.value.parameters == {"bytes": 7, "ending": "x" * MOST_TEXT}


@pytest.mark.parametrize("parameters", ["{'a': float('nan')}", "{'a': 10**30}", "{'a': []}", "{'code': 1}", "[1]",
                                        "{str(i): i for i in range(99)}", "{'n' * 999: 1}"])  # fmt: skip
def test_parameters_that_no_reason_has_are_out_of_protocol(parameters, child):
    with child(answering(parameters)) as reader, pytest.raises(ReaderFailed):
        reader.call("inspect")
