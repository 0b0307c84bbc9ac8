"""The study's splits separate slides, its jobs have distinct names, and a stored answer stays."""

import dataclasses
import json

import numpy as np
import pytest

from model.evidence.boosted_trees import features
from model.evidence.study import __main__ as command
from model.evidence.study import data as pcam_
from model.evidence.study import jobs, runs
from model.groups.group import get_group, transform
from model.networks.registry import SYSTEMS
from model.train.loop import predict
from model.train.metrics import auc
from model.train.pcam import BadData, Split
from model.weights.checkpoint import load_averaged_network

RNG = np.random.default_rng(0)


@pytest.fixture
def split():
    """120 patches of 24 slide groups, half of them without a positive."""
    groups = np.repeat([f"g{i:02d}" for i in range(24)], 5)
    labels = ((np.arange(120) // 5) % 2 * RNG.integers(0, 2, 120)).astype(np.uint8)
    labels[5::10] = 1
    return Split(RNG.integers(0, 256, (120, 96, 96, 3), dtype=np.uint8), labels, groups)


def test_folds_part_the_slides_and_share_the_positives(split):
    folds = pcam_.folds_of(split.groups, split.labels)
    assert sorted(set(folds)) == list(range(jobs.FOLDS))
    for name in np.unique(split.groups):
        assert len(set(folds[split.groups == name])) == 1, "a slide stands in one fold"
    positives = [int(split.labels[folds == fold].sum()) for fold in range(jobs.FOLDS)]
    assert max(positives) - min(positives) <= 5
    np.testing.assert_array_equal(folds, pcam_.folds_of(split.groups, split.labels))


@pytest.mark.parametrize("by", ["patch", "slide"])
def test_a_fraction_is_drawn_by_seed_alone(split, by):
    first, again, other = (pcam_.part_of(split, 0.5, by, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.patches, again.patches)
    assert len(first) != len(other) or (first.patches != other.patches).any()
    assert abs(len(first) - 60) <= 5
    if by == "slide":
        assert len(set(first.groups)) == 12
        assert len({g for g, y in zip(first.groups, first.labels, strict=True) if y}) == 6, "half of those with tumour"


def test_every_job_has_a_name_of_its_own():
    names = [job.name for plan in jobs.PLANS.values() for job in plan()]
    assert len(set(names)) == len(names)


def test_masking_leaves_nothing_of_the_centre(split):
    masked = pcam_.mask_centre(split)
    assert np.ptp(masked.patches[:, 32:64, 32:64], (1, 2)).max() == 0
    np.testing.assert_array_equal(masked.patches[:, :32], split.patches[:, :32])


def test_the_paint_over_the_centre_does_not_depend_on_it(split):
    other = Split(split.patches.copy(), split.labels, split.groups)
    other.patches[:, 32:64, 32:64] = 255 - other.patches[:, 32:64, 32:64]
    np.testing.assert_array_equal(pcam_.mask_centre(split).patches, pcam_.mask_centre(other).patches)


@pytest.fixture
def tiny(split, tmp_path, monkeypatch):
    """Data of a few patches, plain networks of a few filters, and a folder for answers."""
    monkeypatch.setattr(runs, "ANSWERS", tmp_path / "evidence")
    (tmp_path / "evidence").mkdir()
    for name in ("z2-densenet", "z2-eight-views"):
        monkeypatch.setitem(SYSTEMS, name, dataclasses.replace(SYSTEMS[name], half=(4, 4)))
    data = pcam_.Data.__new__(pcam_.Data)
    data._all, data.valid, data.test = split, split.take(np.arange(40)), split.take(np.arange(40, 80))
    return data


@pytest.mark.slow
def test_job_writes_complete_answers(tiny, tmp_path):
    job = jobs.Job("tiny", "z2-densenet", steps=2)
    runs.run_job(job, tiny, tmp_path / "work")
    answer = np.load(tmp_path / "evidence" / f"{job.name}.npz")
    about = json.loads(str(answer["about"]))
    assert about["system"] == "z2-densenet"
    assert about["steps"] == 2
    assert answer["valid"].shape == (40,)
    assert runs.has_answer(job)
    assert not runs.has_answer(dataclasses.replace(job, steps=3)), "another run under the same name"
    assert np.isfinite(answer["test"]).all()


@pytest.mark.slow
def test_averaged_views_use_the_same_weights_eight_times(tiny, tmp_path):
    plain, averaged = (jobs.Job("tiny", name, steps=2) for name in ("z2-densenet", "z2-eight-views"))
    runs.run_job(plain, tiny, tmp_path / "work")
    runs.run_job(averaged, tiny, tmp_path / "work")
    assert [path.name for path in (tmp_path / "work").iterdir()] == [plain.name], "trained once"
    average = load_averaged_network(tmp_path / "work" / plain.name / "checkpoint.pt")
    views = [predict(average, turned(tiny.valid, element)).numpy() for element in get_group("p4m").elements]
    answer = np.load(tmp_path / "evidence" / f"{averaged.name}.npz")["valid"]
    np.testing.assert_allclose(answer, np.mean(views, 0), atol=1e-4)
    assert np.ptp(views, 0).max() > 1e-3, "single views differ"


def test_job_runs_in_one_process_at_a_time(tmp_path):
    plain, averaged = (jobs.Job("tiny", name, steps=2) for name in ("z2-densenet", "z2-eight-views"))
    with runs.lock_job(plain, tmp_path) as first, runs.lock_job(plain, tmp_path) as second:
        assert first
        assert not second
        with runs.lock_job(averaged, tmp_path) as lent:
            assert not lent, "its weights are being trained"
    floor = jobs.Job("tiny", jobs.FLOOR, steps=0)
    with runs.lock_job(plain, tmp_path) as again, runs.lock_job(floor, tmp_path) as trees:
        assert again
        assert trees


def turned(split, element):
    patches = np.stack([transform(patch, element) for patch in split.patches])
    return Split(patches, split.labels, split.groups)


@pytest.mark.slow
def test_boosted_trees_answer_like_a_network(split, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "ANSWERS", tmp_path)
    data = pcam_.Data.__new__(pcam_.Data)
    bright = Split(split.patches // 2 + 100 * split.labels[:, None, None, None], split.labels, split.groups)
    data._all, data.valid, data.test = bright, bright, bright.take(np.arange(40))
    runs.run_job(jobs.Job("tiny", jobs.FLOOR, steps=0), data, tmp_path / "work")
    answer = np.load(tmp_path / "tiny-boosted-trees-1.npz")
    assert auc(bright.labels, answer["valid"]) > 0.95, "the colour determines the label"
    assert features(bright.patches[:3]).shape == (3, 30)


@pytest.mark.parametrize(("named", "plan"), [(True, "official"), (False, "folds")])
def test_jobs_of_the_other_plans_files_are_refused(named, plan):
    options = command.parse(["somewhere", "--plans", plan])
    with pytest.raises(BadData, match=f"{plan} need the files of the plan {'official' if named else 'named'}"):
        command.planned(options, named)
    own = {job.plan for job in command.planned(command.parse(["somewhere"]), named)}
    assert own == {"official", "curve"} or named
    assert named != ("official" in own)


def test_a_job_on_official_train_never_sees_test(tiny):
    job = jobs.Job("official", "p4m-densenet", steps=2, data="official")
    split, held_out = tiny.for_job(job)
    assert (len(split), list(held_out)) == (120, ["valid"])
    assert len(tiny.for_job(dataclasses.replace(job, plan="curve", fraction=0.5))[0]) == 60
