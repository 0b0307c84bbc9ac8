"""P4M-DenseNet (Veeling et al. 2018) with its P4 and Z2 siblings, from one config.

    lifting conv 3×3
    5 × dense block:  f → [crop(f), conv3×3(relu(norm f))]            valid convolution, skip cropped 1 px a side
    between blocks:   transition  f → conv1×1(pool2×2(relu(norm f)))  pooling first: the two commute, at a quarter cost
    norm, relu, mean over the group, 1×1 to one logit, average over 2×2

A 96×96 patch shrinks 96→94→92|46→44|22→20|10→8|4→2→1: receptive field 96, output stride 16. Larger inputs give a map
of logits, one every 16 px. Equivariance is exact for heights and widths that are multiples of 16, where no pooling
window is cut off at one side.

Widths: every width of the plain network is divided by √|G| and rounded, so that parameter counts stay about equal;
for p4m: lifting 11, growth 8, transitions 20, 28, 37, 45; 118,379 trainable parameters.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.group import Group, GroupName, get_group
from model.layers import GroupBatchNorm2d, GroupConv2d, LiftingConv2d, group_mean

PATCH_PX = 96
STRIDE_PX = 16
SIZE_MULTIPLE_PX = 16


@dataclass(frozen=True)
class DenseNetConfig:
    """All that defines the architecture; `mean` and `std` are of RGB in 0..1, per channel."""

    group: GroupName = "p4m"
    n0: int = 32
    growth: int = 24
    blocks: int = 5
    mean: tuple[float, float, float] = (0.70, 0.54, 0.69)
    std: tuple[float, float, float] = (0.24, 0.28, 0.22)

    def width(self, plain: int) -> int:
        """A plain network's width, divided by √|G|."""
        return round(plain / math.sqrt(len(get_group(self.group))))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class DenseBlock(nn.Module):
    """f → [f cropped by 1 px a side, conv3×3(relu(norm f))]."""

    def __init__(self, group: Group, channels: int, growth: int) -> None:
        super().__init__()
        self.norm = GroupBatchNorm2d(group, channels)
        self.conv = GroupConv2d(group, channels, growth, 3)

    def forward(self, features: Tensor) -> Tensor:
        grown = self.conv(F.relu(self.norm(features)))
        return torch.cat([features[:, :, 1:-1, 1:-1], grown], 1)


class Transition(nn.Module):
    """f → conv1×1(pool2×2(relu(norm f)))."""

    def __init__(self, group: Group, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = GroupBatchNorm2d(group, in_channels)
        self.conv = GroupConv2d(group, in_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        mixed: Tensor = self.conv(F.avg_pool2d(F.relu(self.norm(features)), 2))
        return mixed


class DenseNet(nn.Module):
    """(N, 3, H, W) RGB in 0..255, float → logits (N, H', W') with H' = (H − 96)/16 + 1.

    Law: a turned input gives the turned map of logits, for H and W multiples of 16.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: DenseNetConfig) -> None:
        super().__init__()
        self.config, self.group = config, get_group(config.group)
        self.register_buffer("mean", 255 * torch.tensor(config.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(config.std).view(3, 1, 1), persistent=False)
        channels, growth = config.width(config.n0), config.width(config.growth)
        self.lifting = LiftingConv2d(self.group, 3, channels, 3)
        blocks, transitions = list[DenseBlock](), list[Transition]()
        for i in range(config.blocks):
            if i > 0:
                width = config.width(config.n0 + config.growth * i)
                transitions.append(Transition(self.group, channels, width))
                channels = width
            blocks.append(DenseBlock(self.group, channels, growth))
            channels += growth
        self.blocks, self.transitions = nn.ModuleList(blocks), nn.ModuleList(transitions)
        self.norm = GroupBatchNorm2d(self.group, channels)
        self.classifier = nn.Conv2d(channels, 1, 1)

    def stages(self) -> tuple[list[DenseBlock], list[Transition]]:
        """Blocks and the transitions between them, typed."""
        return cast(list[DenseBlock], list(self.blocks)), cast(list[Transition], list(self.transitions))

    def features(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) → the last feature map on the group, after its norm and relu."""
        features = self.blocks[0](self.lifting((image - self.mean) / self.std))
        for transition, block in zip(self.transitions, self.blocks[1:], strict=True):
            features = block(transition(features))
        return F.relu(self.norm(features))

    def forward(self, image: Tensor) -> Tensor:
        pooled = group_mean(self.features(image), self.group)  # (N, C, H'+1, W'+1)
        logits: Tensor = F.avg_pool2d(self.classifier(pooled), 2, stride=1)
        return logits[:, 0]
