"""Regions, against the cells that they enclose. Their outlines: test_outlines.py."""

import numpy as np
import pytest

from core.heatmap.grid import affine_to_l0, grid_shape
from core.heatmap.regions import find_regions
from core.pixels.frame import Frame


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
