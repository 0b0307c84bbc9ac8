"""python -m model.train.familiarity DIR: teach an autoencoder the training patches and fit the density of what it sees.

No label is used. The autoencoder and the density learn from train; what is usual (the middle, the spread, the
threshold, the share of a slide's cells above it) comes from valid, whose slides are not in train; how well corruptions
are told from test's patches is measured on test, which nothing was fitted to.
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


def chosen_at(split: Split, seed: int, step: int) -> Patches:
    """The patches of one step: a pure function of seed and step."""
    per_epoch = max(1, len(split) // BATCH)
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng((seed, epoch)).permutation(len(split))
    return split.patches[order[place * BATCH : (place + 1) * BATCH]]


def learn(split: Split, steps: int, seed: int, checkpoint: Path) -> Autoencoder:
    """Mean squared error, Adam, warm-up and half a cosine. Goes on where the checkpoint stands."""
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
        images = torch.from_numpy(chosen_at(split, seed, step)).permute(0, 3, 1, 2).float()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, steps)
        with torch.autocast("cpu", torch.bfloat16):
            painted = network(images)
        error = (painted.float() - images).square().mean() / 127.5**2
        optimizer.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99:
            save(checkpoint, {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1})
    return network.eval()


def _batches(patches: Patches, size: int = 64) -> Iterator[Patches]:
    return (patches[i : i + size] for i in range(0, len(patches), size))


def described(autoencoder: Autoencoder, detector: Frozen, patches: Patches) -> Descriptions:
    """(N, D): each patch's one cell."""
    parts = [describe(autoencoder, batch, infer_with_features(detector, batch)[1]) for batch in _batches(patches)]
    return np.concatenate(parts)[:, 0, 0]


@torch.inference_mode()
def errors(autoencoder: Autoencoder, patches: Patches) -> Descriptions:
    """The plain reconstruction error of each patch's cell, (N,)."""
    images = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() for batch in _batches(patches))
    return np.concatenate([autoencoder.error(image)[:, 0, 0].numpy() for image in images])


def told_apart(strange: Descriptions, usual: Descriptions) -> float:
    """AUC of strange against usual."""
    labels = np.repeat([1, 0], [len(strange), len(usual)])
    return auc(labels, np.concatenate([strange, usual]))


def measured(autoencoder: Autoencoder, detector: Frozen, density: Density, test: Split) -> dict[str, Any]:
    """For each corruption of test: AUC by density, by distance alone and by raw error, and the share over threshold."""
    plain = described(autoencoder, detector, test.patches)
    usual, near, raw = density.strangeness(plain), density.distance(plain), errors(autoencoder, test.patches)
    found: dict[str, Any] = {"unchanged": {"over_threshold": float((usual > density.threshold).mean())}}
    for name, corrupt in CORRUPTIONS.items():
        patches = corrupt(test.patches, np.random.default_rng(0))
        seen = described(autoencoder, detector, patches)
        found[name] = {
            "auc": told_apart(density.strangeness(seen), usual),
            "auc_one_sided": told_apart(density.distance(seen), near),
            "auc_raw_error": told_apart(errors(autoencoder, patches), raw),
            "over_threshold": float((density.strangeness(seen) > density.threshold).mean()),
        }
    return found


def usual_shares(density: Density, seen: Descriptions, split: Split) -> list[float]:
    """The share of patches over the threshold in each held-out slide group, smallest first."""
    over = density.strangeness(seen) > density.threshold
    return sorted(float(over[split.groups == group].mean()) for group in np.unique(split.groups))


def make(options: argparse.Namespace) -> Familiarity:
    """Learn, fit, measure, write."""
    train, valid, test = (read_split(options.directory, name) for name in ("train", "valid", "test"))
    detector, card = load_network(options.network, options.into)
    frozen = freeze(detector)
    options.out.mkdir(parents=True, exist_ok=True)
    learner = learn(train, options.steps, options.seed, options.out / "autoencoder.pt")
    autoencoder = freeze_autoencoder(learner)
    seen = {name: described(autoencoder, frozen, split.patches) for name, split in (("train", train), ("valid", valid))}
    density = fit(seen["train"], seen["valid"])
    known = {
        "train": f"{len(train)} patches, {options.steps} steps of {BATCH}, seed {options.seed}",
        "usual_shares": usual_shares(density, seen["valid"], valid),
        "test": measured(autoencoder, frozen, density, test),
    }
    made = Familiarity(copy.deepcopy(learner), density, known)
    familiarity_file.write(made, card.digest, familiarity_file.path_of(options.network, options.into))
    return made


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.train.familiarity", description="What is familiar to a network."
    )
    parser.add_argument("directory", type=Path, help="folder with PCam's HDF5 files")
    parser.add_argument("--network", default=DEFAULT_NAME, help="the detector whose features are used")
    parser.add_argument("--into", type=Path, default=SHIPPED, help="its folder, where the result goes too")
    parser.add_argument("--out", type=Path, default=Path("runs/familiarity"), help="checkpoints (default %(default)s)")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        made = make(options)
    except (FileNotFoundError, BadData, WeightsRefused) as error:
        print(f"Nothing was learnt: {error}.", file=sys.stderr)
        return 2
    print(json.dumps({"threshold": made.threshold, **made.record}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
