"""python -m model.evidence.study DIR: the runs that the evidence in docs/detector.md stands on, one after the other.

A job is one training run; its answer is the logits of the patches that it was not trained on, kept in a small file.
Jobs that have an answer are skipped, a killed one goes on at its last checkpoint, so a study takes as many sittings as
it needs; several processes, one a core, may share one by its folder of work. Figures are made from the answers alone.
Only the checkpoints of the plan `rivals` are needed afterwards, by `python -m model.evidence.ship_rivals`.
"""

import argparse
import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from model.evidence import boosted_trees
from model.networks.densenet import DenseNet, DenseNetConfig
from model.networks.systems import SYSTEMS, get_system
from model.train.pcam import BadData, Split, join, read_split
from model.train.run import Pauses, Recipe, Run, predict, train

ANSWERS = Path(__file__).resolve().parents[2] / "docs" / "evidence"
FOLDS = 5
RIVALS = tuple(SYSTEMS)
FLOOR = "boosted-trees"
STEPS: tuple[Literal["average", "decay", "warm-up"], ...] = ("average", "decay", "warm-up")
FRACTIONS = (0.05, 0.25, 1.0, 0.10, 0.50)  # the most telling first
By = Literal["patch", "slide"]
KINDS: tuple[By, ...] = ("patch", "slide")


@dataclass(frozen=True)
class Job:
    """One run. `data`: known or all patches of train, or the known patches outside a fold."""

    plan: str
    system: str
    steps: int
    data: Literal["known", "all", "fold"] = "known"
    fold: int = 0
    fraction: float = 1.0
    by: By = "patch"
    seed: int = 1
    half: bool = True
    strength: float = 0.3
    shuffled: bool = False
    masked: bool = False
    without: Literal["", "average", "decay", "warm-up"] = ""

    @property
    def name(self) -> str:
        """What differs between the jobs of a plan."""
        share = f"-{round(100 * self.fraction):03d}{self.by}" if self.plan == "fractions" else ""
        fold = f"-fold{self.fold}" if self.data == "fold" else ""
        return f"{self.plan}-{self.system}{share}{fold}-{self.seed}"


def plan_seeds() -> Iterator[Job]:
    """The shipped network at full width, on known slides and on all."""
    for seed in (1, 2, 3):
        yield Job("known", "p4m-densenet", steps=720, seed=seed, half=False)
        yield Job("all", "p4m-densenet", steps=1248, data="all", seed=seed, half=False)


def plan_folds() -> Iterator[Job]:
    """Every rival on every fold: same data, steps and seed."""
    for fold in range(FOLDS):
        for system in (*RIVALS, FLOOR):
            yield Job("folds", system, steps=360, data="fold", fold=fold)


def plan_rivals() -> Iterator[Job]:
    """Every rival on the known slides of train, asked about valid and, once, about test."""
    for system in (*RIVALS, FLOOR):
        yield Job("rivals", system, steps=360)


def plan_fractions() -> Iterator[Job]:
    """Training fraction, by patch and by slide, equal steps."""
    parts = [(share, by) for share in FRACTIONS for by in (KINDS if share < 1 else KINDS[:1])]
    for seed in (1, 2, 3):
        for share, by in parts:
            for system in ("p4m-densenet", "z2-densenet", FLOOR):
                yield Job("fractions", system, steps=300, fraction=share, by=by, seed=seed)


def plan_controls() -> Iterator[Job]:
    """What must fail: labels shuffled, and the centre that the label speaks of masked."""
    yield Job("shuffled", "p4m-densenet", steps=300, shuffled=True)
    yield Job("masked", "p4m-densenet", steps=300, masked=True)


def plan_augmentation() -> Iterator[Job]:
    """How much of the H&E augmentation helps."""
    for seed in (1, 2, 3):
        for strength in (0.0, 0.3, 1.0):
            yield Job(f"augment{round(10 * strength):02d}", "p4m-densenet", steps=360, seed=seed, strength=strength)


def plan_steps() -> Iterator[Job]:
    """The recipe without one of its steps; with all of them it is the augmentation plan's at 0.3."""
    for seed in (1, 2, 3):
        for step in STEPS:
            yield Job(f"without-{step}", "p4m-densenet", steps=360, seed=seed, without=step)


PLANS = {
    "folds": plan_folds,
    "rivals": plan_rivals,
    "controls": plan_controls,
    "fractions": plan_fractions,
    "seeds": plan_seeds,
    "augmentation": plan_augmentation,
    "steps": plan_steps,
}


def folds_of(groups: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    """A fold for each patch: whole slide groups, the largest first, each to the fold with the fewest of its kind."""
    names, counts = np.unique(groups, return_counts=True)
    positives = np.array([int(labels[groups == name].sum()) for name in names])
    load, place = np.zeros((FOLDS, 2), int), {}
    for i in sorted(range(len(names)), key=lambda i: (-positives[i], -counts[i], names[i])):
        fold = min(range(FOLDS), key=lambda f: (load[f][0], load[f][1]) if positives[i] else (load[f][1], load[f][0]))
        load[fold] += (positives[i], counts[i])
        place[names[i]] = fold
    return np.array([place[name] for name in groups])


def part_of(split: Split, fraction: float, by: str, seed: int) -> Split:
    """A share of the patches, or of the slide groups with and without positives alike; the same for every system."""
    rng = np.random.default_rng(seed)
    if by == "patch":
        return split.take(np.sort(rng.permutation(len(split))[: max(32, round(fraction * len(split)))]))
    names = np.unique(split.groups)
    has = np.array([split.labels[split.groups == name].any() for name in names])
    kept: list[str] = []
    for kind in (names[has], names[~has]):
        kept += list(rng.permutation(kind)[: max(1, round(fraction * len(kind)))])
    return split.take(np.isin(split.groups, kept))


def mask_centre(split: Split) -> Split:
    """The 32×32 px that the label speaks of, painted in the mean colour of what surrounds them, and of that alone."""
    patches, centre = split.patches.copy(), split.patches[:, 32:64, 32:64]
    around = patches.sum((1, 2), dtype=np.int64) - centre.sum((1, 2), dtype=np.int64)
    pixels = patches.shape[1] * patches.shape[2] - centre.shape[1] * centre.shape[2]
    patches[:, 32:64, 32:64] = (around // pixels).astype(np.uint8)[:, None, None]
    return Split(patches, split.labels, split.groups)


class Data:
    """PCam's splits, read once, and what a job trains and is measured on."""

    def __init__(self, directory: Path) -> None:
        self._all = read_split(directory, "train")
        self.valid, self.test = read_split(directory, "valid"), read_split(directory, "test")
        self._pool = join(self._all.known(), self.valid)
        self._folds = folds_of(self._pool.groups, self._pool.labels)

    def of(self, job: Job) -> tuple[Split, dict[str, Split]]:
        """Training patches, and those to answer. Folds never see test."""
        if job.data == "fold":
            return self._pool.take(self._folds != job.fold), {"fold": self._pool.take(self._folds == job.fold)}
        split = self._all if job.data == "all" else self._all.known()
        split = part_of(split, job.fraction, job.by, job.seed) if job.fraction < 1 else split
        asked = {"valid": self.valid, "test": self.test}
        if job.shuffled:
            labels = np.random.default_rng(job.seed).permutation(split.labels)
            split = Split(split.patches, labels, split.groups)
        if job.masked:
            return mask_centre(split), {name: mask_centre(part) for name, part in asked.items()}
        return split, asked


def config_of(job: Job) -> DenseNetConfig:
    """The system's config, at half width for the comparisons."""
    system = get_system(job.system)
    return system.small() if job.half else system.config


def do(job: Job, data: Data, work: Path) -> None:
    """Train, answer, write the answer whole or not at all."""
    split, asked = data.of(job)
    if job.system == FLOOR:
        _keep(
            job, split, {name: boosted_trees.logits(split, part.patches, job.seed) for name, part in asked.items()}, 0
        )
        return
    learner = learner_of(job)
    run = trained(learner, split, next(iter(asked.values())), work / learner.name)
    network = answering(job, run.average)
    parameters = sum(p.numel() for p in network.parameters())
    _keep(job, split, {name: predict(network, part).numpy() for name, part in asked.items()}, parameters)


def answered(job: Job) -> bool:
    """Whether there is an answer of this very job; one of the same name that was run otherwise is made anew."""
    path = ANSWERS / f"{job.name}.npz"
    if not path.exists():
        return False
    with np.load(path) as content:
        about = json.loads(str(content["about"]))
    known = {**asdict(Job(job.plan, job.system, job.steps)), **about}  # of before a field was there: its default
    return all(known.get(key) == value for key, value in asdict(job).items())


@contextmanager
def claimed(job: Job, work: Path) -> Iterator[bool]:
    """Whether the job is ours: not while another process of this machine trains it. A lock dies with its process."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / f"{learner_of(job).name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def answering(job: Job, learnt: DenseNet) -> DenseNet:
    """The network that gives the job's answers, with the weights that were learnt."""
    network = DenseNet(config_of(job)).eval()
    network.load_state_dict(learnt.state_dict())
    return network


def learner_of(job: Job) -> Job:
    """The job whose weights this one answers with: its own, or that of the system that lends them."""
    lender = get_system(job.system).weights_of if job.system != FLOOR else None
    return replace(job, system=lender) if lender else job


def trained(job: Job, split: Split, held_out: Split, out: Path) -> Run:
    """The job's run, at its end; gone on with where it stood."""
    recipe = Recipe(
        epochs=job.steps * 32 / len(split),
        seed=job.seed,
        strength=job.strength,
        ema=0.0 if job.without == "average" else 0.99 if job.half else 0.995,
        weight_decay=0.0 if job.without == "decay" else Recipe.weight_decay,
        warm_up=0.0 if job.without == "warm-up" else Recipe.warm_up,
        dihedral=get_system(job.system).dihedral,
    )
    run = Run(config_of(job), recipe, job.steps, torch.device("cpu"))
    out.mkdir(parents=True, exist_ok=True)
    if (out / "checkpoint.pt").exists():
        run.restore(torch.load(out / "checkpoint.pt", weights_only=True))
    if run.step < run.steps:
        train(run, (split, held_out), out, bf16=True, compiled=False, pauses=Pauses(60, job.steps))
    return run


def _keep(job: Job, split: Split, answers: dict[str, NDArray[np.float32]], parameters: int) -> None:
    known = {**asdict(job), "name": job.name, "patches": len(split), "parameters": parameters}
    fresh = ANSWERS / f"{job.name}.part.npz"
    np.savez_compressed(fresh, about=np.array(json.dumps(known)), **answers)  # type: ignore[arg-type] # numpy's stubs
    fresh.replace(ANSWERS / f"{job.name}.npz")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.study", description="Make the runs behind docs/detector.md."
    )
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files")
    parser.add_argument("--work", type=Path, default=Path("runs/study"), help="checkpoints (default %(default)s)")
    parser.add_argument("--plans", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--systems", nargs="+", choices=[*SYSTEMS, FLOOR], help="these only")
    parser.add_argument("--seeds", nargs="+", type=int, choices=(1, 2, 3), help="these only")
    options = parser.parse_args(arguments)
    jobs = [job for plan in options.plans for job in PLANS[plan]()]
    jobs = [job for job in jobs if not options.systems or job.system in options.systems]
    jobs = [job for job in jobs if not options.seeds or job.seed in options.seeds]
    try:
        data = Data(options.directory)
    except (FileNotFoundError, BadData) as error:
        print(f"Nothing was run: {error}.", file=sys.stderr)
        return 2
    ANSWERS.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(jobs, 1):
        with claimed(job, options.work) as ours:
            if ours and not answered(job):
                print(f"{number} of {len(jobs)}: {job.name}", file=sys.stderr, flush=True)
                try:
                    do(job, data, options.work)
                except ValueError as error:
                    print(f"{job.name} in {options.work}: {error}; remove its folder to begin anew.", file=sys.stderr)
                    return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
