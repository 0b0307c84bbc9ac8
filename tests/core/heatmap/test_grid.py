"""Bands of the grid against their law."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.heatmap.grid import bands


@given(st.integers(1, 120), st.integers(1, 200), st.integers(1, 7), st.integers(0, 3))
def test_bands_hold_every_tissue_cell_once(rows, cols, per_band, seed):
    mask = np.random.default_rng(seed).random((rows, cols)) > 0.97
    counts = np.zeros((rows, cols), int)
    for band in bands(mask, per_band):
        counts[band.row : band.row_end, band.col : band.col_end] += 1
    assert counts.max(initial=0) <= 1
    assert (counts[mask] == 1).all()
