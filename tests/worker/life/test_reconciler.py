"""The reconciler fails rows that used up their attempts, each by itself and with the last cause."""

import threading

import pytest

from core.analyses import statements
from core.work.leases import LANES
from worker.life import reconciler
from worker.life.reconciler import _report


def test_one_row_that_cannot_be_failed_does_not_stop_the_others(monkeypatch):
    failed = []

    def fail(work_id, _):
        if work_id == "poisoned":
            raise KeyError("unforeseen")
        failed.append(work_id)

    monkeypatch.setattr(reconciler, "_fail_row", fail)
    monkeypatch.setattr(reconciler.leases, "exhausted", lambda _: [("poisoned", "a"), ("other", "a")])
    monkeypatch.setattr(reconciler, "reading", lambda: threading.Lock())
    reconciler.fail_exhausted()
    assert failed == ["other"]


@pytest.mark.parametrize("kind", LANES)
@pytest.mark.parametrize("last", [None, {"code": "worker-error", "detail": "the worker met KeyError"}])
def test_the_owner_of_a_failed_row_gets_the_last_cause(kind, last, monkeypatch):
    """Profiles and evaluations have no owner that would fail with them."""
    reasons = []
    monkeypatch.setattr("worker.life.reconciler.inspection.record_failure", lambda *args: reasons.append(args[-1]))
    monkeypatch.setattr("worker.life.reconciler.states.fail", lambda *args: reasons.append(args[-1].model_dump()))
    monkeypatch.setattr("worker.life.reconciler.states.lock", lambda *_: None)
    row = type("Row", (), {"kind": kind, "reason": last, "attempts": 3, "analysis_id": "a", "slide_id": "s"})
    _report(type("Session", (), {"get_one": lambda *_: None}), row)
    owned = kind in ("inspect", "band", "check", "finish")
    assert len(reasons) == owned
    assert row.reason["code"] == (last["code"] if last else "worker-killed"), (
        "the API shows it of rows without an owner"
    )
    assert row.reason["detail"]
    if owned:
        assert reasons[0]["code"] == f"{kind}-failed"
        assert (last["detail"] if last else "killed") in reasons[0]["detail"]
        assert f"{kind}-failed" in statements.REASONS
