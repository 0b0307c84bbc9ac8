"""Lifting and group convolution (Cohen & Welling 2016, §6.1, eq. 10 and 11).

    lifting   [f ⋆ ψ](s, x) = Σ_y Σ_k f_k(y) ψ_k(s⁻¹(y − x))                        ℤ² → G
    group     [f ⋆ ψ](s, x) = Σ_t Σ_y Σ_k f_k(t, y) ψ_k(s⁻¹ t, s⁻¹(y − x))          G → G

Both are one plain convolution with a bank of transformed filters (`model.groups.filter_bank`), so they run on the
ordinary kernels. Each class states its law; tests/model/groups checks it in float64 for every group.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.groups.filter_bank import expand, group_index, lifting_index
from model.groups.group import Group


class BankConv2d(nn.Module, ABC):
    """A convolution without bias or padding whose filter bank is computed from fewer parameters (`weight`).

    Padding would show the network where the border is. A bias would be redundant, since a norm with a shift follows.
    """

    weight: nn.Parameter

    @abstractmethod
    def bank(self) -> Tensor:
        """The filters of an ordinary convolution, (out planes, in planes, k, k)."""

    def forward(self, planes: Tensor) -> Tensor:
        """(N, in planes, H, W) → (N, out planes, H − k + 1, W − k + 1)."""
        return F.conv2d(planes, self.bank())


class LiftingConv2d(BankConv2d):
    """ℤ² → G (eq. 10): (N, in, H, W) → (N, out·|G|, H − k + 1, W − k + 1). Law: Φ(T_u f) = L_u Φ(f)."""

    index: Tensor

    def __init__(self, group: Group, in_channels: int, out_channels: int, k: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, k, k))
        self.register_buffer("index", lifting_index(group, k), persistent=False)  # follows from group and k
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def bank(self) -> Tensor:
        """The |G| transformed copies of each filter, (out·|G|, in, k, k)."""
        return expand(self.weight, self.index)


class GroupConv2d(BankConv2d):
    """G → G (eq. 11): (N, in·|G|, H, W) → (N, out·|G|, H − k + 1, W − k + 1). Law: Φ(L_u f) = L_u Φ(f)."""

    index: Tensor

    def __init__(self, group: Group, in_channels: int, out_channels: int, k: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, len(group), k, k))
        self.register_buffer("index", group_index(group, k), persistent=False)  # follows from group and k
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def bank(self) -> Tensor:
        """The |G| transformed and permuted copies of each filter, (out·|G|, in·|G|, k, k)."""
        return expand(self.weight, self.index)
