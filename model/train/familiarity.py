"""python -m model.train.familiarity DIR: trains an autoencoder and fits the density of what it and a network compute.

No label is used. Autoencoder and density are fitted to train. Middle, spread and threshold come from valid, with slides
that are not in train; so does the usual share of unfamiliar cells of a slide, where valid's slides are named. How well
corruptions are detected is measured on test, to which nothing was fitted.
"""

import argparse
import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from model.checks import familiarity_file
from model.checks.density import Density, Descriptions, fit
from model.checks.familiarity import Familiarity, describe
from model.inference.dense import infer_with_features
from model.inference.frozen import Frozen, freeze
from model.inference.frozen_autoencoder import freeze_autoencoder
from model.inference.memory import keep_freed_memory
from model.networks.autoencoder import Autoencoder
from model.train.corruptions import CORRUPTIONS
from model.train.metrics import auc
from model.train.pcam import BadData, Split, read_split
from model.train.recipe import Recipe, learning_rate
from model.train.run import save
from model.weights.card import WeightsRefused
from model.weights.checkpoint import DEFAULT_NAME, SHIPPED, load_network

Patches = NDArray[np.uint8]
BATCH = 32
LEAST_PATCHES = 50  # of a slide: the share of fewer is mostly chance


def batch_at(split: Split, seed: int, step: int) -> Patches:
    """The patches of one step, (32, 96, 96, 3) uint8: a pure function of seed and step."""
    per_epoch = max(1, len(split) // BATCH)
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng((seed, epoch)).permutation(len(split))
    return split.patches[order[place * BATCH : (place + 1) * BATCH]]


def learn(split: Split, steps: int, seed: int, checkpoint: Path) -> Autoencoder:
    """Trains an autoencoder on mean squared error (Adam, warm-up and half a cosine); continues at its checkpoint."""
    torch.manual_seed(seed)
    keep_freed_memory()
    network = Autoencoder().train()
    optimizer, recipe, first = torch.optim.Adam(network.parameters()), Recipe(lr=3e-3), 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    for step in tqdm(range(first, steps), initial=first, total=steps, unit="step", mininterval=5):
        images = torch.from_numpy(batch_at(split, seed, step)).permute(0, 3, 1, 2).float()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, steps)
        with torch.autocast("cpu", torch.bfloat16):
            reconstruction = network(images)  # (32, 3, 96, 96)
        error = (reconstruction.float() - images).square().mean() / 127.5**2
        optimizer.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99:
            save(checkpoint, {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1})
    return network.eval()


def _batches(patches: Patches, size: int = 64) -> Iterator[Patches]:
    return (patches[i : i + size] for i in range(0, len(patches), size))


def describe_patches(autoencoder: Autoencoder, detector: Frozen, patches: Patches) -> Descriptions:
    """The descriptions of patches (N, 96, 96, 3) uint8, (N, D): each patch has one cell."""
    parts = [describe(autoencoder, batch, infer_with_features(detector, batch)[1]) for batch in _batches(patches)]
    return np.concatenate(parts)[:, 0, 0]


@torch.inference_mode()
def reconstruction_errors(autoencoder: Autoencoder, patches: Patches) -> Descriptions:
    """The reconstruction error of each patch's cell, grey levels², (N,)."""
    images = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() for batch in _batches(patches))
    return np.concatenate([autoencoder.error(image)[:, 0, 0].numpy() for image in images])


def separation(unusual: Descriptions, usual: Descriptions) -> float:
    """How well a measure separates two sets of patches: the AUC of unusual (N,) against usual (M,)."""
    labels = np.repeat([1, 0], [len(unusual), len(usual)])
    return auc(labels, np.concatenate([unusual, usual]))


def measure(autoencoder: Autoencoder, detector: Frozen, density: Density, test: Split) -> dict[str, Any]:
    """For each corruption of test: AUC by strangeness, by distance and by raw error, and the share over threshold."""
    unchanged = describe_patches(autoencoder, detector, test.patches)
    usual, near = density.strangeness(unchanged), density.distance(unchanged)
    raw = reconstruction_errors(autoencoder, test.patches)
    figures: dict[str, Any] = {"unchanged": {"over_threshold": float((usual > density.threshold).mean())}}
    for name, corrupt in CORRUPTIONS.items():
        patches = corrupt(test.patches, np.random.default_rng(0))
        descriptions = describe_patches(autoencoder, detector, patches)
        figures[name] = {
            "auc": separation(density.strangeness(descriptions), usual),
            "auc_one_sided": separation(density.distance(descriptions), near),
            "auc_raw_error": separation(reconstruction_errors(autoencoder, patches), raw),
            "over_threshold": float((density.strangeness(descriptions) > density.threshold).mean()),
        }
    return figures


def usual_shares(
    density: Density, learnt: Descriptions, held_out: Descriptions, train: Split, valid: Split
) -> tuple[list[float], str]:
    """The share of unfamiliar patches in each slide that the density does not know, ascending, and which slides.

    Slides of valid where all are named. Else those of train that are named and have LEAST_PATCHES: each is left out of
    the density in turn. The networks have seen these, so their shares may be too low.
    """
    slides = valid.slide_groups()
    if slides is not None:
        over = density.strangeness(held_out) > density.threshold
        return sorted(float(over[slides == slide].mean()) for slide in np.unique(slides)), "held-out slides"
    shares = []
    for slide, count in zip(*np.unique(train.groups, return_counts=True), strict=True):
        if slide and count >= LEAST_PATCHES:
            mine = train.groups == slide
            without = fit(learnt[~mine], held_out)
            shares.append(float((without.strangeness(learnt[mine]) > without.threshold).mean()))
    return sorted(shares), f"{len(shares)} slides of train, each left out of the density"


def make(options: argparse.Namespace) -> Familiarity:
    """Trains, fits, measures and writes the familiarity of a network.

    Raises:
        FileNotFoundError: PCam's files are missing.
        BadData: they are not in its layout, or name too few slides to tell what is usual.
        WeightsRefused: the network is missing or altered.
    """
    train, valid, test = (read_split(options.directory, name) for name in ("train", "valid", "test"))
    detector, card = load_network(options.network, options.into)
    frozen = freeze(detector)
    options.out.mkdir(parents=True, exist_ok=True)
    learner = learn(train, options.steps, options.seed, options.out / "autoencoder.pt")
    autoencoder = freeze_autoencoder(learner)
    learnt, held_out = (describe_patches(autoencoder, frozen, split.patches) for split in (train, valid))
    density = fit(learnt, held_out)
    shares, slides = usual_shares(density, learnt, held_out, train, valid)
    if not shares:
        raise BadData(f"neither valid nor {LEAST_PATCHES} patches of a slide of train are named: no share is usual")
    record = {
        "train": f"{len(train):,} patches, {options.steps:,} steps of {BATCH}, seed {options.seed}",
        "usual_shares": shares,
        "usual_slides": slides,
        "test": measure(autoencoder, frozen, density, test),
    }
    familiarity = Familiarity(copy.deepcopy(learner), density, record)
    familiarity_file.write(familiarity, card.digest, familiarity_file.path_of(options.network, options.into))
    return familiarity


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.train.familiarity", description="Fit what is familiar to a network, without labels."
    )
    add = parser.add_argument
    add("directory", type=Path, help="folder with PCam's HDF5 files")
    add("--network", default=DEFAULT_NAME, help="whose features are used (default %(default)s)")
    add("--into", type=Path, default=SHIPPED, help="folder of its weights, and of the result (default %(default)s)")
    add("--out", type=Path, default=Path("runs/familiarity"), help="folder of the checkpoint (default %(default)s)")
    add("--steps", type=int, default=1500, help="of the autoencoder's training (default %(default)s)")
    add("--seed", type=int, default=0, help="of initial weights and batches (default %(default)s)")
    options = parser.parse_args(arguments)
    try:
        familiarity = make(options)
    except (FileNotFoundError, BadData, WeightsRefused) as error:
        print(f"Not fitted: {error}.", file=sys.stderr)
        return 2
    print(json.dumps({"threshold": familiarity.threshold, **familiarity.record}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
