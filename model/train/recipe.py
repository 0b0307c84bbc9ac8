"""The recipe of a run: learning rate, batches, and their augmentation.

AdamW (Loshchilov & Hutter 2019) with decay on filters only, 5 % warm-up then cosine, gradients clipped at norm 1, an
exponential moving average of the parameters.

Step s of a run is a pure function of (seed, s): batch order and augmentation are drawn from generators seeded by them,
so a run that is killed and started again takes the same steps.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from model.train.augment import augment
from model.train.pcam import Split


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a run. Its checkpoint stores them and cannot be continued with others."""

    epochs: float = 7
    batch: int = 32
    lr: float = 2e-3  # the peak
    weight_decay: float = 0.01
    warm_up: float = 0.05  # share of the steps
    ema: float = 0.995  # decay of the moving average of the parameters
    seed: int = 0
    dihedral: bool = False  # turn and mirror patches, for networks that are not equivariant to it
    strength: float = 1.0  # of augmentation, 0 to 1
    soft: float = 0.0  # share of a target that teachers give (Hinton et al. 2015, at temperature 1)


def warm_cosine(peak: float, warm_up: float, step: int, steps: int, cycles: int = 1) -> float:
    """The rate of a step: linear warm-up, then half a cosine to zero in each cycle (Loshchilov & Hutter 2017).

    `warm_up`: a share of the steps.
    """
    warm = max(1, round(warm_up * steps))
    if step < warm:
        return peak * (step + 1) / warm
    place = min(1.0, (step - warm) / max(1, steps - warm))
    within = (place * cycles) % 1 if place < 1 else 1.0
    return peak * 0.5 * (1 + math.cos(math.pi * within))


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step."""
    return warm_cosine(recipe.lr, recipe.warm_up, step, steps)


def average_decay(ema: float, step: int) -> float:
    """The decay of the moving average at a step: `ema`, and faster in the first steps."""
    return min(ema, (1 + step) / (10 + step))


def batch_at(split: Split, recipe: Recipe, step: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """The augmented batch of one step: (B, 3, 96, 96) float in 0..255 and (B,) float labels, on a device (or the CPU).

    Patches cross as bytes, a quarter of their floats, and are augmented there.
    """
    per_epoch = max(1, len(split) // recipe.batch)
    epoch, place = divmod(step, per_epoch)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(recipe.seed * 100_003 + epoch))
    rows = order[place * recipe.batch : (place + 1) * recipe.batch].numpy()
    images = torch.from_numpy(split.patches[rows]).to(device).permute(0, 3, 1, 2).float()
    rng = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    labels = torch.from_numpy(split.labels[rows]).to(device).float()
    return augment(images, rng, recipe.dihedral, recipe.strength), labels
