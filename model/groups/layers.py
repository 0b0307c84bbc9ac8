"""Equivariant layers on feature maps over Z² × stabilizer. Each states its law; tests/model checks it in float64.

A feature map is a tensor (N, C·|G|, H, W) with (channel, element) flattened. The group moves it by

    (L_u f)(s, x) = f(u⁻¹ s, u⁻¹ x)           turn every plane by u, permute the planes by u        (`act`)

and a layer Φ is equivariant when Φ(L_u f) = L_u Φ(f) for every u (Cohen & Welling 2016, §4–6).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.groups.filter_bank import expand, group_index, lifting_index
from model.groups.group import Element, Group


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


class BankConv2d(nn.Module, ABC):
    """A convolution without bias or padding whose filter bank is made from fewer free numbers (`weight`)."""

    weight: nn.Parameter

    @abstractmethod
    def bank(self) -> Tensor:
        """The filters of an ordinary convolution, (out planes, in planes, k, k)."""

    def forward(self, planes: Tensor) -> Tensor:
        return F.conv2d(planes, self.bank())


class LiftingConv2d(BankConv2d):
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


class GroupConv2d(BankConv2d):
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


class GroupBatchNorm2d(nn.Module):
    """Batch norm with one mean, variance, scale and shift a channel, shared by its `order` planes (C&W §6.2).

    Law: Φ(L_u f) = L_u Φ(f), since statistics pooled over elements and positions do not move with either.
    It is an ordinary batch norm of the planes of a channel laid below each other, (N, C, |G|·H, W), which costs nothing
    and runs on torch's own kernel: training is three times as fast on a CPU as with the same sums spelled out.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, order: int, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.order, self.eps, self.momentum = order, eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def affine(self, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """The norm as scale and shift of each plane, (C·|G|,) each."""
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        return scale.repeat_interleave(self.order), shift.repeat_interleave(self.order)

    def forward(self, features: Tensor) -> Tensor:
        n, planes, height, width = features.shape
        stacked = features.reshape(n, planes // self.order, self.order * height, width)
        normed = F.batch_norm(
            stacked,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
        return normed.view(features.shape)


def group_mean(features: Tensor, order: int) -> Tensor:
    """(N, C·|G|, H, W) → (N, C, H, W). Law: Φ(L_u f) = T_u Φ(f): the result turns like an image."""
    return by_element(features, order).mean(2)


def halve(features: Tensor) -> Tensor:
    """Mean over 2×2: (N, C, H, W) → (N, C, ⌊H/2⌋, ⌊W/2⌋). Law: Φ(T_u f) = T_u Φ(f) for even H and W.

    Rows, then columns: forward and backward take a third of the time of avg_pool2d on a CPU with channels first.
    """
    height, width = (size // 2 * 2 for size in features.shape[-2:])
    rows = features[..., 0:height:2, :width] + features[..., 1:height:2, :width]
    return 0.25 * (rows[..., 0::2] + rows[..., 1::2])


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
