"""A p4m-equivariant autoencoder: what the network's training patches look like, told without labels.

    encoder   4 × (convolution 3×3, norm, relu, pool 2×2): latents on the group, one vector of C channels every 16 px
    decoder   4 × (enlarge 2×, convolution 3×3, norm, relu), convolution to RGB, mean over the group

Every convolution is a group convolution with a border of one pixel of zeros, alike on all sides, so that sizes stay and
Φ(T_u f) turns as its input does: latents move as a feature map on the group (`Regular.act`), the picture as a picture.

A cell's description is taken over its own 32×32 px (which PatchCamelyon's label speaks of) from the colours and from
every stage of the encoder, fine to coarse, since focus and compression live in the fine ones: means and spreads over
the group and over the cell, as logarithms. It does not change when the picture is turned or mirrored about the cell,
and it sees no more than the cell's 96×96 px, so it does not depend on where a region was cut.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.families.family import get_family
from model.groups.action import by_element
from model.groups.convolution import BankConv2d

FAMILY = get_family("p4m")
WIDTHS = (6, 10, 16, 24)
FLOOR = 1e-3  # below this, activations say nothing: added before logarithms


def over_blocks(maps: Tensor, k: int) -> Tensor:
    """Means over blocks of 16×16 px of maps at stride 2^k, the halo but for its innermost block left out."""
    edge = 32 >> k
    return F.avg_pool2d(maps[:, :, edge:-edge, edge:-edge], 16 >> k)


def over_cells(maps: Tensor, k: int) -> Tensor:
    """Means over each cell's own 32×32 px, 2×2 blocks: (N, C, H/2^k, W/2^k) → (N, C, H', W')."""
    return F.avg_pool2d(over_blocks(maps, k), 2, stride=1)


def deviation_over_cells(maps: Tensor, k: int) -> Tensor:
    """Standard deviations over each cell's own 32×32 px, never under the floor.

    The variance within blocks and between them, of differences alone: where a map is nearly flat, a mean of squares
    less a squared mean would leave nothing but rounding, and a logarithm would blow that up.
    """
    means = over_blocks(maps, k)
    edge, step = 32 >> k, 16 >> k
    inner = maps[:, :, edge:-edge, edge:-edge]
    within = F.avg_pool2d((inner - means.repeat_interleave(step, 2).repeat_interleave(step, 3)).square(), step)
    return (F.avg_pool2d(within, 2, stride=1) + _between(means) + FLOOR**2).sqrt()


def _between(means: Tensor) -> Tensor:
    """The variance of every 2×2 of block means."""
    middle = F.avg_pool2d(means, 2, stride=1)
    corners = (means[:, :, y : y + middle.shape[2], x : x + middle.shape[3]] for y in (0, 1) for x in (0, 1))
    return torch.stack([(corner - middle).square() for corner in corners]).mean(0)


class Stage(nn.Module):
    """relu(norm(conv f)), sizes kept."""

    def __init__(self, conv: BankConv2d, channels: int) -> None:
        super().__init__()
        self.conv, self.norm = conv, FAMILY.norm(channels)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(F.pad(features, (1, 1, 1, 1)))))


class Autoencoder(nn.Module):
    """(N, 3, H, W) RGB in 0..255, H and W multiples of 16 → the same picture, through its latents."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        first = Stage(FAMILY.lifting(3, widths[0], 3), widths[0])
        self.down = nn.ModuleList([first, *(Stage(FAMILY.convolution(a, b, 3), b) for a, b in pairs)])
        self.up = nn.ModuleList(
            Stage(FAMILY.convolution(b, a, 3), a) for a, b in reversed([(widths[0], widths[0]), *pairs])
        )
        self.paint = FAMILY.convolution(widths[0], 3, 1)
        self.bias = nn.Parameter(torch.zeros(3))

    def latents(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, C·8, H/16, W/16). Law: turned and permuted with the image."""
        features = image / 127.5 - 1
        for stage in self.down:
            features = F.avg_pool2d(stage(features), 2)
        return features

    def forward(self, image: Tensor) -> Tensor:
        features = self.latents(image)
        for stage in self.up:
            features = stage(F.interpolate(features, scale_factor=2, mode="nearest"))
        painted = FAMILY.invariant(self.paint(features)) + self.bias[:, None, None]
        return 127.5 * (painted + 1)

    def describe(self, image: Tensor) -> Tensor:
        """Invariant descriptions of a region's cells: (N, D, H', W'), H' = (H − 96)/16 + 1; D = 174 as shipped."""
        features = image / 127.5 - 1
        parts = [over_cells(features, 0), deviation_over_cells(features, 0).log()]
        for k, stage in enumerate(self.down):
            full = stage(features)
            planes = by_element(full, FAMILY.planes)
            mean = planes.mean(2)
            turned = (planes - mean[:, :, None]).square().mean(2)  # torch.var takes ten times as long
            parts += [(over_cells(mean, k) + FLOOR).log(), 0.5 * (over_cells(turned, k) + FLOOR**2).log()]
            parts += [deviation_over_cells(mean, k).log()]
            features = F.avg_pool2d(full, 2)
        return torch.cat(parts, 1)

    def error(self, image: Tensor) -> Tensor:
        """Mean squared error of the picture over each cell's own 32×32 px, grey levels²: (N, H', W')."""
        square = (self(image) - image).square().mean(1, keepdim=True)
        return F.avg_pool2d(square[:, :, 32:-32, 32:-32], 32, stride=16)[:, 0]
