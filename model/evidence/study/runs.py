"""One job of the study: trains its network, computes logits of the held-out patches, stores them as its answer."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.evidence import boosted_trees
from model.evidence.study.data import Data
from model.evidence.study.jobs import FLOOR, Job, config_of, learner_of
from model.networks.densenet import DenseNet
from model.networks.registry import get_system
from model.train.loop import Pauses, computes_bfloat16, predict, train
from model.train.pcam import Split
from model.train.recipe import Recipe
from model.train.run import Run

ANSWERS = Path(__file__).resolve().parents[3] / "docs" / "evidence"


def run_job(job: Job, data: Data, work: Path) -> None:
    """Trains a job's network and stores its answer. `work`: folder of checkpoints.

    Raises:
        ValueError: the checkpoint in `work` belongs to another recipe.
    """
    split, held_out = data.for_job(job)
    if job.system == FLOOR:
        answers = {name: boosted_trees.logits(split, part.patches, job.seed) for name, part in held_out.items()}
        _store_answer(job, split, answers, parameters=0)
        return
    learner = learner_of(job)
    run = train_job(learner, split, next(iter(held_out.values())), work / learner.name)
    network = network_for(job, run.average)
    parameters = sum(p.numel() for p in network.parameters())
    _store_answer(job, split, {name: predict(network, part).numpy() for name, part in held_out.items()}, parameters)


def has_answer(job: Job) -> bool:
    """Whether the answer of exactly this job is stored. One of the same name with other fields does not count."""
    path = ANSWERS / f"{job.name}.npz"
    if not path.exists():
        return False
    with np.load(path) as content:
        about = json.loads(str(content["about"]))
    fields = {**asdict(Job(job.plan, job.system, job.steps)), **about}  # answers older than a field have its default
    return all(fields.get(key) == value for key, value in asdict(job).items())


@contextmanager
def lock_job(job: Job, work: Path) -> Iterator[bool]:
    """Locks a job for this process; False while another process of this machine trains it.

    The kernel releases the lock when its process dies, so a killed study leaves no stale lock.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / f"{learner_of(job).name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def network_for(job: Job, learnt: DenseNet) -> DenseNet:
    """The network that answers a job, with the weights of its learner."""
    network = DenseNet(config_of(job)).eval()
    network.load_state_dict(learnt.state_dict())
    return network


def train_job(job: Job, split: Split, held_out: Split, out: Path) -> Run:
    """The job's run at its last step; continues at its checkpoint.

    Raises:
        ValueError: the checkpoint belongs to another recipe.
    """
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
        bf16 = computes_bfloat16(run.device)
        train(run, (split, held_out), out, bf16, compiled=False, pauses=Pauses(60, job.steps))
    return run


def _store_answer(job: Job, split: Split, answers: dict[str, NDArray[np.float32]], parameters: int) -> None:
    """Writes an answer whole or not at all: `about` (the job as JSON), and logits (N,) float32 by part."""
    about = {**asdict(job), "name": job.name, "patches": len(split), "parameters": parameters}
    part = ANSWERS / f"{job.name}.part.npz"
    np.savez_compressed(part, about=np.array(json.dumps(about)), **answers)  # type: ignore[arg-type] # numpy's stubs
    part.replace(ANSWERS / f"{job.name}.npz")
