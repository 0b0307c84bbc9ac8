"""What a reader child has given up, tried for real: each attempt is made inside and its outcome printed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tifffile
from slides import tissue

from core import sandbox
from core.slide import Reader

ROOT = Path(__file__).resolve().parents[2]
ATTEMPTS = """
import ctypes, json, os, socket, subprocess, sys, threading
from pathlib import Path
from core import sandbox

opened, closed, parent = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
held = sandbox.enter([opened, *sandbox.program_files()])

def attempt(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "done"

def in_thread():
    done = []
    thread = threading.Thread(target=lambda: done.append(1))
    thread.start()
    thread.join()
    if not done:
        raise OSError

print(json.dumps({"held": held, **{name: attempt(what) for name, what in {
    "read what is open": lambda: (opened / "slide").read_bytes(),
    "list what is open": lambda: list(opened.iterdir()),
    "read what is closed": lambda: (closed / "secret").read_bytes(),
    "read through a link": lambda: (opened / "link").read_bytes(),
    "read /etc/passwd": lambda: Path("/etc/passwd").read_bytes(),
    "write": lambda: (opened / "new").write_text("x"),
    "remove": lambda: (opened / "slide").unlink(),
    "open a socket": lambda: socket.socket(),
    "open a socket pair": lambda: socket.socketpair(),
    "start a program": lambda: subprocess.run(["true"], check=True),
    "fork": os.fork,
    "kill the parent": lambda: os.kill(parent, 0),
    "start a thread": in_thread,
}.items()}}))
"""


@pytest.fixture
def outcome(tmp_path):
    opened, closed = tmp_path / "open", tmp_path / "closed"
    for folder in (opened, closed):
        folder.mkdir()
    (opened / "slide").write_text("pixels")
    (closed / "secret").write_text("another slide")
    (opened / "link").symlink_to(closed / "secret")
    command = [sys.executable, "-c", ATTEMPTS, str(opened), str(closed), "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return json.loads(done.stdout)


def test_it_reads_what_it_may_and_its_threads_run(outcome):
    for what in ("read what is open", "list what is open", "start a thread"):
        assert outcome[what] == "done"


def test_no_other_file_is_read_or_changed(outcome):
    if "landlock" not in outcome["held"]:
        pytest.skip("this kernel has no Landlock")
    for what in ("read what is closed", "read through a link", "read /etc/passwd", "write", "remove"):
        assert outcome[what] == "PermissionError", what


def test_no_network_no_programs_no_signals(outcome):
    if "seccomp" not in outcome["held"]:
        pytest.skip("no seccomp filter for this machine")
    for what in ("open a socket", "open a socket pair", "start a program", "fork", "kill the parent"):
        assert outcome[what] == "PermissionError", what


def test_a_reader_says_what_keeps_it_in_and_reads_all_the_same(tmp_path):
    path = tmp_path / "slide.tiff"
    pixels = tissue(300, 400)
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", resolution=(20_000, 20_000))
    with Reader(path, 60, 4 << 30) as reader:
        held = reader.held_by()
        assert reader.call("inspect")[0]["ok"]
    assert held[0] == "rlimits"
    assert ("landlock" in held) == (sandbox.landlock_version() > 0)


def test_a_reader_s_environment_holds_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("QUARTERTURN_ADMIN_KEY", "must-not-be-seen-by-a-hostile-file")
    with Reader(tmp_path / "none", 60, 4 << 30) as reader:
        assert reader.held_by()
        environment = Path(f"/proc/{reader._child.pid}/environ").read_bytes()
    assert b"must-not-be-seen" not in environment
