"""python -m model.evidence.ship_rivals DIR: ships the networks of the study's plan `rivals`, with their cards.

They are served to be compared with the default network on the same slides: a quarter of its parameters, trained for
minutes on the known slides of train. Their cards state that as their purpose, and every result of theirs repeats it.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from model.evidence.evaluate import ship
from model.evidence.study.jobs import FLOOR, Job, learner_of, plan_rivals
from model.evidence.study.runs import network_for
from model.inference.memory import keep_freed_memory
from model.networks.densenet import DenseNet
from model.networks.registry import get_system
from model.train.metrics import CannotCalibrate
from model.train.pcam import BadData, Split, read_split
from model.weights.card import COMPARISON, WeightsRefused
from model.weights.checkpoint import DEFAULT_NAME, SHIPPED, load_averaged_network


def network_of(job: Job, work: Path) -> DenseNet:
    """A rival as the study trained it.

    Raises:
        WeightsRefused: its checkpoint is missing or not at its last step.
    """
    checkpoint = work / learner_of(job).name / "checkpoint.pt"
    learner = load_averaged_network(checkpoint)
    step = torch.load(checkpoint, weights_only=True)["step"]
    if step != job.steps:
        raise WeightsRefused(f"{checkpoint} stands at step {step} of {job.steps}: let the study finish")
    return network_for(job, learner)


def about(job: Job, split: Split) -> dict[str, str]:
    """What the card says of data and recipe. `split`: the training patches."""
    groups = len(np.unique(split.groups))
    return {
        "source": "PatchCamelyon (CC0), Veeling et al. 2018, after Camelyon16, Ehteshami Bejnordi et al. 2017",
        "train": f"{len(split):,} patches of PatchCamelyon's training split, from {groups} known slide groups",
        "recipe": f"{job.steps} steps of 32 patches (AdamW 2e-3, H&E augmentation at {job.strength}, seed {job.seed}), "
        f"half width; weights of {learner_of(job).name} of the study",
        "about": get_system(job.system).about,
    }


def shipped_name(system: str) -> str:
    """The name that a rival is shipped under; the small form of the default network has another than that network."""
    return f"{system}-half" if system == DEFAULT_NAME else system


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.ship_rivals",
        description="Ship the networks of the study's plan `rivals` for comparison.",
    )
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/study"), help="the study's folder of checkpoints (default %(default)s)"
    )
    parser.add_argument("--into", type=Path, default=SHIPPED, help="folder for weights and cards (default %(default)s)")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    jobs = [job for job in plan_rivals() if job.system != FLOOR]
    try:
        split = read_split(options.directory, "train").with_known_slides()
        networks = [network_of(job, options.work) for job in jobs]
        for job, network in zip(tqdm(jobs, unit="network"), networks, strict=True):
            ship(network, options.directory, shipped_name(job.system), about(job, split), options.into, COMPARISON)
    except (FileNotFoundError, BadData, CannotCalibrate, WeightsRefused) as error:
        print(f"Not shipped: {error}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
