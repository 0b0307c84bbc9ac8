"""The families of layers: each states how its feature maps turn, and supplies layers that commute with that.

    z2                  plain convolution: equivariant to shifts alone
    p4, p4m             group convolution over quarter turns, and mirrors (Cohen & Welling 2016)
    harmonic            Harmonic Network (Worrall et al. 2017)
    steerable           steerable filters in eight orientations (Weiler et al. 2018)
    steerable-d8        the same with their mirror images (Weiler & Cesa 2019)

A feature map is (N, C·planes, H, W), (channel, plane) flattened. Under an element u of the family's exact group it
turns, and a matrix mixes its planes:  (L_u f)(x) = ρ(u) f(u⁻¹ x).  A filter bank κ commutes with that exactly when
κ(ux) = ρ_out(u) κ(x) ρ_in(u)⁻¹ (Cohen, Geiger & Weiler 2019); tests/model/families checks it for each family.

A new family is a subclass of `Family` and a name in `FamilyName` and `get_family`.
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

FamilyName = Literal["z2", "p4", "p4m", "harmonic", "steerable", "steerable-d8"]


class Family(ABC):
    """How feature maps turn, and the layers that respect it.

    `group` is where equivariance is exact, `planes` the planes of a channel, `functions` the parameters of one 3×3
    filter between two channels, `invariants` the planes of a channel after `invariant`.
    """

    name: FamilyName
    group: Group
    planes: int
    functions: int
    invariants = 1

    def width(self, plain: int) -> int:
        """Channels for which parameters equal those of a plain network of width w: 9·w² = functions·w'²."""
        return round(plain * math.sqrt(9 / self.functions))

    @abstractmethod
    def lifting(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        """A k×k convolution from an image, (N, in, H, W) → (N, out·planes, H − k + 1, W − k + 1)."""

    @abstractmethod
    def convolution(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        """A k×k convolution between feature maps, (N, in·planes, H, W) → (N, out·planes, H − k + 1, W − k + 1)."""

    @abstractmethod
    def representation(self, u: int) -> Tensor:
        """ρ(u), (planes, planes) float64; `u` is an index into `group.elements`."""

    def norm(self, channels: int) -> nn.Module:
        """Normalises (N, C·planes, H, W); `activation` comes after it."""
        return GroupBatchNorm2d(self.planes, channels)

    def activation(self, features: Tensor) -> Tensor:
        """Pointwise, so it commutes with every permutation of planes. Families that mix planes override it."""
        return torch.relu(features)

    def invariant(self, features: Tensor) -> Tensor:
        """Reads out invariants: (N, C·planes, H, W) → (N, C·invariants, H, W), which turns like an image."""
        return group_mean(features, self.planes)

    def act(self, features: Tensor, u: int) -> Tensor:
        """L_u of a feature map (N, C·planes, H, W)."""
        turned = turn(by_element(features, self.planes), self.group.elements[u])  # (N, C, planes, H, W)
        matrix = self.representation(u).to(features.dtype)  # (planes, planes)
        return torch.einsum("st,nctyx->ncsyx", matrix, turned).flatten(1, 2)


class Regular(Family):
    """Group convolution: one plane per element of the stabilizer, permuted by u (the regular representation)."""

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
    """Steerable filters in eight orientations, which a quarter turn rotates by two places; in D8 with their mirrors."""

    def __init__(self, name: Literal["steerable", "steerable-d8"]) -> None:
        self.name, self._mirrors = name, 1 if name == "steerable" else 2
        self.group = get_group("p4" if name == "steerable" else "p4m")
        self.planes = steerable.ORIENTATIONS * self._mirrors
        self.functions = len(steerable.group_basis(3, self._mirrors))

    def lifting(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        return steerable.SteerableConv2d(in_channels, out_channels, steerable.lifting_basis(k, self._mirrors))

    def convolution(self, in_channels: int, out_channels: int, k: int) -> BankConv2d:
        return steerable.SteerableConv2d(in_channels, out_channels, steerable.group_basis(k, self._mirrors))

    def representation(self, u: int) -> Tensor:
        element = self.group.elements[u]
        place = steerable.ORIENTATIONS * element.mirror + 2 * element.turns
        return torch.eye(self.planes, dtype=torch.float64)[steerable.relative(self._mirrors)[place]]


class Harmonic(Family):
    """Harmonic Network: streams of orders 0 and 1; a turn by θ multiplies a stream of order m by e^{imθ}."""

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
        return features  # `MagnitudeNorm` includes the ReLU, on magnitudes: one on real planes would break the phases

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
    if name == "steerable" or name == "steerable-d8":
        return Steerable(name)
    return Regular(name)
