"""The runs worth their minutes, in order of value, and how the minutes are shared among them.

1. the default network with three seeds;
2. steerable-d8, then steerable, which has another group and so sees all eight views;
3. the default network at twice the width;
4. the default network again, taught by all runs of its group;
5. the learning curve: 100, 10, 25 and 50 % of the patches, with the same number of steps;
6. parts of the recipe, each beside the curve's 100 % and as long.

As many of the first runs are done as fit, by the pace measured on the device. Those of 1 to 4 are shortened for that,
down to `Recipe.least` of their length. Those of 5 and 6 are compared with each other, so they are as long as planned or
left out. Official valid alone judges.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model.families.family import get_family
from model.networks.densenet import DenseNet, DenseNetConfig
from model.networks.registry import get_system
from model.train.gpu.accelerator import Accelerator
from model.train.gpu.augmentation import Strength
from model.train.gpu.course import FINISH, VALIDATED, Course, train
from model.train.gpu.recipe import Recipe
from model.train.run import Diverged

SEEDS = (0, 1, 2)
FULL = Strength()
USUAL = FULL.times(0.75)
COMPARED_PASSES = 20  # at 6 passes, 10 % and 100 % of the patches differ by 0.002 in AUC: neither is trained out
FORWARDS_A_STEP = 3.5  # forward passes that take as long as a training step
LONGEST_MEASUREMENT_S = 2.0
PROMISED = 0.95  # of the time left, since steps are not always as fast as when they are measured


@dataclass(frozen=True)
class Size:
    """Batch, and the widths of all networks where they are not the registry's."""

    batch: int = 128
    n0: int | None = None
    growth: int | None = None

    def recipe(self, system: str, name: str, **fields: Any) -> Recipe:
        """A run of a network of the registry."""
        config, turned = get_system(system).config, float(get_system(system).dihedral)
        config = replace(config, n0=self.n0 or config.n0, growth=self.growth or config.growth)
        return Recipe(name, config, batch=self.batch, strength=replace(USUAL, turned=turned), **fields)


def recipes(size: Size) -> list[Recipe]:
    """All runs, in order of value."""
    seeds = [size.recipe("p4m-densenet", f"p4m-{seed}", seed=seed) for seed in SEEDS]
    others = [size.recipe(name, f"{name}-10", seed=10, passes=24) for name in ("steerable-d8", "steerable")]
    wide = widened(size.recipe("p4m-densenet", "wide-10", seed=10, passes=24), 2)
    distilled = size.recipe("p4m-densenet", "distilled-20", seed=20, passes=36, soft=0.7, versions=12)
    trained = [*seeds, *others, wide]
    distilled = replace(distilled, teachers=tuple(r.name for r in trained if r.config.group == distilled.config.group))
    compared = size.recipe("p4m-densenet", "curve-100", passes=COMPARED_PASSES, least=1.0)
    return [*trained, distilled, *curve(compared), *parts(compared)]


def widened(recipe: Recipe, times: int) -> Recipe:
    """The recipe with that many times the width, at three quarters of the learning rate."""
    config = replace(recipe.config, n0=times * recipe.config.n0, growth=times * recipe.config.growth)
    return replace(recipe, config=config, lr=0.75 * recipe.lr)


def curve(compared: Recipe) -> list[Recipe]:
    """The learning curve, the most informative first. All runs have the same number of steps."""
    return [replace(compared, name=f"curve-{percent}", share=percent / 100) for percent in (100, 10, 25, 50)]


def parts(compared: Recipe) -> list[Recipe]:
    """Parts of the recipe, each with as many visits of patches as the curve's 100 %."""
    batch, lr = compared.batch, compared.lr
    changes: dict[str, dict[str, Any]] = {
        "no-jpeg": {"strength": replace(compared.strength, jpeg=0.0)},
        "strength-0.5": {"strength": FULL.times(0.5)},
        "strength-1.5": {"strength": FULL.times(1.5)},
        "smoothing-0.1": {"smoothing": 0.1},
        "lr-twice": {"lr": 2 * lr},
        "lr-half": {"lr": 0.5 * lr},
        "restarts": {"cycles": 2},
        "batch-half": {"batch": batch // 2},
        "batch-twice": {"batch": 2 * batch},
    }
    return [replace(compared, name=f"part-{name}", **fields) for name, fields in changes.items()]


@dataclass(frozen=True)
class Cost:
    """Seconds of a training step and of a validation."""

    step_s: float
    validation_s: float


Shape = tuple[DenseNetConfig, int]  # what is compiled once: architecture and batch


@dataclass
class Pace:
    """What steps and validations cost, by architecture and batch: measured, or estimated from one that was."""

    accelerator: Accelerator
    measured: dict[Shape, Cost] = field(default_factory=dict)

    def measure(self, recipe: Recipe) -> None:
        """Measures a shape once. Whatever is to be compiled for it is compiled before."""
        if (recipe.config, recipe.batch) in self.measured:
            return
        course, wait = Course(self.accelerator, recipe), self.accelerator.wait
        if self.accelerator.compiled:
            for _ in range(8):
                course.advance(1e-4)
            course.figures()
        wait()
        began, steps = time.monotonic(), 0
        while not steps or (steps < 40 and time.monotonic() - began < LONGEST_MEASUREMENT_S):
            course.advance(1e-4)
            steps += 1
        wait()
        stepped = time.monotonic()
        course.figures()
        self.measured[recipe.config, recipe.batch] = Cost((stepped - began) / steps, time.monotonic() - stepped)
        log(f"{recipe.name}: {recipe.batch * steps / (stepped - began):.0f} patches a second in steps alone")

    def correct(self, recipe: Recipe, record: dict[str, Any]) -> None:
        """Takes over the pace of a whole run from its record."""
        validations = [entry["validation_s"] for entry in record["history"]]
        step_s = (record["seconds"]["training"] - sum(validations)) / record["steps"]
        validation_s = sum(validations) / len(validations) if validations else self.cost(recipe).validation_s
        self.measured[recipe.config, recipe.batch] = Cost(step_s, validation_s)

    def cost(self, recipe: Recipe) -> Cost:
        """Of a shape, measured or estimated: time grows with planes and batch."""
        shape = (recipe.config, recipe.batch)
        if shape in self.measured:
            return self.measured[shape]
        (config, batch), cost = next(iter(self.measured.items()))
        ratio = planes(recipe.config) / planes(config)
        return Cost(cost.step_s * ratio * recipe.batch / batch, cost.validation_s * ratio)

    def seconds(self, recipe: Recipe, all_runs: Mapping[str, Recipe]) -> tuple[float, float]:
        """Those of a run that grow with its passes, and those that do not. `all_runs`: by name, for its teachers."""
        cost, patches = self.cost(recipe), len(self.accelerator.train)
        growing = recipe.steps(patches) * cost.step_s
        visits = recipe.versions * patches
        steps = [self.cost(all_runs[name]).step_s / all_runs[name].batch for name in recipe.teachers]
        return growing, visits * sum(steps) / FORWARDS_A_STEP + (len(VALIDATED) + FINISH) * cost.validation_s


def planes(config: DenseNetConfig) -> int:
    """Planes of a network's first feature map."""
    family = get_family(config.family)
    return family.planes * family.width(config.n0)


def runs_that_fit(ahead: Sequence[Recipe], pace: Pace, all_runs: Mapping[str, Recipe], seconds: float) -> list[Recipe]:
    """As many of the first runs as fit into the seconds at their least length, with `passes` that use them up."""
    chosen, least, full = list[Recipe](), 0.0, 0.0
    for recipe in ahead:
        growing, fixed = pace.seconds(recipe, all_runs)
        if least + recipe.least * growing + fixed > seconds:
            break
        chosen.append(recipe)
        least, full = least + recipe.least * growing + fixed, full + growing + fixed
    room = 1.0 if full <= seconds or not chosen else (seconds - least) / (full - least)
    return [replace(r, passes=r.passes * (r.least + (1 - r.least) * room)) for r in chosen]


def with_teachers(recipe: Recipe, networks: Mapping[str, DenseNet], aucs: Mapping[str, float]) -> Recipe:
    """The recipe with the teachers that were trained, starting from the best seed on valid."""
    teachers = tuple(name for name in recipe.teachers if name in networks)
    seeds = [name for name in teachers if networks[name].config == recipe.config]
    return replace(recipe, teachers=teachers, begin_from=max(seeds, key=aucs.__getitem__, default=""))


def ignore(_: Sequence[Recipe]) -> None:
    """Prepares nothing."""


def run_plan(
    pace: Pace,
    plan: Sequence[Recipe],
    deadline: float,
    out: Path,
    prepare: Callable[[Sequence[Recipe]], None] = ignore,
) -> list[str]:
    """Does the runs that fit and returns their names; the first run is done in any case.

    Args:
        deadline: in seconds of `time.monotonic`.
        prepare: is called with the runs that are to come, the next one first, before each run.
    """
    networks, aucs, all_runs = dict[str, DenseNet](), dict[str, float](), {recipe.name: recipe for recipe in plan}

    def ahead(place: int) -> list[Recipe]:
        seconds = PROMISED * (deadline - time.monotonic())
        return runs_that_fit(plan[place:], pace, all_runs, seconds) or list(plan[place:1])

    for place in range(len(plan)):
        prepare(ahead(place))
        if ahead(place):
            pace.measure(plan[place])
        runs = ahead(place)  # again, now that the pace is measured and not estimated
        if not runs:
            break
        later = sum(sum(pace.seconds(recipe, all_runs)) for recipe in runs[1:])
        _run(pace, with_teachers(runs[0], networks, aucs), deadline - later, out, networks, aucs)
    return list(networks)


def _run(
    pace: Pace, recipe: Recipe, until: float, out: Path, networks: dict[str, DenseNet], aucs: dict[str, float]
) -> None:
    """One run of the plan: adds its network and its AUC on valid, where the loss stays finite."""
    if recipe.soft and not recipe.teachers:
        log(f"{recipe.name}: no teacher was trained")
        return
    end = until if recipe.least < 1 else None
    try:
        network, record = train(pace.accelerator, recipe, networks, out, end, pace.cost(recipe).validation_s)
    except Diverged as error:
        log(f"{error}: nothing is written")
        return
    networks[recipe.name], aucs[recipe.name] = network, record["valid"]["auc"]
    pace.correct(recipe, record)
    steps = f"{record['steps']} of {record['planned_steps']} steps, {record['patches_per_second']:.0f} patches a second"
    figures = ", ".join(f"{name} {value:.4f}" for name, value in record["valid"].items())
    log(f"{recipe.name}: {steps}, {record['seconds']['all']:.0f} s; on valid {figures}")


def log(sentence: str) -> None:
    """Prints a line with the time of day on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)
