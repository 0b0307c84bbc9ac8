"""The plan's runs, how minutes are shared among them, and the schedule of a run."""

from types import SimpleNamespace

import numpy as np
import pytest

from model.networks.registry import get_system
from model.train import recipe as plain
from model.train.gpu.augmentation import Strength
from model.train.gpu.plan import Cost, Pace, Size, recipes, runs_that_fit, with_teachers
from model.train.gpu.recipe import Recipe, Schedule, learning_rate

PATCHES = 30_551
PLAN = recipes(Size())
BY_NAME = {recipe.name: recipe for recipe in PLAN}


def pace_of(step_s=0.01, validation_s=0.5):
    """A pace of which the default network's steps are measured."""
    first = PLAN[0]
    accelerator = SimpleNamespace(train=range(PATCHES))
    return Pace(accelerator, {(first.config, first.batch): Cost(step_s, validation_s)})


def test_the_runs_are_in_order_of_value():
    names = [recipe.name for recipe in PLAN]
    assert names[:3] == ["p4m-0", "p4m-1", "p4m-2"]
    assert names[3:7] == ["steerable-d8-10", "steerable-10", "wide-10", "distilled-20"]
    assert set(names[7:11]) == {"curve-10", "curve-25", "curve-50", "curve-100"}
    assert all(name.startswith("part-") for name in names[11:])
    assert len(set(names)) == len(names)


def test_networks_are_those_of_the_registry():
    assert BY_NAME["p4m-0"].config == get_system("p4m-densenet").config
    assert BY_NAME["steerable-d8-10"].config == get_system("steerable-d8").config
    assert BY_NAME["steerable-10"].config == get_system("steerable").config
    assert (BY_NAME["wide-10"].config.n0, BY_NAME["wide-10"].config.growth) == (64, 48)


def test_all_views_are_drawn_where_the_group_lacks_them():
    for recipe in PLAN:
        assert recipe.strength.turned == (recipe.config.group.name != "p4m"), recipe.name


def test_all_teachers_have_the_students_group():
    student = BY_NAME["distilled-20"]
    assert student.teachers == ("p4m-0", "p4m-1", "p4m-2", "steerable-d8-10", "wide-10")
    assert {BY_NAME[name].config.group.name for name in student.teachers} == {"p4m"}
    assert BY_NAME["steerable-10"].config.group.name == "p4"


def test_teachers_are_those_that_were_trained_and_the_best_seed_comes_first():
    aucs = {"p4m-0": 0.91, "p4m-2": 0.93, "steerable-10": 0.99, "steerable-d8-10": 0.95}
    networks = {name: SimpleNamespace(config=BY_NAME[name].config) for name in aucs}
    recipe = with_teachers(BY_NAME["distilled-20"], networks, aucs)
    assert recipe.teachers == ("p4m-0", "p4m-2", "steerable-d8-10")
    assert recipe.begin_from == "p4m-2"
    assert with_teachers(BY_NAME["wide-10"], networks, aucs) == BY_NAME["wide-10"]


def test_the_curve_has_equal_steps_and_is_never_shortened():
    curve = [recipe for recipe in PLAN if recipe.name.startswith("curve")]
    assert {recipe.steps(PATCHES) for recipe in curve} == {round(20 * PATCHES / 128)}
    assert sorted(recipe.used(PATCHES) for recipe in curve) == [3056, 7638, 15276, PATCHES]
    assert {recipe.least for recipe in curve} == {1.0}


def test_a_part_of_the_recipe_differs_from_the_curve_in_that_part_alone():
    whole_curve = BY_NAME["curve-100"]
    for part in (recipe for recipe in PLAN if recipe.name.startswith("part")):
        fields = {name for name, value in vars(part).items() if value != getattr(whole_curve, name)} - {"name"}
        assert len(fields) == 1, part.name
    assert BY_NAME["part-strength-0.5"].strength == Strength().times(0.5)
    assert (BY_NAME["part-batch-half"].batch, BY_NAME["part-batch-twice"].batch) == (64, 256)


def test_runs_fit_into_the_seconds_in_their_order():
    pace = pace_of()
    counts = []
    for seconds in (10, 100, 300, 600, 1200, 2400, 9000):
        runs = runs_that_fit(PLAN, pace, BY_NAME, seconds)
        assert [run.name for run in runs] == [recipe.name for recipe in PLAN[: len(runs)]]
        assert sum(sum(pace.seconds(run, BY_NAME)) for run in runs) <= seconds * 1.001
        for run, recipe in zip(runs, PLAN, strict=False):
            assert recipe.least * recipe.passes - 1e-9 <= run.passes <= recipe.passes
        counts.append(len(runs))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, len(PLAN))


def test_the_curve_keeps_its_length_where_other_runs_are_shortened():
    pace = pace_of()
    full = sum(sum(pace.seconds(recipe, BY_NAME)) for recipe in PLAN[:9])
    runs = {run.name: run for run in runs_that_fit(PLAN, pace, BY_NAME, full - 100)}
    assert runs["p4m-0"].passes < 30
    assert runs["curve-100"].passes == 20


def test_a_run_at_its_own_pace_corrects_the_estimate():
    pace, wide = pace_of(), BY_NAME["wide-10"]
    assert pace.cost(wide).step_s == pytest.approx(0.01 * 23 / 11)  # the widths of 64 and 32 on p4m
    history = [{"validation_s": 0.6}, {"validation_s": 0.8}]
    pace.correct(wide, {"steps": 100, "seconds": {"training": 4.4}, "history": history})
    assert (pace.cost(wide).step_s, pace.cost(wide).validation_s) == pytest.approx((0.03, 0.7))
    assert pace.cost(PLAN[0]).step_s == 0.01


def test_a_schedule_ends_by_the_moment():
    schedule = Schedule(1000, until=100.0, end_s=10.0)
    schedule.measure(50, 0.0)
    assert schedule.steps == 1000, "the first call starts the clock"
    schedule.measure(100, 10.0)
    assert schedule.steps == 100 + 400
    schedule.measure(200, 15.0)
    assert schedule.steps == 200 + 750
    schedule.measure(300, 95.0)
    assert schedule.steps == 300, "a late run ends where it is"


def test_a_schedule_puts_validations_aside():
    schedule = Schedule(1000, until=100.0, validation_s=5.0, validations=2)
    schedule.measure(0, 0.0)
    schedule.measure(100, 10.0)
    assert schedule.steps == 100 + 800
    schedule.validated(7.0)
    schedule.measure(200, 27.0)
    assert schedule.steps == 200 + 680, "it took two seconds more, and is no part of the pace"


def test_a_schedule_without_a_bound_stays():
    schedule = Schedule(1000)
    schedule.measure(50, 0.0)
    schedule.measure(100, 1e6)
    assert schedule.steps == 1000


def test_the_learning_rate_is_that_of_training():
    mine, theirs = Recipe("x", lr=2e-3), plain.Recipe(lr=2e-3)
    rates = [learning_rate(mine, step, 200) for step in range(200)]
    np.testing.assert_allclose(rates, [plain.learning_rate(theirs, step, 200) for step in range(200)])


def test_a_rate_with_restarts_returns_to_its_peak():
    recipe = Recipe("x", lr=1.0, cycles=2)
    rates = np.array([learning_rate(recipe, step, 210) for step in range(210)])
    assert rates[10] == rates[110] == 1.0
    assert rates[109] < 1e-3
    assert rates[209] < 1e-3
