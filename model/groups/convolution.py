"""Equivariant layers on feature maps over Z² × stabilizer. Each states its law; tests/model checks it in float64.

A feature map is a tensor (N, C·|G|, H, W) with (channel, element) flattened. The group moves it by

    (L_u f)(s, x) = f(u⁻¹ s, u⁻¹ x)           turn every plane by u, permute the planes by u        (`act`)

and a layer Φ is equivariant when Φ(L_u f) = L_u Φ(f) for every u (Cohen & Welling 2016, §4–6).
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.groups.filter_bank import expand, group_index, lifting_index
from model.groups.group import Group


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
