"""Jobs of the study, by plan. A job is one training run; its name is that of its answer's file."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from model.networks.densenet import DenseNetConfig
from model.networks.registry import SYSTEMS, get_system

FOLDS = 5
OFFICIAL_STEPS = 720
OFFICIAL_RIVALS = (
    "p4m-densenet",
    "steerable",
    "steerable-d8",
    "z2-wide",
    "p4-densenet",
    "z2-densenet",
    "z2-eight-views",
)
RIVALS = tuple(name for name in SYSTEMS if name != "steerable-d8")  # which came after the study of named slides
FLOOR = "boosted-trees"  # no convolution learnt: what any network has to beat
STEPS: tuple[Literal["average", "decay", "warm-up"], ...] = ("average", "decay", "warm-up")
FRACTIONS = (0.05, 0.25, 1.0, 0.10, 0.50)  # the most informative first
By = Literal["patch", "slide"]
# Patches of train on known slides, all, those outside a fold, or PatchCamelyon's own train.
Data = Literal["known", "all", "fold", "official"]
KINDS: tuple[By, ...] = ("patch", "slide")


@dataclass(frozen=True)
class Job:
    """One training run. Its fields are stored with its answer, so names and defaults stay."""

    plan: str
    system: str
    steps: int
    data: Data = "known"
    fold: int = 0
    fraction: float = 1.0  # of the training data, in 0..1
    by: By = "patch"  # what the fraction counts
    seed: int = 1
    half: bool = True  # the small form of the network
    strength: float = 0.3  # of augmentation
    shuffled: bool = False  # labels
    masked: bool = False  # the centre that the label refers to
    without: Literal["", "average", "decay", "warm-up"] = ""  # the part of the recipe that is left out

    @property
    def name(self) -> str:
        """Unique: the plan, and what differs between its jobs."""
        share = f"-{round(100 * self.fraction):03d}{self.by}" if self.plan in ("fractions", "curve") else ""
        fold = f"-fold{self.fold}" if self.data == "fold" else ""
        return f"{self.plan}-{self.system}{share}{fold}-{self.seed}"


def plan_seeds() -> Iterator[Job]:
    """The default network at full width, on known slides and on all."""
    for seed in (1, 2, 3):
        yield Job("known", "p4m-densenet", steps=720, seed=seed, half=False)
        yield Job("all", "p4m-densenet", steps=1248, data="all", seed=seed, half=False)


def plan_folds() -> Iterator[Job]:
    """Every rival on every fold: same data, steps and seed."""
    for fold in range(FOLDS):
        for system in (*RIVALS, FLOOR):
            yield Job("folds", system, steps=360, data="fold", fold=fold)


def plan_rivals() -> Iterator[Job]:
    """Every rival on the known slides of train; answers valid and, once, test."""
    for system in (*RIVALS, FLOOR):
        yield Job("rivals", system, steps=360)


def plan_fractions() -> Iterator[Job]:
    """Fractions of the training data, by patch and by slide, with equal steps."""
    parts = [(share, by) for share in FRACTIONS for by in (KINDS if share < 1 else KINDS[:1])]
    for seed in (1, 2, 3):
        for share, by in parts:
            for system in ("p4m-densenet", "z2-densenet", FLOOR):
                yield Job("fractions", system, steps=300, fraction=share, by=by, seed=seed)


def plan_controls() -> Iterator[Job]:
    """Controls: labels shuffled, and the centre masked that the label refers to."""
    yield Job("shuffled", "p4m-densenet", steps=300, shuffled=True)
    yield Job("masked", "p4m-densenet", steps=300, masked=True)


def plan_augmentation() -> Iterator[Job]:
    """Strengths of the H&E augmentation."""
    for seed in (1, 2, 3):
        for strength in (0.0, 0.3, 1.0):
            yield Job(f"augment{round(10 * strength):02d}", "p4m-densenet", steps=360, seed=seed, strength=strength)


def plan_steps() -> Iterator[Job]:
    """The recipe without one of its steps. The run with all of them is the augmentation plan's at 0.3."""
    for seed in (1, 2, 3):
        for step in STEPS:
            yield Job(f"without-{step}", "p4m-densenet", steps=360, seed=seed, without=step)


def plan_official() -> Iterator[Job]:
    """Rivals on PatchCamelyon's own train, twice as long as on the named slides; answers its valid alone."""
    for seed in (1, 2, 3):
        for system in OFFICIAL_RIVALS:
            yield Job("official", system, steps=OFFICIAL_STEPS, data="official", seed=seed)


def plan_curve() -> Iterator[Job]:
    """Shares of PatchCamelyon's own train, with equal steps. The run on all of it is the plan `official`'s."""
    for share in (0.1, 0.25, 0.5):
        yield Job("curve", "p4m-densenet", steps=OFFICIAL_STEPS, data="official", fraction=share)


OFFICIAL_PLANS = ("official", "curve")  # of PatchCamelyon's own splits; all others are of slides known by name
PLANS = {
    "folds": plan_folds,
    "rivals": plan_rivals,
    "controls": plan_controls,
    "fractions": plan_fractions,
    "seeds": plan_seeds,
    "augmentation": plan_augmentation,
    "steps": plan_steps,
    "official": plan_official,
    "curve": plan_curve,
}


def config_of(job: Job) -> DenseNetConfig:
    """The architecture that a job trains."""
    system = get_system(job.system)
    return system.small() if job.half else system.config


def learner_of(job: Job) -> Job:
    """The job whose weights this one answers with: its own, or that of the network whose weights it shares."""
    lender = get_system(job.system).weights_of if job.system != FLOOR else None
    return replace(job, system=lender) if lender else job
