"""Comparisons pair the same patches, resample slides, and find no difference where there is none."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from model.evidence.report.comparison import HeldOut, figures_of, gather, paired, read_answers
from model.evidence.study.jobs import Job
from model.train.pcam import Split


def answer_of(strength, seed=0, slides=12, patches=40):
    """Logits that separate labels by `strength`, in slides of different brightness; the noise is shared."""
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"g{i:02}" for i in range(slides)], patches)
    labels = rng.integers(0, 2, len(groups))
    noise = rng.normal(size=len(groups)) + np.repeat(rng.normal(size=slides), patches)
    return HeldOut(labels, groups, strength * (labels - 0.5) + noise)


def test_a_stronger_system_wins_and_an_equal_one_ties():
    strong, weak = answer_of(3.0), answer_of(1.0)
    figures = paired(strong, weak)
    assert figures.difference > 0.1
    assert figures.interval[0] > 0
    assert figures.decided
    assert (figures.better_slides, figures.slides) == (12, 12)
    same = paired(weak, weak)
    assert (same.difference, same.interval, same.better_slides) == (0.0, (0.0, 0.0), 0)
    assert not same.decided


def test_swapping_systems_changes_the_sign():
    one, other = answer_of(2.0), answer_of(1.5)
    assert paired(one, other).difference == pytest.approx(-paired(other, one).difference)


def test_row_resamples_by_slide():
    """Brightness between slides costs the pooled AUC, not the one within slides."""
    figures = figures_of(answer_of(2.0))
    assert figures["within_slide_auc"] > figures["auc"]
    assert figures["auc_interval"][0] < figures["auc"] < figures["auc_interval"][1]


def test_answers_are_read_with_their_job(tmp_path):
    job = Job("folds", "p4m-densenet", steps=3, data="fold", fold=1)
    about = {**asdict(job), "name": job.name, "patches": 7, "parameters": 11}
    logits = np.array([0.5, -1.0], np.float32)
    np.savez_compressed(tmp_path / f"{job.name}.npz", about=np.array(json.dumps(about)), fold=logits)
    (answer,) = read_answers(tmp_path)
    assert (answer.job, answer.patches, answer.parameters) == (job, 7, 11)
    split = Split(np.zeros((2, 96, 96, 3), np.uint8), np.array([1, 0], np.uint8), np.array(["a", "b"]))
    both = gather([answer, answer], lambda job_asked: split if job_asked == job else None, "fold")
    np.testing.assert_array_equal(both.logits, np.tile(logits, 2))
    np.testing.assert_array_equal(both.labels, [1, 0, 1, 0])
