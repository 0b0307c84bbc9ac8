"""A p4m-equivariant autoencoder, which learns what training patches look like without labels.

    encoder   4 × (convolution 3×3, norm, relu, pool 2×2): latents on the group, one vector of C channels every 16 px
    decoder   4 × (enlarge 2×, convolution 3×3, norm, relu), convolution to RGB, mean over the group

Every convolution is a group convolution (Cohen & Welling 2016, eq. 11) with a border of one pixel of zeros on all
sides, so sizes stay and the layers stay equivariant: latents move as a feature map on the group (`Regular.act`), the
picture as a picture.

A cell is described by its own 32×32 px, the part that PatchCamelyon's label refers to: means and spreads of the colours
and of every stage of the encoder, over the group and over the cell, as logarithms. The fine stages are included because
focus and compression show there. The description does not change when the picture is turned or mirrored about the cell.
It depends on the cell's 96×96 px alone, so it does not matter how a slide is cut into regions.
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
FLOOR = 1e-3  # added before logarithms: smaller activations are noise


def over_blocks(maps: Tensor, k: int) -> Tensor:
    """Means over blocks of 16×16 px, without the outer 32 px: (N, C, H/2^k, W/2^k) → (N, C, H' + 1, W' + 1)."""
    edge = 32 >> k  # 32 px at stride 2^k
    return F.avg_pool2d(maps[:, :, edge:-edge, edge:-edge], 16 >> k)


def over_cells(maps: Tensor, k: int) -> Tensor:
    """Means over each cell's own 32×32 px, which are 2×2 blocks: (N, C, H/2^k, W/2^k) → (N, C, H', W')."""
    return F.avg_pool2d(over_blocks(maps, k), 2, stride=1)


def deviation_over_cells(maps: Tensor, k: int) -> Tensor:
    """Standard deviations over each cell's own 32×32 px, at least `FLOOR`; shapes as `over_cells`.

    The variance is the mean within blocks plus the variance between them, both from differences. A mean of squares less
    a squared mean cancels to rounding noise where a map is nearly flat, and the logarithm would amplify it.
    """
    means = over_blocks(maps, k)  # (N, C, H' + 1, W' + 1)
    edge, step = 32 >> k, 16 >> k
    inner = maps[:, :, edge:-edge, edge:-edge]
    within = F.avg_pool2d((inner - means.repeat_interleave(step, 2).repeat_interleave(step, 3)).square(), step)
    return (F.avg_pool2d(within, 2, stride=1) + _between(means) + FLOOR**2).sqrt()


def _between(means: Tensor) -> Tensor:
    """The variance of every 2×2 of block means: (N, C, H' + 1, W' + 1) → (N, C, H', W')."""
    middle = F.avg_pool2d(means, 2, stride=1)
    corners = (means[:, :, y : y + middle.shape[2], x : x + middle.shape[3]] for y in (0, 1) for x in (0, 1))
    return torch.stack([(corner - middle).square() for corner in corners]).mean(0)


class Stage(nn.Module):
    """relu(norm(conv f)) with a border of zeros, so that H and W stay."""

    def __init__(self, conv: BankConv2d, channels: int) -> None:
        super().__init__()
        self.conv, self.norm = conv, FAMILY.norm(channels)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(F.pad(features, (1, 1, 1, 1)))))


class Autoencoder(nn.Module):
    """(N, 3, H, W) RGB in 0..255, H and W multiples of 16 → its reconstruction from the latents."""

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
        """The code, (N, 3, H, W) → (N, C·8, H/16, W/16). Law: a turned image gives L_u of it."""
        features = image / 127.5 - 1
        for stage in self.down:
            features = F.avg_pool2d(stage(features), 2)  # (N, C·8, H/2, W/2)
        return features

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) → its reconstruction, (N, 3, H, W) in about 0..255."""
        features = self.latents(image)  # (N, C·8, H/16, W/16)
        for stage in self.up:
            features = stage(F.interpolate(features, scale_factor=2, mode="nearest"))  # (N, C·8, 2H, 2W)
        painted = FAMILY.invariant(self.paint(features)) + self.bias[:, None, None]  # (N, 3, H, W) in about −1..1
        return 127.5 * (painted + 1)

    def describe(self, image: Tensor) -> Tensor:
        """Invariant descriptions of a region's cells, (N, D, H', W'), H' = (H − 96)/16 + 1; D = 174 with `WIDTHS`."""
        features = image / 127.5 - 1
        parts = [over_cells(features, 0), deviation_over_cells(features, 0).log()]
        for k, stage in enumerate(self.down):
            full = stage(features)  # (N, C·8, H/2^k, W/2^k)
            planes = by_element(full, FAMILY.planes)  # (N, C, 8, H/2^k, W/2^k)
            mean = planes.mean(2)  # over the group, (N, C, H/2^k, W/2^k)
            turned = (planes - mean[:, :, None]).square().mean(2)  # variance over it; torch.var takes ten times as long
            parts += [(over_cells(mean, k) + FLOOR).log(), 0.5 * (over_cells(turned, k) + FLOOR**2).log()]
            parts += [deviation_over_cells(mean, k).log()]
            features = F.avg_pool2d(full, 2)
        return torch.cat(parts, 1)

    def error(self, image: Tensor) -> Tensor:
        """Mean squared error of the picture over each cell's own 32×32 px, grey levels²: (N, H', W')."""
        square = (self(image) - image).square().mean(1, keepdim=True)  # (N, 1, H, W)
        return F.avg_pool2d(square[:, :, 32:-32, 32:-32], 32, stride=16)[:, 0]
