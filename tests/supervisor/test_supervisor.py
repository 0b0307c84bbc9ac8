"""`make run`: start, restart, stop, and one sentence for each reason not to start."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import pytest
from alembic.script import ScriptDirectory
from servers import FAST, KEY, PATIENCE, ROOT, free_port, until
from slides import tissue, write_pyramid

from cli.client import Client
from core.database.migrations import configuration

pytestmark = pytest.mark.services


def environment(data, port, **more):
    own = {"QUARTERTURN_DATA": str(data), "QUARTERTURN_PORT": str(port), "QUARTERTURN_ADMIN_KEY": KEY}
    return {**os.environ, **FAST, **own, **more}


COMMAND = [sys.executable, "-m", "supervisor", "--no-demo"]


def start(data, port, log, root=ROOT):
    with log.open("ab") as file:
        return subprocess.Popen(COMMAND, cwd=root, env=environment(data, port), stdout=file, stderr=file)


def until_in_log(running, log, words, times=1):
    """Waits until the log contains the words so often; fails at once with the log when the service ends instead."""

    def is_logged():
        ended = running.poll() is not None
        if log.read_text().count(words) >= times:
            return True
        assert not ended, log.read_text()
        return False

    until(is_logged)


def refused(data, port, **more):
    ended = subprocess.run(
        COMMAND, cwd=ROOT, env=environment(data, port, **more), capture_output=True, text=True, timeout=PATIENCE
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    return ended.stderr


def children_of(pid):
    columns = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    parents = dict(zip(map(int, columns[::2]), map(int, columns[1::2]), strict=True))
    mine = {pid}
    for _ in range(6):
        mine |= {child for child, parent in parents.items() if parent in mine}
    return mine - {pid}


def test_supervisor_starts_restarts_and_stops_the_service(tmp_path):
    data, port, log = tmp_path / "data", free_port(), tmp_path / "log"
    health = lambda: httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200  # noqa: E731
    running = start(data, port, log)
    until_in_log(running, log, "#token=")
    assert "Another Quarterturn" in refused(data, free_port())
    api = next(pid for pid in children_of(running.pid) if b"\0api\0" in cmdline(pid))
    os.kill(api, signal.SIGKILL)
    until_in_log(running, log, "The API ended (signal 9)")
    until(health)
    token = re.search(r"#token=(\S+)", log.read_text())[1]
    session = f"http://127.0.0.1:{port}/api/v1/session"
    first = httpx.post(session, json={"token": token})
    assert first.status_code == 201
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "samesite=strict" in first.headers["set-cookie"].lower()
    assert httpx.post(session, json={"token": token}).status_code == 401, "a link works once"
    cookie = first.headers["set-cookie"].split(";")[0]
    foreign = {"Cookie": cookie, "Origin": "https://evil.example"}
    assert httpx.delete(session, headers=foreign).status_code == 403
    assert httpx.get(session, headers={"Cookie": cookie}).json()["role"] == "admin"
    children = children_of(running.pid)
    assert children
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE) == 0
    assert all(not is_alive(pid) for pid in children), "Ctrl-C stops every process"
    again = start(data, port, log)
    until_in_log(again, log, "The API is ready", times=2)
    assert httpx.get(session, headers={"Cookie": cookie}).status_code == 200, "data is kept"
    again.send_signal(signal.SIGTERM)
    assert again.wait(PATIENCE) == 0


def test_children_end_when_the_supervisor_is_killed(tmp_path):
    data, port, log = tmp_path / "data", free_port(), tmp_path / "log"
    running = start(data, port, log)
    until_in_log(running, log, "#token=")
    children = children_of(running.pid)
    assert len(children) >= 2
    running.kill()
    running.wait()
    until(lambda: not any(is_alive(pid) for pid in children))
    again = start(data, port, log)
    until_in_log(again, log, "#token=", times=2)
    again.send_signal(signal.SIGTERM)
    assert again.wait(PATIENCE) == 0


NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "next", "{head}", None, None


def upgrade():
    with op.batch_alter_table("slides") as slides:
        slides.add_column(sa.Column("colour_of_the_box", sa.String(20), server_default="brown"))
"""


def test_upgrade_migrates_existing_data(tmp_path):
    """This version runs and stops; a later version, whose schema has one more column, starts on the same data."""
    data, port, log = tmp_path / "data", free_port(), tmp_path / "log"
    running = start(data, port, log)
    until_in_log(running, log, "#token=")
    slide_id = Client(f"http://127.0.0.1:{port}", KEY).upload(
        write_pyramid(tmp_path / "old.tiff", tissue(400, 500), 0.5), {}
    )
    running.send_signal(signal.SIGTERM)
    assert running.wait(PATIENCE) == 0
    newer = tmp_path / "newer"
    for package in ("api", "core", "model", "supervisor", "worker", "frontend"):
        shutil.copytree(ROOT / package, newer / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", newer)  # the version stands there
    head = ScriptDirectory.from_config(configuration("sqlite://")).get_current_head()
    (newer / "core/database/migrations/versions/next.py").write_text(NEXT.format(head=head))
    again = start(data, port, log, newer)
    until_in_log(again, log, "#token=", times=2)
    slide = Client(f"http://127.0.0.1:{port}", KEY).wait_for_slide(slide_id)
    assert (slide["filename"], slide["state"]) == ("old.tiff", "ready")
    with sqlite3.connect(data / "quarterturn.db") as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("next",)]
        assert database.execute("SELECT colour_of_the_box FROM slides").fetchall() == [("brown",)]
    again.send_signal(signal.SIGTERM)
    assert again.wait(PATIENCE) == 0


def cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid):
    return bool(cmdline(pid))


def test_supervisor_refuses_to_start_with_a_reason(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert f"Port {port} on 127.0.0.1 is taken" in refused(tmp_path / "a", port)
    (tmp_path / "file").write_text("")
    assert "cannot be used" in refused(tmp_path / "file", free_port())
    assert "32 characters" in refused(tmp_path / "b", free_port(), QUARTERTURN_ADMIN_KEY="short")
    assert "QUARTERTURN_HEAD_SECONDS is not valid" in refused(
        tmp_path / "d", free_port(), QUARTERTURN_HEAD_SECONDS="soon"
    )
    no_key = refused(tmp_path / "e", free_port(), QUARTERTURN_ADMIN_KEY_FILE=str(tmp_path / "none"))
    assert "cannot be read" in no_key
    assert "this machine only" in refused(tmp_path / "c", free_port(), QUARTERTURN_HOST="0.0.0.0")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the small disk that this fills")
def test_full_disk_is_reported_in_one_sentence(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this system permits no mount of a tmpfs")
    try:
        assert "MiB are free" in refused(small / "data", free_port())
    finally:
        subprocess.run(["umount", str(small)], check=True)
