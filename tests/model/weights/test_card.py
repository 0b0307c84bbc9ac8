"""A card's statements about scores: the calibration mix, and predictive values in other mixes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.weights.card import RARE, Card
from model.weights.checkpoint import read_card

VALID = {"valid": {"positive": 283, "patches": 745}}
shares = st.floats(0.001, 0.999)


def card(**metrics):
    return Card("c", "0" * 64, {}, metrics=metrics)


@given(shares, shares)
def test_predictive_value_follows_bayes(score, prevalence):
    """A score is p(tumour | patch) under the card's mix; with the likelihood ratio it holds, any other mix follows."""
    calibrated = card(**VALID)
    ratio = score / (1 - score) * (1 - calibrated.prevalence) / calibrated.prevalence
    expected = ratio * prevalence / (ratio * prevalence + 1 - prevalence)
    assert calibrated.score_at(score, prevalence) == pytest.approx(expected, rel=1e-9)


@given(shares)
def test_score_is_its_own_predictive_value_in_the_calibration_mix(score):
    calibrated = card(**VALID)
    assert calibrated.score_at(score, calibrated.prevalence) == pytest.approx(score, rel=1e-9)


def test_predictive_value_equals_a_simulation():
    """A million cells of two Gaussian classes, scored for an even mix, in a mix of one in a hundred."""
    rng, calibrated = np.random.default_rng(0), card(valid={"positive": 1, "patches": 2})
    labels = rng.random(1_000_000) < RARE
    scores = 1 / (1 + np.exp(-2 * (rng.normal(size=len(labels)) + np.where(labels, 1, -1))))
    near = np.abs(scores - 0.9) < 0.01
    assert labels[near].mean() == pytest.approx(calibrated.score_at(0.9, RARE), abs=0.01)


def test_a_card_without_figures_promises_nothing():
    assert card().calibration() is None
    with pytest.raises(ValueError, match="no prevalence"):
        card().score_at(0.5, 0.1)


def test_the_shipped_card_says_that_a_high_score_is_worth_far_less_where_tumour_is_rare():
    worth = read_card().calibration()["worth_where_rare"]
    assert worth["0.9"] < 0.3
    assert worth["0.5"] < worth["0.9"] < worth["0.99"] < 0.99


def test_calibration_divides_then_adds_in_float32():
    logits = np.array([[-3.0, 0.1], [7.3, np.nan]], np.float32)
    calibrated = Card("c", "", {}, temperature=1.18, bias=0.5).calibrate(logits)
    assert calibrated.dtype == np.float32
    np.testing.assert_array_equal(calibrated, logits / np.float32(1.18) + np.float32(0.5))


def test_a_card_of_an_earlier_version_has_no_bias():
    assert Card("c", "", {}, temperature=2.0).calibrate(np.float32([3.0]))[0] == 1.5
