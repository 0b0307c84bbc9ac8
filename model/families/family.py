"""The layers that a network can be made of. A family says how its feature maps turn, and brings layers that respect it.

    z2                  plain convolution: moves with shifts, and with nothing else
    p4, p4m             group convolution over quarter turns, and mirrors (Cohen & Welling 2016)
    harmonic            Harmonic Network (Worrall et al. 2017)
    steerable           steerable filters in eight orientations (Weiler et al. 2018)

A feature map is (N, C·planes, H, W), (channel, plane) flattened. Under an element u of the family's exact group it
turns, and its planes are mixed by a matrix:  (L_u f)(x) = ρ(u) f(u⁻¹ x).
"""

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from model.families import harmonic, steerable
from model.groups.action import by_element, turn
from model.groups.batch_norm import GroupBatchNorm2d
from model.groups.convolution import BankConv2d, GroupConv2d, LiftingConv2d
from model.groups.group import Group, GroupName, get_group
from model.groups.pooling import group_mean

FamilyName = Literal["z2", "p4", "p4m", "harmonic", "steerable"]


class Family(ABC):
    """`group`: where equivariance is exact. `planes`: planes a channel. `functions`: free numbers of a 3×3 filter."""

    name: FamilyName
    group: Group
    planes: int
    functions: int
    invariants = 1

    def width(self, plain: int) -> int:
        """The channels for which parameters equal those of a plain network of that width: 9·w² = functions·w'²."""
        return round(plain * math.sqrt(9 / self.functions))

    @abstractmethod
    def lifting(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        """From an image."""

    @abstractmethod
    def convolution(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        """From a feature map."""

    @abstractmethod
    def representation(self, u: int) -> Tensor:
        """ρ(u), (planes, planes) float64."""

    def norm(self, channels: int) -> nn.Module:
        """Normalises; `activation` comes after it."""
        return GroupBatchNorm2d(self.planes, channels)

    def activation(self, features: Tensor) -> Tensor:
        return torch.relu(features)

    def invariant(self, features: Tensor) -> Tensor:
        """(N, C·planes, H, W) → (N, C·invariants, H, W), which turns like an image."""
        return group_mean(features, self.planes)

    def act(self, features: Tensor, u: int) -> Tensor:
        """L_u of a feature map."""
        turned = turn(by_element(features, self.planes), self.group.elements[u])
        matrix = self.representation(u).to(features.dtype)
        return torch.einsum("st,nctyx->ncsyx", matrix, turned).flatten(1, 2)


class Regular(Family):
    """Group convolution: one plane an element of the stabilizer, permuted by u."""

    def __init__(self, name: GroupName) -> None:
        self.name, self.group = name, get_group(name)
        self.planes, self.functions = len(self.group), 9 * len(self.group)

    def lifting(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        return LiftingConv2d(self.group, in_channels, out_channels, k)

    def convolution(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        return GroupConv2d(self.group, in_channels, out_channels, k)

    def representation(self, u: int) -> Tensor:
        return torch.eye(self.planes, dtype=torch.float64)[self.group.product[self.group.inverse[u]]]


class Steerable(Family):
    """Eight orientations; a quarter turn moves them by two places."""

    name, group, planes = "steerable", get_group("p4"), steerable.ORIENTATIONS

    def __init__(self) -> None:
        self.functions = len(steerable.group_basis(3))

    def lifting(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        return steerable.SteerableConv2d(in_channels, out_channels, steerable.lifting_basis(k))

    def convolution(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        return steerable.SteerableConv2d(in_channels, out_channels, steerable.group_basis(k))

    def representation(self, u: int) -> Tensor:
        return torch.eye(self.planes, dtype=torch.float64).roll(2 * self.group.elements[u].turns, 0)


class Harmonic(Family):
    """One stream of order 0 and one of order 1; a turn by θ multiplies a stream of order m by e^{imθ}."""

    name, group, planes, invariants = "harmonic", get_group("p4"), harmonic.PLANES, len(harmonic.ORDERS)

    def __init__(self) -> None:
        self.functions = len(harmonic.stream_basis(3))

    def lifting(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        return harmonic.HarmonicConv2d(in_channels, out_channels, harmonic.lifting_basis(k))

    def convolution(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        return harmonic.HarmonicConv2d(in_channels, out_channels, harmonic.stream_basis(k))

    def representation(self, u: int) -> Tensor:
        turns = self.group.elements[u].turns
        quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
        phases = [torch.linalg.matrix_power(quarter, turns * order) for order in harmonic.ORDERS]
        return torch.block_diag(*phases)  # type: ignore[no-any-return] # torch's stubs lack it

    def norm(self, channels: int) -> nn.Module:
        return harmonic.MagnitudeNorm(channels)

    def activation(self, features: Tensor) -> Tensor:
        return features  # the norm acts on magnitudes, ReLU included

    def invariant(self, features: Tensor) -> Tensor:
        return harmonic.magnitudes(features)


@lru_cache
def get_family(name: FamilyName) -> Family:
    """A family by name.

    Raises:
        ValueError: any other name.
    """
    if name not in get_args(FamilyName):
        raise ValueError(f"unknown family {name!r}: choose {', '.join(get_args(FamilyName))}")
    if name == "harmonic":
        return Harmonic()
    return Steerable() if name == "steerable" else Regular(name)
