"""P4M-DenseNet (Veeling et al. 2018) and its rivals: one skeleton, one config, any family of layers.

    lifting conv 3×3
    5 × dense block:  f → [crop(f), conv3×3(relu(norm f))]            valid convolution, skip cropped 1 px a side
    between blocks:   transition  f → conv1×1(pool2×2(relu(norm f)))  pooling first: the two commute, at a quarter cost
    norm, relu, invariant (mean over the group), average over 2×2, 1×1 to one logit

A 96×96 patch shrinks 96→94→92|46→44|22→20|10→8|4→2→1: receptive field 96 px, output stride 16. A larger input
gives a map of logits, one every 16 px. Equivariance is exact for heights and widths that are multiples of 16, where
every pooling window is whole.

Widths follow from the plain network's so that parameter counts stay about equal (`Family.width`; Cohen & Welling 2016,
§8). For p4m every width is divided by √8 and rounded: lifting 11, growth 8, transitions 20, 28, 37, 45; 118,379
parameters.
"""

from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.families.family import Family, FamilyName, get_family
from model.groups.group import Group, get_group
from model.groups.pooling import halve
from model.networks.views import Views, over_views

PATCH_PX = 96
STRIDE_PX = 16
SIZE_MULTIPLE_PX = 16


@dataclass(frozen=True)
class DenseNetConfig:
    """The architecture. `n0` and `growth`: of the plain network. `mean` and `std`: per channel, of RGB in 0..1."""

    family: FamilyName = "p4m"
    n0: int = 32
    growth: int = 24
    blocks: int = 5
    mean: tuple[float, float, float] = (0.70, 0.54, 0.69)
    std: tuple[float, float, float] = (0.24, 0.28, 0.22)
    views: Views = "one"

    @property
    def group(self) -> Group:
        """The group under which the network is exactly equivariant."""
        return get_family(self.family).group if self.views == "one" else get_group("p4m")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, which the card stores as `architecture`."""
        return asdict(self)


class DenseBlock(nn.Module):
    """f → [crop(f), conv3×3(relu(norm f))]: (N, C·planes, H, W) → (N, (C + growth)·planes, H − 2, W − 2).

    The skip is cropped where others pad (Huang et al. 2017): zeros at the border would differ from region to region.
    """

    def __init__(self, family: Family, channels: int, growth: int) -> None:
        super().__init__()
        self.family = family
        self.norm = family.norm(channels)
        self.conv = family.convolution(channels, growth, 3)

    def forward(self, features: Tensor) -> Tensor:
        grown = self.conv(self.family.activation(self.norm(features)))  # (N, growth·planes, H − 2, W − 2)
        return torch.cat([features[:, :, 1:-1, 1:-1], grown], 1)  # (N, (C + growth)·planes, H − 2, W − 2)


class Transition(nn.Module):
    """f → conv1×1(pool2×2(relu(norm f))): (N, C·planes, H, W) → (N, C'·planes, H/2, W/2)."""

    def __init__(self, family: Family, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.family = family
        self.norm = family.norm(in_channels)
        self.conv = family.convolution(in_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        mixed: Tensor = self.conv(halve(self.family.activation(self.norm(features))))
        return mixed


class DenseNet(nn.Module):
    """(N, 3, H, W) RGB in 0..255, float → logits (N, H', W'), H' = (H − 96)/16 + 1 and W' alike.

    Law: an input turned by an element of `group` gives the turned map of logits, for H and W multiples of 16.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: DenseNetConfig) -> None:
        super().__init__()
        self.config, self.family, self.group = config, get_family(config.family), config.group
        self.register_buffer("mean", 255 * torch.tensor(config.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(config.std).view(3, 1, 1), persistent=False)
        width = self.family.width
        channels, growth = width(config.n0), width(config.growth)
        self.lifting = self.family.lifting(3, channels, 3)
        blocks, transitions = list[DenseBlock](), list[Transition]()
        for i in range(config.blocks):
            if i > 0:
                out = width(config.n0 + config.growth * i)
                transitions.append(Transition(self.family, channels, out))
                channels = out
            blocks.append(DenseBlock(self.family, channels, growth))
            channels += growth
        self.blocks, self.transitions = nn.ModuleList(blocks), nn.ModuleList(transitions)
        self.norm = self.family.norm(channels)
        self.classifier = nn.Conv2d(channels * self.family.invariants, 1, 1)

    def stages(self) -> tuple[list[DenseBlock], list[Transition]]:
        """The blocks and the transitions between them."""
        return cast(list[DenseBlock], list(self.blocks)), cast(list[Transition], list(self.transitions))

    def features(self, image: Tensor) -> Tensor:
        """The last feature map after its norm and relu, (N, C·planes, H' + 1, W' + 1)."""
        features = self.blocks[0](self.lifting((image - self.mean) / self.std))  # (N, C·planes, H − 4, W − 4)
        for transition, block in zip(self.transitions, self.blocks[1:], strict=True):
            features = block(transition(features))  # (N, C·planes, H/2 − 2, W/2 − 2)
        return self.family.activation(self.norm(features))

    def cells(self, image: Tensor) -> Tensor:
        """The invariant features of each cell in one view, averaged over its 2×2: (N, 3, H, W) → (N, C, H', W')."""
        return F.avg_pool2d(self.family.invariant(self.features(image)), 2, stride=1)

    def pooled(self, image: Tensor) -> Tensor:
        """The features before the classifier, one vector a cell, pooled over views: (N, C, H', W')."""
        return over_views(self.cells, image, self.config.views)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pooled(image))  # (N, 1, H', W')
        return logits[:, 0]
