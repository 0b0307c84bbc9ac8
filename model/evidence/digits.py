"""python -m model.evidence.digits: trains every network on rotated handwritten digits, in minutes on a CPU.

After rotated MNIST (Larochelle et al. 2007), with the 8×8 digits that scikit-learn ships: enlarged to 28×28, each
turned by a random angle, few of them for training. The networks are the registry's, three blocks deep. A mirrored digit
is no longer the same digit, so a symmetry to mirrors is a handicap here.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from model.networks.densenet import DenseNet
from model.networks.registry import SYSTEMS, System

SIDE_PX = 28
BATCH = 32
SHARED = {"blocks": 3, "mean": (0.15, 0.15, 0.15), "std": (0.3, 0.3, 0.3)}


class DigitNet(nn.Module):
    """(N, 3, 28, 28) in 0..255 → logits (N, 10): a network's features, averaged over the image, and a linear layer."""

    def __init__(self, system: System) -> None:
        super().__init__()
        config = replace(system.small(), **SHARED)  # type: ignore[arg-type] # mypy does not see the dictionary's types
        self.network = DenseNet(config)
        self.head = nn.Linear(self.network.classifier.in_channels, 10)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.network.pooled(image).mean((2, 3)))  # (N, 10)
        return logits


def turned_digits(rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """All 1,797 digits in random order, enlarged, turned by random angles: (N, 3, 28, 28) in 0..255, and (N,) 0..9."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=rng)
    images = torch.from_numpy(digits.images).float()[order, None] * (255 / 16)
    angle = 2 * torch.pi * torch.rand(len(order), generator=rng)
    cos, sin = torch.cos(angle), torch.sin(angle)
    reach = 1.5  # the digit's box fits at every angle
    matrix = reach * torch.stack([cos, -sin, 0 * cos, sin, cos, 0 * cos], 1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, [len(order), 1, SIDE_PX, SIDE_PX], align_corners=False)
    drawn = F.grid_sample(images, grid, mode="bicubic", align_corners=False).clamp(0, 255)
    return drawn.expand(-1, 3, -1, -1), torch.from_numpy(digits.target).long()[order]


def batches(count: int, epochs: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Indices of each batch, (B,), shuffled anew every epoch."""
    for _ in range(epochs):
        yield from torch.randperm(count, generator=rng).split(BATCH)


def test_error(system: System, few: int, epochs: int, seed: int) -> float:
    """The error rate, in 0..1, on all other digits after training on `few`."""
    rng = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    images, labels = turned_digits(rng)
    network = DigitNet(system)
    steps = epochs * -(-few // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, steps)
    for index in batches(few, epochs, rng):
        loss = F.cross_entropy(network(images[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return float((_answers(network, images[few:]) != labels[few:]).float().mean())


@torch.no_grad()
def _answers(network: DigitNet, images: Tensor) -> Tensor:
    network.eval()
    return torch.cat([network(part).argmax(1) for part in images.split(100)])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.evidence.digits",
        description="Train every network on rotated digits and print test errors.",
    )
    parser.add_argument("--few", type=int, default=300, help="digits to train on (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=24, help="passes over them (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each network (default %(default)s)")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), help="these only")
    parser.add_argument("--json", type=Path, help="write the errors to this file")
    options = parser.parse_args(arguments)
    by_system: dict[str, Any] = {}
    for name in tqdm(options.systems, unit="system", file=sys.stderr):
        by_system[name] = [
            test_error(SYSTEMS[name], options.few, options.epochs, seed) for seed in range(options.seeds)
        ]
    print(f"test error on turned digits after training on {options.few}, mean of {options.seeds} runs")
    for name, errors in by_system.items():
        print(f"  {name:16} {100 * float(np.mean(errors)):5.1f} %")
    if options.json:
        about = {"few": options.few, "epochs": options.epochs, "seeds": options.seeds}
        options.json.write_text(json.dumps({**about, "errors": by_system}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
