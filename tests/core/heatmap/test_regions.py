"""Regions and their outlines, against the cells that they enclose."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.heatmap.grid import affine_to_l0, grid_shape
from core.heatmap.regions import find_regions, outline
from core.pixels.frame import Frame


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_outlines_enclose_exactly_their_cells(seed):
    rng = np.random.default_rng(seed)
    cells = np.argwhere(rng.random((7, 8)) > 0.4)
    if not len(cells):
        return
    rings = outline(cells[:, 0], cells[:, 1])
    areas = [sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(r)) / 2 for r in rings]
    assert abs(sum(areas)) == len(cells), "outer rings less their holes"
    assert all(ring[0] == ring[-1] for ring in rings)


@pytest.mark.parametrize("mpp", [0.25, 0.499, 0.972])
def test_regions_lie_where_their_cells_do(mpp):
    frame = Frame.from_slide(1237, 911, mpp, mpp)
    scores = np.full(grid_shape(frame), 0.1, np.float32)
    scores[4:7, 5:8] = 0.9
    scores[0, 0] = 0.95  # one cell alone is no region
    scores[10, 2:4] = np.nan
    (region,) = find_regions(scores, 0.5, frame)
    a, _, c, _, e, f = affine_to_l0(frame)
    assert region.bbox_l0 == pytest.approx((4.5 * a + c, 3.5 * e + f, 7.5 * a + c, 6.5 * e + f))
    assert region.area_um2 == pytest.approx(9 * (16 * 0.972) ** 2, rel=2e-3)
    assert region.area_corrected_um2 == pytest.approx(region.area_um2 * 4 / 9)
    assert region.rank == 1
