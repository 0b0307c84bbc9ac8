"""A band's values: finite at every tissue cell that was read, and a reason for every region that was not."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import SlideRejected
from core.heatmap.grid import Band
from model.weights.card import Card
from worker.compute import bands
from worker.compute.bands import NotFinite, band_values

PLACE = Band(0, 0, 2, 54)
MASK = np.ones((2, 54), bool)
MASK[0, 0] = False


def answered(monkeypatch, logits, loaded=None):
    """The band's values where the network answers `logits` (rows, cols) for each of its two regions."""
    monkeypatch.setattr(bands, "infer_with_features", lambda network, pixels: (logits[None], None))
    served = SimpleNamespace(network=None, familiarity=None, card=Card("n", "", {}, temperature=2.0, bias=0.5))
    staging = SimpleNamespace(receive=lambda pixels: pixels)
    loaded = loaded or [(region, np.zeros((1, 1, 3), np.uint8)) for region in PLACE.regions()]
    return band_values(served, PLACE, MASK, loaded, staging, lambda: None)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_no_finite_number_is_a_fault(broken, monkeypatch):
    """It used to become NaN in the heat map, which means "not analysed": an unreported gap."""
    logits = np.ones((2, 27), np.float32)
    logits[1, 3] = broken
    with pytest.raises(NotFinite, match="1 of 53"):
        answered(monkeypatch, logits)


def test_values_on_glass_are_ignored(monkeypatch):
    logits = np.ones((2, 27), np.float32)
    logits[0, 0] = np.nan
    first = MASK.copy()
    first[0, 27] = False
    monkeypatch.setitem(globals(), "MASK", first)
    values = answered(monkeypatch, logits).values
    assert np.array_equal(np.isfinite(values), first)
    assert (values[first] == 1 / 2.0 + 0.5).all(), "the temperature, then the bias"


def test_a_region_that_was_not_read_is_listed_with_its_reason(monkeypatch):
    first, second = PLACE.regions()
    loaded = [(first, SlideRejected("x", "the tile is broken", "copy")), (second, np.zeros((1, 1, 3), np.uint8))]
    done = answered(monkeypatch, np.ones((2, 27), np.float32), loaded)
    (unread,) = done.unread
    assert (unread.row, unread.col, unread.row_end, unread.col_end, unread.cells) == (0, 0, 2, 27, 53)
    assert (unread.reason.code, unread.reason.detail) == ("x", "the tile is broken")
    assert np.isnan(done.values[:, :27]).all()
    assert np.isfinite(done.values[:, 27:]).all()
