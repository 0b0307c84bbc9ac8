"""The report agrees with its files, and says where a run is missing."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from model.evidence import measure
from model.evidence.report import __main__, controls, learning, measured, official, rivals, slides
from model.evidence.report import page as page_
from model.evidence.report.comparison import read_answers
from model.evidence.study import __main__ as study
from model.evidence.study.jobs import FLOOR, RIVALS, Job
from model.networks.registry import SYSTEMS
from model.train.pcam import BadData

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:matplotlib")


class Patches:
    """Small synthetic splits in the form of `study.Data`."""

    def __init__(self):
        from model.train.pcam import Split

        rng = np.random.default_rng(0)
        labels, groups = rng.integers(0, 2, 240).astype(np.uint8), np.repeat([f"g{i}" for i in range(8)], 30)
        self.valid = self.test = Split(np.zeros((240, 1, 1, 3), np.uint8), labels, groups)

    def for_job(self, _):
        return self.valid, {"fold": self.valid}


def keep(folder, job, data, strength, **parts):
    rng = np.random.default_rng(1)
    logits = {part: (strength * (data.valid.labels - 0.5) + rng.normal(size=240)).astype(np.float32) for part in parts}
    about = {**asdict(job), "name": job.name, "patches": 100, "parameters": 30_000}
    np.savez_compressed(folder / f"{job.name}.npz", about=np.array(json.dumps(about)), **logits)


@pytest.fixture
def data():
    return Patches()


@pytest.fixture
def probed():
    return {"systems": {name: dict.fromkeys(rivals.SIZES, 7.0) | {"half_mflop_per_cell": 3.0} for name in SYSTEMS}}


@pytest.mark.slow
def test_networks_are_compared_once_all_have_run(tmp_path, data, probed):
    names = (*RIVALS, FLOOR)
    job = Job("folds", "", steps=360, data="fold", fold=2)
    for number, name in enumerate(names[:-1]):
        keep(tmp_path, replace(job, system=name), data, 3 - 0.3 * number, fold=0)
    assert "No fold has been run for every system" in rivals.rivals(read_answers(tmp_path), data, probed, tmp_path)
    keep(tmp_path, replace(job, system=FLOOR), data, 4, fold=0)
    page = rivals.rivals(read_answers(tmp_path), data, probed, tmp_path)
    assert page.count("\n| p4m-densenet |") == 2, "its figures and its size"
    assert f"**With this seed p4m-densenet loses to {FLOOR}.**" in page, "the page says where symmetry does not win"
    assert (tmp_path / "detector-flops.png").stat().st_size > 5000


def test_fractions_and_controls_name_their_runs(tmp_path, data):
    assert "Not run yet" in learning.fractions([], data, tmp_path)
    assert "Not run yet" in controls.trained_controls([], data)
    assert "Not run yet" in learning.repeated([], data)
    for seed in (1, 2):
        for share in (0.05, 0.25):
            job = Job("fractions", "p4m-densenet", steps=300, fraction=share, seed=seed)
            keep(tmp_path, job, data, 1 + share, valid=0, test=0)
    for plan, strength in (("shuffled", 0), ("masked", 1), ("rivals", 3)):
        assert "Not run yet" in controls.trained_controls(read_answers(tmp_path), data)
        keep(tmp_path, Job(plan, "p4m-densenet", steps=300), data, strength, valid=0, test=0)
    answers = read_answers(tmp_path)
    rows = [line for line in learning.fractions(answers, data, tmp_path).splitlines() if line.startswith("| p4m")]
    assert [row.split("|")[3].strip() for row in rows] == ["5%", "25%"]
    assert all(row.endswith("| 2 |") for row in rows)
    value = float(controls.trained_controls(answers, data).split("labels shuffled | 300 |")[1].split("|")[0])
    assert value == pytest.approx(0.5, abs=0.1)
    assert "| fractions | 4 |" in controls.left_out(answers)


@pytest.mark.parametrize("main", [__main__.main, measure.main, study.main])
def test_without_data_nothing_is_written(tmp_path, main, capsys):
    before = sorted(tmp_path.rglob("*"))
    try:
        assert main([str(tmp_path)]) == 2
        assert "is missing" in capsys.readouterr().err
    except (FileNotFoundError, BadData) as error:
        pytest.fail(f"a sentence was owed, not {error!r}")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_committed_page_agrees_with_the_committed_files():
    """Sections that need no patches are written anew and found on the page, word for word."""
    page, probed = page_.PAGE.read_text(), page_.read_probes()
    assert probed["weights"] == page_.read_card(page_.DEFAULT_NAME).digest, "measured with the weights that are shipped"
    sections = (measured.introduction, measured.shipped, measured.distance, measured.exactness, measured.angles)
    for section in (*sections, measured.stability):
        assert section(probed) in page
    assert measured.familiar(probed) in page
    assert slides.slide_level(slides.read_slides(probed["weights"])) in page
    assert controls.left_out(read_answers(page_.ANSWERS)) in page
    assert probed["eight_views"]["score"] <= 1e-5


@pytest.mark.slow
def test_each_network_has_one_row_for_valid_and_test(tmp_path, data):
    for name in RIVALS[:-1]:
        keep(tmp_path, Job("rivals", name, steps=360), data, 3 if name != "harmonic" else 1, valid=0, test=0)
    assert "Not run for every system" in rivals.on_splits(read_answers(tmp_path), data)
    keep(tmp_path, Job("rivals", RIVALS[-1], steps=360), data, 9, valid=0, test=0)
    page = rivals.on_splits(read_answers(tmp_path), data)
    assert f"On test p4m-densenet is clearly ahead of harmonic, clearly behind {RIVALS[-1]}" in page
    lines = rivals.on_splits(read_answers(tmp_path), data).splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")][2:] == list(RIVALS)
    assert len({line.count("|") for line in lines if line.startswith("| ")}) == 1


@pytest.mark.slow
def test_less_data_names_the_better_network_only_where_it_is_significant(tmp_path, data):
    for seed in (1, 2, 3):
        for system, strength in (("p4m-densenet", 4.0), ("z2-densenet", 1.0)):
            keep(tmp_path, Job("fractions", system, steps=300, fraction=0.05, seed=seed), data, strength, valid=0)
            keep(tmp_path, Job("fractions", system, steps=300, fraction=0.25, seed=seed), data, 2.0, valid=0)
    page = learning.fractions(read_answers(tmp_path), data, tmp_path)
    assert "Compared with z2-densenet, p4m-densenet is clearly ahead at 1 of 2 shares and clearly behind at 0" in page
    keep(tmp_path, Job("fractions", FLOOR, steps=300, fraction=0.25, seed=1), data, 8.0, valid=0)
    page = learning.fractions(read_answers(tmp_path), data, tmp_path)
    assert f"Compared with {FLOOR}, p4m-densenet is clearly ahead at 0 of 1 shares and clearly behind at 1" in page
    assert "By slide it was not run yet" in page
    for system, strength in (("p4m-densenet", 1.0), (FLOOR, 3.0)):
        keep(tmp_path, Job("fractions", system, steps=300, fraction=0.1, by="slide", seed=1), data, strength, valid=0)
    page = learning.fractions(read_answers(tmp_path), data, tmp_path)
    assert f"at 10% of them {FLOOR} comes first" in page


def test_a_step_of_the_recipe_helps_only_where_it_is_significant(tmp_path, data):
    for seed in (1, 2, 3):
        for plan, strength in (("augment03", 4.0), ("augment00", 1.0), ("without-decay", 4.0)):
            keep(tmp_path, Job(plan, "p4m-densenet", steps=360, seed=seed), data, strength, valid=0)
    page = learning.repeated(read_answers(tmp_path), data)
    assert "shown to help: H&E augmentation at 0.3; shown to harm: none" in page


def test_the_readme_quotes_the_card():
    test = page_.read_card(page_.DEFAULT_NAME).metrics["test"]
    readme = " ".join((page_.PAGE.parent.parent / "README.md").read_text().split())
    for name in ("auc", "accuracy"):
        low, high = test[f"{name}_interval"]
        assert f"{test[name]:.3f} [{low:.3f}, {high:.3f}]" in readme
    assert f"{test['patches']:,} patches" in readme


@pytest.mark.slow
def test_official_rivals_are_compared_on_the_seeds_that_both_have(tmp_path, data):
    job = Job("official", "p4m-densenet", steps=720, data="official")
    assert "Not run yet" in official.official([], data.valid)
    for seed in (1, 2):
        keep(tmp_path, replace(job, seed=seed), data, 2.0, valid=0)
    for seed in (1, 2):
        keep(tmp_path, replace(job, system="steerable", seed=seed), data, 9.0, valid=0)
    answers = read_answers(tmp_path)
    assert "Not run yet" in official.official(answers, None), "without the patches that judged the runs"
    page = official.official(answers, data.valid)
    assert "clearly ahead of none, clearly behind steerable" in page
    assert "| steerable | -0" in page
    assert next(line for line in page.splitlines() if line.startswith("| steerable | -")).endswith("| 2 |")
    assert "Not run yet: steerable-d8, z2-wide" in page
    assert "eighth turns" not in page
    keep(tmp_path, replace(job, system="steerable-d8"), data, 2.0, valid=0)
    keep(tmp_path, replace(job, system="z2-wide", seed=3), data, 2.0, valid=0)
    page = official.official(read_answers(tmp_path), data.valid)
    assert "With one seed nothing is decided, whatever the interval, since seeds differ: steerable-d8, z2-wide" in page
    assert "+0.000 [0.000, 0.000], is not shown to pay for it" in official.official(read_answers(tmp_path), data.valid)
    assert "not run at this length" in page
    for share in (0.1, 0.25):
        keep(tmp_path, replace(job, plan="curve", fraction=share), data, 1 + share, valid=0)
    rows = [line for line in official.official(read_answers(tmp_path), data.valid).splitlines() if "% | 100 |" in line]
    assert [row.split("|")[1].strip() for row in rows] == ["10%", "25%", "100%"]


def test_slides_measured_with_other_weights_are_not_shown():
    assert slides.read_slides("0" * 64) is None
    assert slides.slide_level(None) == slides.MISSING
