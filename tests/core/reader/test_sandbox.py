"""The reader child's sandbox: each forbidden operation is attempted from the inside."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tifffile
from servers import ROOT
from slides import tissue

from core.errors import ReaderFailed
from core.reader import sandbox
from core.reader.client import Reader

ATTEMPTS = """
import ctypes, json, os, platform, resource, socket, subprocess, sys, threading
from pathlib import Path
from core.reader import sandbox

libc = ctypes.CDLL(None, use_errno=True)
TGKILL, PRLIMIT, SHMGET = {"x86_64": (234, 302, 29), "aarch64": (131, 261, 194)}[platform.machine()]
opened, closed, parent = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
held = sandbox.enter([opened, *sandbox.program_files()])

def attempt(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "done"

def called(*words):
    if libc.syscall(*words) < 0:
        raise OSError(ctypes.get_errno(), "refused")

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
    "kill a thread of the parent": lambda: called(TGKILL, parent, parent, 0),
    "limit the parent": lambda: called(PRLIMIT, parent, 7, None, ctypes.create_string_buffer(16)),
    "slow the parent down": lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
    "share memory": lambda: called(SHMGET, 0, 4096, 0o1600),
    "signal itself": lambda: called(TGKILL, os.getpid(), threading.get_native_id(), 0),
    "limit itself": lambda: resource.setrlimit(resource.RLIMIT_CPU, (1000, resource.RLIM_INFINITY)),
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
    with subprocess.Popen(["sleep", "60"]) as victim:
        command = [sys.executable, "-c", ATTEMPTS, str(opened), str(closed), str(victim.pid)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        victim.kill()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_sandboxed_reader_keeps_its_permitted_operations(outcome):
    for attempt in ("read what is open", "list what is open", "start a thread", "signal itself", "limit itself"):
        assert outcome[attempt] == "done"


def test_sandboxed_reader_cannot_access_other_files(outcome):
    if "landlock" not in outcome["held"]:
        pytest.skip("this kernel has no Landlock")
    for attempt in ("read what is closed", "read through a link", "read /etc/passwd", "write", "remove"):
        assert outcome[attempt] == "PermissionError", attempt


def test_sandboxed_reader_has_no_network_processes_or_signals(outcome):
    if "seccomp" not in outcome["held"]:
        pytest.skip("no seccomp filter for this machine")
    reaching = ("open a socket", "open a socket pair", "start a program", "fork", "kill the parent", "share memory")
    for attempt in (*reaching, "kill a thread of the parent", "limit the parent", "slow the parent down"):
        assert outcome[attempt] == "PermissionError", attempt


@pytest.mark.parametrize(
    "answer",
    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x04null", b'\x00\x00\x00\x0b{"ok":true}',
     b'\x00\x00\x00\x21{"ok":true,"bytes":99999999999999}', b'\x00\x00\x00\x18{"ok": true,"bytes":"x"}'],
)  # fmt: skip
def test_malformed_reader_answers_are_rejected(answer, tmp_path, monkeypatch):
    script = tmp_path / "liar"
    script.write_text(f"#!{sys.executable}\nimport sys, time\nsys.stdin.readline()\n"
                      f"sys.stdout.buffer.write({answer!r})\nsys.stdout.flush()\ntime.sleep(30)\n")  # fmt: skip
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with Reader(tmp_path / "x", 5, 1 << 30) as reader:
        with pytest.raises(ReaderFailed) as refused:
            reader.call("inspect")
        assert refused.value.code == "reader-crashed"
        assert not reader.alive


def test_reader_reports_its_confinement(tmp_path):
    path = tmp_path / "slide.tiff"
    pixels = tissue(300, 400)
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", resolution=(20_000, 20_000))
    with Reader(path, 60, 4 << 30) as reader:
        confinement = reader.confinement()
        assert reader.call("inspect")[0]["ok"]
        limits = Path(f"/proc/{reader._child.pid}/limits").read_text()
    assert confinement[0] == "rlimits"
    for name, most in (("address space", 4 << 30), ("core file size", 0), ("file size", 0), ("open files", 256)):
        assert re.search(rf"^Max {name} +{most} +{most} ", limits, re.MULTILINE), limits
    (seconds,) = re.findall(r"^Max cpu time +(\d+) ", limits, re.MULTILINE)
    assert int(seconds) <= 65, "sixty seconds beyond what the start used"
    assert ("landlock" in confinement) == (sandbox.landlock_version() > 0)


def test_reader_environment_contains_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("QUARTERTURN_ADMIN_KEY", "must-not-be-seen-by-a-hostile-file")
    with Reader(tmp_path / "none", 60, 4 << 30) as reader:
        assert reader.confinement()
        environment = Path(f"/proc/{reader._child.pid}/environ").read_bytes()
    assert b"must-not-be-seen" not in environment
