"""The rotation check reads its region as a band does: a reader that ended once is replaced."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import MachineFault, ReaderFailed, ReaderKilled, SlideUnreadable
from core.work.leases import Claim
from worker.compute import region_retry
from worker.kinds import check as kind

CLAIM = Claim("w", "check", 1, 1, "s", "a", 0, {"seed": 1, "row": 0, "col": 0, "row_end": 1, "col_end": 1})
PIXELS = np.zeros((96, 96, 3), np.uint8)


@pytest.fixture
def check(monkeypatch):
    """Performs a check whose reads end like this; gives the stored result."""

    def perform(*outcomes):
        ends, stored = iter(outcomes), []

        def read(*_):
            error = next(ends)
            if error is not None:
                raise error("a-code", "what is wrong", "what to do")
            return PIXELS

        monkeypatch.setattr(region_retry, "region_pixels", read)
        monkeypatch.setattr(kind, "slide_and_analysis", lambda _: (None, None))
        monkeypatch.setattr(kind.scale, "info_of_analysis", lambda *_: None)
        monkeypatch.setattr(kind, "reader_of", lambda _: None)
        monkeypatch.setattr(kind, "writing", nullcontext)
        monkeypatch.setattr(kind, "_turned", lambda *_: "measured")
        monkeypatch.setattr(kind.states, "complete_part", lambda *arguments: stored.append(arguments[-1]))
        kind.check(CLAIM, SimpleNamespace(advance=lambda: None), None)
        return stored

    return perform


@pytest.mark.parametrize("first", [None, ReaderFailed, ReaderKilled])
def test_a_reader_that_ends_once_skips_no_check(first, check):
    assert check(first, None) == ["measured"]


@pytest.mark.parametrize("outcomes", [(ReaderFailed, ReaderFailed), (SlideUnreadable,)])
def test_a_region_that_cannot_be_read_is_turned_by_nothing(outcomes, check):
    assert check(*outcomes) == [kind.NOTHING_TURNED]


def test_a_fault_of_the_machine_is_no_result(check):
    with pytest.raises(MachineFault):
        check(ReaderKilled, ReaderKilled)
