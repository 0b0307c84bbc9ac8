"""`make dev` restarts a child when its code changes, and does not count that as a failure of the child."""

import os
from pathlib import Path

import pytest
from servers import until

from supervisor.processes import Child, stop_all
from supervisor.reload import Reloader


@pytest.fixture
def child(tmp_path):
    server = Child("API", ["http.server", "0", "--bind", "127.0.0.1"], tmp_path / "log", os.environ)
    server.start()
    yield server
    stop_all([server])


@pytest.fixture
def source(tmp_path):
    (tmp_path / "api").mkdir()
    (tmp_path / "core").mkdir()
    path = tmp_path / "core" / "changed.py"
    path.write_text("")
    os.utime(path, (1, 1))
    return path


def test_a_change_restarts_the_child_without_a_pause(child, source, tmp_path):
    reloader = Reloader([child], tmp_path)
    assert reloader.restart_changed() == []
    first = child.process.pid
    os.utime(source, (2, 2))
    until(lambda: reloader.restart_changed() == ["API"])
    until(lambda: child.supervise() is not None)
    assert child.failures == 0
    until(lambda: child.supervise() is None and child.process is not None)
    assert child.process.pid != first


def test_unexpected_end_counts_as_a_failure(child, source, tmp_path):
    child.process.kill()
    until(lambda: child.supervise() is not None)
    assert child.failures == 1


def restarts(reloader):
    """Names of the children that a scan restarts now."""
    reloader._next_scan = 0.0
    return reloader.restart_changed()


def test_a_dangling_link_is_no_source_file(child, source, tmp_path):
    """Emacs marks an open file by a link that points nowhere."""
    (tmp_path / "api" / ".#open.py").symlink_to("somebody@somewhere.1:2")
    reloader = Reloader([child], tmp_path)
    assert restarts(reloader) == []


def test_a_file_that_vanishes_during_a_scan_is_skipped(child, source, tmp_path, monkeypatch):
    reloader, stat = Reloader([child], tmp_path), Path.stat

    def vanished(path, *arguments, **more):
        if str(path) == str(source):
            raise FileNotFoundError(2, "No such file or directory")
        return stat(path, *arguments, **more)

    monkeypatch.setattr(Path, "stat", vanished)
    assert restarts(reloader) == ["API"], "it counts as removed"


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.rename(path.with_name("other.py"))])
def test_a_removed_or_renamed_file_restarts_the_child(change, child, source, tmp_path):
    reloader = Reloader([child], tmp_path)
    change(source)
    assert restarts(reloader) == ["API"]
    assert restarts(reloader) == []
