"""python -m model.evidence.pictures: draws the two-layer p4 picture of docs/theory.md with this package's layers."""

import sys
from pathlib import Path

import matplotlib as mpl
import torch
from torch import Tensor

from model.groups.action import turn
from model.groups.convolution import GroupConv2d, LiftingConv2d
from model.groups.group import get_group

mpl.use("Agg")
from matplotlib import pyplot as plt

TARGET = Path(__file__).resolve().parents[2] / "docs" / "theory-p4.png"
LETTER = ["........", ".#####..", ".#......", ".####...", ".#......", ".#......", ".#......", "........"]


def letter() -> Tensor:
    """An F, which no turn and no mirror maps onto itself; (1, 1, 14, 14) float64 in 0..1."""
    rows = [[float(dot == "#") for dot in row] for row in LETTER]
    return torch.nn.functional.pad(torch.tensor(rows, dtype=torch.float64), (3, 3, 3, 3))[None, None]


def planes_of(image: Tensor) -> list[tuple[str, Tensor]]:
    """Titles and planes: the image, its lifting convolution, and a group convolution of that. `image`: (1, 1, H, W)."""
    torch.manual_seed(3)
    group = get_group("p4")
    lifting, convolution = LiftingConv2d(group, 1, 1, 3).double(), GroupConv2d(group, 1, 1, 3).double()
    with torch.no_grad():
        lifted = torch.relu(lifting(image))
        second = torch.relu(convolution(lifted))
    turns = [f"{90 * s}°" for s in range(4)]
    planes = [("image", image[0, 0])]
    planes += [(f"lifted, {turns[s]}", lifted[0, s]) for s in range(4)]
    return planes + [(f"second layer, {turns[s]}", second[0, s]) for s in range(4)]


def draw(path: Path = TARGET) -> None:
    """Draws two rows of planes: of an F, and of the F turned by a quarter."""
    upright = letter()
    rows = [planes_of(upright), planes_of(turn(upright, get_group("p4").elements[1]))]
    figure, axes = plt.subplots(2, 9, figsize=(14, 3.6))
    for row, planes in enumerate(rows):
        for axis, (name, plane) in zip(axes[row], planes, strict=True):
            axis.imshow(plane, cmap="magma" if name != "image" else "gray_r")
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(name, fontsize=8)
    axes[0][0].set_ylabel("upright")
    axes[1][0].set_ylabel("turned by 90°")
    figure.tight_layout()
    figure.savefig(path, dpi=90, metadata={"Software": ""})
    plt.close(figure)


if __name__ == "__main__":
    draw()
    sys.stdout.write(f"{TARGET}\n")
