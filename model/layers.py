"""Equivariant layers on feature maps over Z² × stabilizer. Each states its law; tests/model checks it in float64.

A feature map is a tensor (N, C·|G|, H, W) with (channel, element) flattened. The group moves it by

    (L_u f)(s, x) = f(u⁻¹ s, u⁻¹ x)           turn every plane by u, permute the planes by u        (`act`)

and a layer Φ is equivariant when Φ(L_u f) = L_u Φ(f) for every u (Cohen & Welling 2016, §4–6).
"""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.filter_bank import expand, group_index, lifting_index
from model.group import Element, Group


def by_element(features: Tensor, order: int) -> Tensor:
    """(N, C·|G|, H, W) → (N, C, |G|, H, W)."""
    n, channels, *size = features.shape
    return features.reshape(n, channels // order, order, *size)


def turn(planes: Tensor, element: Element) -> Tensor:
    """T_g on the last two axes, of any tensor."""
    mirrored = planes.flip(-1) if element.mirror else planes
    return torch.rot90(mirrored, element.turns, (-2, -1))


def act(features: Tensor, group: Group, u: int) -> Tensor:
    """L_u of a feature map (N, C·|G|, H, W)."""
    planes = by_element(features, len(group))
    source = group.product[group.inverse[u]]  # s → u⁻¹ s
    return turn(planes[:, :, source], group.elements[u]).flatten(1, 2)


class LiftingConv2d(nn.Module):
    """Z² → G, no bias, no padding (eq. 10). Law: Φ(T_u f) = L_u Φ(f)."""

    index: Tensor

    def __init__(self, group: Group, in_channels: int, out_channels: int, k: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, k, k))
        self.register_buffer("index", lifting_index(group, k), persistent=False)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def bank(self) -> Tensor:
        """(out·|G|, in, k, k)."""
        return expand(self.weight, self.index)

    def forward(self, image: Tensor) -> Tensor:
        return F.conv2d(image, self.bank())


class GroupConv2d(nn.Module):
    """G → G, no bias, no padding (eq. 11). Law: Φ(L_u f) = L_u Φ(f)."""

    index: Tensor

    def __init__(self, group: Group, in_channels: int, out_channels: int, k: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, len(group), k, k))
        self.register_buffer("index", group_index(group, k), persistent=False)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def bank(self) -> Tensor:
        """(out·|G|, in·|G|, k, k)."""
        return expand(self.weight, self.index)

    def forward(self, features: Tensor) -> Tensor:
        return F.conv2d(features, self.bank())


class GroupBatchNorm2d(nn.Module):
    """Batch norm with one mean, variance, scale and shift a channel, shared by the stabilizer (C&W §6.2).

    Law: Φ(L_u f) = L_u Φ(f), since statistics pooled over elements and positions do not move with either.
    Moving averages use the biased variance; momentum is the weight of the new batch.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, group: Group, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.order, self.eps, self.momentum = len(group), eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Batch mean and biased variance, (C,) each, in at least float32; the moving averages follow them."""
        wide = features if features.dtype == torch.float64 else features.float()
        per_plane = wide.mean((0, 2, 3)).reshape(-1, self.order)
        mean = per_plane.mean(1)
        square = wide.square().mean((0, 2, 3)).reshape(-1, self.order).mean(1)
        var = (square - mean.square()).clamp_min(0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var, self.momentum)
        return mean, var

    def affine(self, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """The norm as scale and shift of each plane, (C·|G|,) each."""
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        return scale.repeat_interleave(self.order), shift.repeat_interleave(self.order)

    def forward(self, features: Tensor) -> Tensor:
        moments = self.statistics(features) if self.training else (self.running_mean, self.running_var)
        scale, shift = self.affine(*moments)
        return (features * scale[:, None, None] + shift[:, None, None]).to(features.dtype)


def group_mean(features: Tensor, group: Group) -> Tensor:
    """(N, C·|G|, H, W) → (N, C, H, W). Law: Φ(L_u f) = T_u Φ(f): the result turns like an image."""
    return by_element(features, len(group)).mean(2)


def coset_pool(features: Tensor, group: Group, subgroup: Iterable[int], how: Literal["max", "mean"] = "max") -> Tensor:
    """Pool over each coset gH: G → G/H (C&W §6.3). (N, C·|G|, H, W) → (N, C·|G/H|, H, W).

    Law: Φ(L_u f)(gH, x) = Φ(f)(u⁻¹gH, u⁻¹x). Over all rotations of p4 the result turns like an image.
    """
    cosets = torch.from_numpy(group.left_cosets(subgroup))
    planes = by_element(features, len(group))[:, :, cosets]  # (N, C, |G/H|, |H|, H, W)
    return (planes.amax(3) if how == "max" else planes.mean(3)).flatten(1, 2)


def group_pool(features: Tensor, group: Group, domain: Iterable[int]) -> Tensor:
    """Pf(g) = max over gU, without stride (C&W §6.3). Law: P L_u f = L_u P f, for any domain U."""
    neighbours = torch.from_numpy(group.product[:, list(domain)])  # (g, u) → gu
    return by_element(features, len(group))[:, :, neighbours].amax(3).flatten(1, 2)


def subsample(features: Tensor, group: Group, subgroup: Iterable[int]) -> Tensor:
    """Keep the elements of H only: G → H. Equivariant to H, not to G (C&W §6.3, 'subsampling on a subgroup')."""
    return by_element(features, len(group))[:, :, list(subgroup)].flatten(1, 2)
