"""The study's splits keep slides apart, its jobs have names of their own, and an answer once given stays."""

import dataclasses
import json

import numpy as np
import pytest

from model.evidence import study
from model.evidence.boosted_trees import features
from model.groups.group import get_group, transform
from model.networks.systems import SYSTEMS
from model.train.metrics import auc
from model.train.pcam import Split
from model.train.run import predict
from model.weights.checkpoint import state_of

RNG = np.random.default_rng(0)


@pytest.fixture
def split():
    """120 patches of 24 slide groups, half of them without a positive."""
    groups = np.repeat([f"g{i:02d}" for i in range(24)], 5)
    labels = ((np.arange(120) // 5) % 2 * RNG.integers(0, 2, 120)).astype(np.uint8)
    labels[5::10] = 1
    return Split(RNG.integers(0, 256, (120, 96, 96, 3), dtype=np.uint8), labels, groups)


def test_folds_part_the_slides_and_share_the_positives(split):
    folds = study.folds_of(split.groups, split.labels)
    assert sorted(set(folds)) == list(range(study.FOLDS))
    for name in np.unique(split.groups):
        assert len(set(folds[split.groups == name])) == 1, "a slide stands in one fold"
    positives = [int(split.labels[folds == fold].sum()) for fold in range(study.FOLDS)]
    assert max(positives) - min(positives) <= 5
    np.testing.assert_array_equal(folds, study.folds_of(split.groups, split.labels))


@pytest.mark.parametrize("by", ["patch", "slide"])
def test_a_fraction_is_drawn_by_seed_alone(split, by):
    first, again, other = (study.part_of(split, 0.5, by, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.patches, again.patches)
    assert len(first) != len(other) or (first.patches != other.patches).any()
    assert abs(len(first) - 60) <= 5
    if by == "slide":
        assert len(set(first.groups)) == 12
        assert len({g for g, y in zip(first.groups, first.labels, strict=True) if y}) == 6, "half of those with tumour"


def test_every_job_has_a_name_of_its_own():
    names = [job.name for plan in study.PLANS.values() for job in plan()]
    assert len(set(names)) == len(names)


def test_masking_leaves_nothing_of_the_centre(split):
    masked = study.mask_centre(split)
    assert np.ptp(masked.patches[:, 32:64, 32:64], (1, 2)).max() == 0
    np.testing.assert_array_equal(masked.patches[:, :32], split.patches[:, :32])


def test_the_paint_over_the_centre_knows_nothing_of_it(split):
    other = Split(split.patches.copy(), split.labels, split.groups)
    other.patches[:, 32:64, 32:64] = 255 - other.patches[:, 32:64, 32:64]
    np.testing.assert_array_equal(study.mask_centre(split).patches, study.mask_centre(other).patches)


@pytest.fixture
def tiny(split, tmp_path, monkeypatch):
    """Data of a few patches, plain networks of a few filters, and a folder for answers."""
    monkeypatch.setattr(study, "ANSWERS", tmp_path / "evidence")
    (tmp_path / "evidence").mkdir()
    for name in ("z2-densenet", "z2-eight-views"):
        monkeypatch.setitem(SYSTEMS, name, dataclasses.replace(SYSTEMS[name], half=(4, 4)))
    data = study.Data.__new__(study.Data)
    data._all, data.valid, data.test = split, split.take(np.arange(40)), split.take(np.arange(40, 80))
    return data


def test_a_job_answers_whole(tiny, tmp_path):
    job = study.Job("tiny", "z2-densenet", steps=2)
    study.do(job, tiny, tmp_path / "work")
    answer = np.load(tmp_path / "evidence" / f"{job.name}.npz")
    about = json.loads(str(answer["about"]))
    assert about["system"] == "z2-densenet"
    assert about["steps"] == 2
    assert answer["valid"].shape == (40,)
    assert study.answered(job)
    assert not study.answered(dataclasses.replace(job, steps=3)), "of the same name, and another run"
    assert np.isfinite(answer["test"]).all()


def test_averaged_views_are_the_same_weights_asked_eight_times(tiny, tmp_path):
    plain, averaged = (study.Job("tiny", name, steps=2) for name in ("z2-densenet", "z2-eight-views"))
    study.do(plain, tiny, tmp_path / "work")
    study.do(averaged, tiny, tmp_path / "work")
    assert [path.name for path in (tmp_path / "work").iterdir()] == [plain.name], "trained once"
    average = state_of(tmp_path / "work" / plain.name / "checkpoint.pt")
    views = [predict(average, turned(tiny.valid, element)).numpy() for element in get_group("p4m").elements]
    answer = np.load(tmp_path / "evidence" / f"{averaged.name}.npz")["valid"]
    np.testing.assert_allclose(answer, np.mean(views, 0), atol=1e-4)
    assert np.ptp(views, 0).max() > 1e-3, "one view alone promises nothing"


def test_a_job_is_one_process_s_at_a_time(tmp_path):
    plain, averaged = (study.Job("tiny", name, steps=2) for name in ("z2-densenet", "z2-eight-views"))
    with study.claimed(plain, tmp_path) as first, study.claimed(plain, tmp_path) as second:
        assert first
        assert not second
        with study.claimed(averaged, tmp_path) as lent:
            assert not lent, "its weights are being trained"
    floor = study.Job("tiny", study.FLOOR, steps=0)
    with study.claimed(plain, tmp_path) as again, study.claimed(floor, tmp_path) as trees:
        assert again
        assert trees


def turned(split, element):
    patches = np.stack([transform(patch, element) for patch in split.patches])
    return Split(patches, split.labels, split.groups)


def test_the_floor_answers_like_a_network(split, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "ANSWERS", tmp_path)
    data = study.Data.__new__(study.Data)
    bright = Split(split.patches // 2 + 100 * split.labels[:, None, None, None], split.labels, split.groups)
    data._all, data.valid, data.test = bright, bright, bright.take(np.arange(40))
    study.do(study.Job("tiny", study.FLOOR, steps=0), data, tmp_path / "work")
    answer = np.load(tmp_path / "tiny-boosted-trees-1.npz")
    assert auc(bright.labels, answer["valid"]) > 0.95, "the colour gives it away"
    assert features(bright.patches[:3]).shape == (3, 30)
