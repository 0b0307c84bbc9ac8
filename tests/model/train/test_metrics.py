"""Metrics against their definitions, scikit-learn and synthetic detectors."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from model.train import metrics

RNG = np.random.default_rng(0)


def detector(n, slope=1.0):
    """Labels drawn from a calibrated detector's scores; the logits that it claims are `slope` times too extreme."""
    logits = RNG.normal(0, 2, n)
    labels = (RNG.random(n) < 1 / (1 + np.exp(-logits))).astype(int)
    return labels, slope * logits


def test_auc_equals_scikit_learn():
    labels, logits = detector(500)
    assert metrics.auc(labels, logits.round(1)) == pytest.approx(roc_auc_score(labels, logits.round(1)))


def test_a_calibrated_detector_shows_no_error_and_slope_one():
    errors = [metrics.calibration_error(*detector(2000)) for _ in range(20)]
    assert np.mean(errors) < 0.012, "binning noise alone gives 0.03"
    slope, intercept = metrics.calibration_slope(*detector(50_000))
    assert slope == pytest.approx(1, abs=0.03)
    assert intercept == pytest.approx(0, abs=0.03)


def test_too_extreme_scores_show():
    labels, logits = detector(20_000, slope=2.5)
    assert metrics.calibration_error(labels, logits) > 0.08
    assert metrics.calibration_slope(labels, logits)[0] == pytest.approx(1 / 2.5, rel=0.05)


def test_slope_equals_scikit_learn():
    labels, logits = detector(800, slope=0.7)
    theirs = LogisticRegression(C=1e9).fit(logits[:, None], labels)
    assert metrics.calibration_slope(labels, logits) == pytest.approx(
        (theirs.coef_[0, 0], theirs.intercept_[0]), abs=1e-3
    )


def test_within_slides_a_shift_between_them_does_not_count():
    labels, logits = detector(3000)
    groups = np.arange(3000) % 5
    shifted = logits + 20 * groups
    assert metrics.pooled_within_auc(labels, shifted, groups) == pytest.approx(
        metrics.pooled_within_auc(labels, logits, groups)
    )
    assert metrics.auc(labels, shifted) < 0.7 < metrics.pooled_within_auc(labels, shifted, groups)


def test_the_hierarchical_bootstrap_is_wider_for_slides_than_for_patches():
    groups = np.repeat(np.arange(12), 60)
    labels = RNG.integers(0, 2, 720)
    hard = np.repeat(RNG.random(12), 60)  # slides differ in how hard they are
    runs = [labels * 4 * hard + RNG.normal(0, 1, 720) for _ in range(3)]
    by_slide = metrics.hierarchical_bootstrap(labels, runs, groups, metrics.auc, rounds=300)
    by_patch = metrics.hierarchical_bootstrap(labels, runs, np.arange(720), metrics.auc, rounds=300)
    assert by_slide[0] < np.mean([metrics.auc(labels, run) for run in runs]) < by_slide[1]
    assert np.ptp(by_slide) > 1.5 * np.ptp(by_patch)
