"""The recipe."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from model.train.augment import augment
from model.train.pcam import Split


@dataclass(frozen=True)
class Recipe:
    """What a run does; kept in its checkpoint, which refuses to go on under another."""

    epochs: float = 7
    batch: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.01
    warm_up: float = 0.05
    ema: float = 0.995
    seed: int = 0
    dihedral: bool = False
    strength: float = 1.0


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to zero."""
    warm = max(1, round(recipe.warm_up * steps))
    if step < warm:
        return recipe.lr * (step + 1) / warm
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def batch_at(split: Split, recipe: Recipe, step: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """The augmented batch of one step: (B, 3, 96, 96) float 0..255, (B,) float labels, on a device (default: the CPU).

    Patches travel there as bytes, and are augmented there.
    """
    per_epoch = max(1, len(split) // recipe.batch)
    epoch, place = divmod(step, per_epoch)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(recipe.seed * 100_003 + epoch))
    chosen = order[place * recipe.batch : (place + 1) * recipe.batch].numpy()
    images = torch.from_numpy(split.patches[chosen]).to(device).permute(0, 3, 1, 2).float()
    rng = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    labels = torch.from_numpy(split.labels[chosen]).to(device).float()
    return augment(images, rng, recipe.dihedral, recipe.strength), labels
