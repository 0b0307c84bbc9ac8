"""A slide's figures are those of all its eight views, and say what they are said to say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from model.checks.slide_score import neighbourhoods, slide_score
from model.groups.group import get_group, transform

values = st.floats(0, 1, width=32) | st.just(np.float32(np.nan))
planes = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=values)


@given(planes, st.sampled_from(get_group("p4m").elements), st.floats(0.01, 0.99))
def test_the_eight_views_have_the_same_figures_to_the_bit(scores, element, threshold):
    assert slide_score(transform(scores, element), threshold) == slide_score(scores, threshold)


@given(planes)
def test_the_peak_is_that_of_a_window_of_four(scores):
    padded = np.pad(np.where(np.isnan(scores), 0, scores), 1).astype(np.float64)
    expected = max(
        padded[i : i + 2, j : j + 2].sum() / 4 for i in range(len(padded) - 1) for j in range(padded.shape[1] - 1)
    )
    assert slide_score(scores, 0.5).peak == pytest.approx(expected, rel=1e-6)
    assert neighbourhoods(scores).shape == (scores.shape[0] + 1, scores.shape[1] + 1)


def test_one_cell_alone_reaches_a_quarter_of_its_score_and_four_reach_theirs():
    scores = np.full((5, 6), np.nan, np.float32)
    scores[2, 3] = 1
    assert slide_score(scores, 0.5).peak == 0.25
    scores[2:4, 3:5] = 1
    assert slide_score(scores, 0.5).peak == 1


def test_the_area_counts_cells_that_reach_the_threshold_and_no_cell_without_a_score():
    scores = np.array([[0.2, 0.5, 0.8], [np.nan, 0.49, 1.0]], np.float32)
    assert [slide_score(scores, t).area_cells for t in (0.1, 0.5, 0.9)] == [5, 3, 1]
