"""The edge of the worker: whatever a kind of work raises becomes the row's reason, and ends nothing else."""

from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from core.errors import ReaderOutOfMemory, SlideUnreadable
from core.work import leases
from model.weights.card import WeightsRefused
from worker import tasks

AWAY = OperationalError("SELECT 1", {}, Exception("gone"))
CLAIM = leases.Claim("w", "evaluate", 1, 1, "s", None, 0, {})


@pytest.fixture
def reopened(monkeypatch):
    """Performs a row whose kind raises this, and gives what it did: (outcome, reasons that rows were opened with)."""
    reasons = []

    def perform(error, reopen=lambda _, reason: reasons.append(reason)):
        def kind(*_):
            raise error

        monkeypatch.setitem(tasks.KINDS, "evaluate", kind)
        monkeypatch.setattr(tasks, "serving", lambda: SimpleNamespace(network=lambda _: None))
        monkeypatch.setattr(tasks.leases, "reopen", reopen)
        return tasks._outcome(CLAIM), reasons

    return perform


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ReaderOutOfMemory("too-much-memory", "no memory left", "add memory"), "too-much-memory", "no memory"),
        (WeightsRefused("wrong weights"), "weights-refused", "wrong weights"),
        (FileNotFoundError(2, "No such file or directory", "/slides/of a person.svs"), "worker-error", "No such file"),
        (KeyError("of a person"), "worker-error", "KeyError"),
    ],
)  # fmt: skip
def test_a_row_opens_again_with_its_cause_and_without_names_of_files(error, code, words, reopened):
    outcome, (reason,) = reopened(error)
    assert (outcome, reason["code"]) == ("failed", code)
    assert words in reason["detail"]
    assert "person" not in str(reason)
    assert reason["action"]


def test_a_fault_of_a_reader_is_logged_by_its_source_alone(reopened, caplog):
    reopened(ReaderOutOfMemory("too-much-memory", "no memory left", "add memory"))
    assert not caplog.records
    reopened(SlideUnreadable("unreadable", "a part of the slide is damaged", "export it again"))
    assert [record.message for record in caplog.records] == ["work failed: unreadable"]


@pytest.mark.parametrize(("error", "outcome"), [(leases.LeaseLost(), "lost"), (AWAY, "stopped")])
def test_a_row_that_is_lost_or_cannot_be_written_is_left_alone(error, outcome, reopened):
    assert reopened(error) == (outcome, [])


def test_a_database_that_goes_away_after_a_fault_is_no_fault_of_its_own(reopened):
    def reopen(*_):
        raise AWAY

    assert reopened(RuntimeError(), reopen)[0] == "failed"
