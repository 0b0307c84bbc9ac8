"""The table of kinds is that of the rows: every kind has a lane, and its failure a reason."""

import pytest

from core.analyses import statements
from core.work.leases import LANES
from worker.kinds.registry import KINDS
from worker.life.reconciler import _report


def test_every_kind_of_row_is_done_by_a_function_of_its_name():
    assert set(KINDS) == set(LANES)
    assert all(function.__name__ == kind for kind, function in KINDS.items())


@pytest.mark.parametrize("kind", LANES)
@pytest.mark.parametrize("last", [None, {"code": "worker-error", "detail": "the worker met KeyError"}])
def test_a_row_that_used_up_its_attempts_tells_its_owner_the_last_cause(kind, last, monkeypatch):
    """Profiles and evaluations have no owner that would fail with them."""
    reasons = []
    monkeypatch.setattr("worker.life.reconciler.inspection.record_failure", lambda *args: reasons.append(args[-1]))
    monkeypatch.setattr("worker.life.reconciler.states.fail", lambda *args: reasons.append(args[-1].model_dump()))
    monkeypatch.setattr("worker.life.reconciler.states.lock", lambda *_: None)
    row = type("Row", (), {"kind": kind, "reason": last, "attempts": 3, "analysis_id": "a", "slide_id": "s"})
    _report(type("Session", (), {"get_one": lambda *_: None}), row)
    owned = kind in ("inspect", "band", "check", "finish")
    assert len(reasons) == owned
    if owned:
        assert reasons[0]["code"] == f"{kind}-failed"
        assert (last["detail"] if last else "killed") in reasons[0]["detail"]
        assert f"{kind}-failed" in statements.REASONS
