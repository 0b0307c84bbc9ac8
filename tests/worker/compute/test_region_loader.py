"""The region loader replaces a killed reader and reads its region once more."""

from contextlib import closing

import numpy as np
import pytest

from core import logs
from core.errors import ReaderFailed, ReaderKilled, ReaderOutOfMemory, ReaderTimedOut, SlideUnreadable, StorageFault
from core.heatmap.grid import RegionImage
from worker.compute import region_loader, region_retry

REGION = RegionImage(0, 0, 1, 1)


def loaded(monkeypatch, outcomes):
    """The outcome of a region whose reads end like this."""
    outcome_iterator = iter(outcomes)

    def read(*_):
        kind = next(outcome_iterator)
        if kind is None:
            return np.zeros((96, 96, 3), np.uint8)
        raise kind("code", "x", "y") if kind is not RuntimeError else kind("unforeseen")

    monkeypatch.setattr(region_retry, "region_pixels", read)
    return list(region_loader.RegionLoader(lambda: None, None, [REGION], lambda pixels: pixels))


@pytest.mark.parametrize(
    ("outcomes", "there"),
    [([None], True), ([ReaderFailed, None], True), ([ReaderTimedOut, None], True), ([ReaderKilled, None], True),
     ([ReaderFailed, ReaderFailed], False), ([SlideUnreadable, None], False)],
)  # fmt: skip
def test_ended_reader_is_replaced_without_losing_a_region(outcomes, there, monkeypatch):
    ((_, pixels),) = loaded(monkeypatch, outcomes)
    assert isinstance(pixels, np.ndarray) == there
    assert there or type(pixels) is outcomes[0], "the region's gap has its reason"


@pytest.mark.parametrize("kind", [StorageFault, ReaderOutOfMemory])
def test_faults_of_the_machine_leave_no_gap(kind, monkeypatch):
    """The band opens again, since a fault of the machine states nothing about the region's cells."""
    with pytest.raises(kind, match="x"):
        loaded(monkeypatch, [kind, None])


def test_a_reader_that_is_killed_again_leaves_no_gap(monkeypatch):
    with pytest.raises(ReaderKilled):
        loaded(monkeypatch, [ReaderKilled, ReaderKilled])


def test_dead_reading_thread_does_not_block(monkeypatch):
    with pytest.raises(EOFError):
        loaded(monkeypatch, [RuntimeError])


def test_the_cause_of_a_dead_reading_thread_is_raised(monkeypatch):
    with pytest.raises(EOFError) as ended:
        loaded(monkeypatch, [RuntimeError])
    assert isinstance(ended.value.__cause__, RuntimeError)


def test_log_lines_of_the_reading_thread_carry_the_correlation(monkeypatch):
    """A reader's end is logged by the thread that reads ahead."""
    correlations = []
    monkeypatch.setattr(region_retry, "region_pixels", lambda *_: correlations.append(logs.correlation()))
    with logs.correlated("the-request"):
        list(region_loader.RegionLoader(lambda: None, None, [REGION], lambda pixels: pixels))
    assert correlations == ["the-request"]


def test_a_fault_of_the_computation_ends_the_reading_thread(monkeypatch):
    monkeypatch.setattr(region_retry, "region_pixels", lambda *_: np.zeros((96, 96, 3), np.uint8))
    loader = region_loader.RegionLoader(lambda: None, None, [REGION] * 100, lambda pixels: pixels)
    with pytest.raises(RuntimeError), closing(iter(loader)) as regions:
        next(regions)
        raise RuntimeError
    assert not loader._thread.is_alive()
