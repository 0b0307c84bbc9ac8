"""`make dev` restarts a child when its code changes, and does not count that as a failure of the child."""

import os

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
