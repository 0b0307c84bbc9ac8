"""Threads that nothing watches outlive every fault: the heartbeat, the reconciler, the lease, the shutdown."""

import threading

import pytest
from sqlalchemy.exc import OperationalError

from core import logs
from core.work import leases
from worker.life import heartbeat, lease_keeper, shutdown
from worker.life.lease_keeper import LeaseKeeper
from worker.life.rounds import Rounds

AWAY = OperationalError("SELECT 1", {}, Exception("gone"))
CLAIM = leases.Claim("w", "band", 1, 1, "s", "a", 0, {}, correlation="c")
PATIENCE = 20.0


class Steps:
    """A step that raises these, one a round, and then succeeds for ever."""

    def __init__(self, *errors):
        self.errors, self.calls, self.succeeded = list(errors), 0, threading.Event()

    def __call__(self, *_):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        self.succeeded.set()


def through(step, *others):
    """Runs rounds until the last step has succeeded."""
    rounds = Rounds("test", [step, *others], lambda: 0.01)
    rounds.start()
    last = others[-1] if others else step
    assert last.succeeded.wait(PATIENCE)
    rounds.stop()
    rounds.join(PATIENCE)
    assert not rounds.is_alive()


@pytest.mark.parametrize("error", [AWAY, OSError("full"), KeyError("unforeseen"), AssertionError()])
def test_a_fault_ends_a_round_and_never_the_thread(error, caplog):
    step = Steps(error, error)
    through(step)
    assert step.calls >= 3
    assert len(caplog.records) == 2
    foreseen = isinstance(error, OSError | OperationalError)
    assert all((record.exc_info is None) == foreseen for record in caplog.records), "the unforeseen has its traceback"


def test_a_step_that_always_fails_keeps_no_other_from_running():
    broken = Steps(*[RuntimeError()] * 1000)
    through(broken, Steps())
    assert broken.calls


def test_a_heartbeat_goes_on_after_an_unforeseen_fault(monkeypatch):
    step = Steps(RuntimeError("unforeseen"))
    monkeypatch.setattr(heartbeat, "beat", step)
    monkeypatch.setenv("QUARTERTURN_WORKER_SILENT_SECONDS", "0.2")
    heartbeat.get_settings.cache_clear()
    heartbeat.start(None)
    assert step.succeeded.wait(PATIENCE)


@pytest.mark.parametrize("error", [AWAY, RuntimeError("unforeseen")])
def test_a_lease_is_watched_after_a_fault_and_logs_the_correlation(error, monkeypatch, caplog):
    """A failed check does not end the watch: the next check sees that the claim was lost."""
    monkeypatch.setattr(lease_keeper, "CHECK_SECONDS", 0.01)
    answers, correlations, probed = [error, True, False], [], threading.Event()

    def is_current(_):
        correlations.append(logs.correlation())
        if len(answers) == 1:
            probed.set()
            return answers[0]
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(lease_keeper.leases, "is_current", is_current)
    with logs.correlated("the-request"), LeaseKeeper(CLAIM, PATIENCE) as watched:
        assert probed.wait(PATIENCE)
        watched._thread.join(PATIENCE)
        with pytest.raises(leases.LeaseLost):
            watched.advance()
    assert set(correlations) == {"the-request"}
    assert "lease renewal" in caplog.text


class Ended(BaseException):
    """Stands for the end of the process."""


def end_of(monkeypatch):
    def exit_(status):
        raise Ended

    monkeypatch.setattr(shutdown.os, "_exit", exit_)
    monkeypatch.setenv("QUARTERTURN_STOP_SECONDS", "0")
    shutdown.get_settings.cache_clear()
    monkeypatch.setattr(shutdown, "DRAIN_SECONDS", 0.05)
    monkeypatch.setattr(shutdown, "RELEASE_EVERY_SECONDS", 0.01)
    with pytest.raises(Ended):
        shutdown.end()


@pytest.mark.parametrize("error", [AWAY, RuntimeError("unforeseen")])
def test_a_worker_that_was_asked_to_end_ends(error, monkeypatch, caplog):
    """An unforeseen fault while rows are released used to end the thread, and then nothing ended the process."""
    releases = []

    def release(name):
        releases.append(name)
        raise error

    monkeypatch.setattr(shutdown, "active_children", lambda: [type("Child", (), {"pid": 2**22 + 1})])
    monkeypatch.setattr(shutdown.leases, "release_all", release)
    end_of(monkeypatch)
    assert len(releases) > 1, "released again, since a message in the pool makes it claim again"
    assert "pool did not drain; work released, exiting" in caplog.text


def test_a_worker_ends_even_where_its_children_cannot_be_listed(monkeypatch):
    def broken():
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(shutdown, "active_children", broken)
    end_of(monkeypatch)
