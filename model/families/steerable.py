"""Steerable-filter CNN (Weiler, Hamprecht & Storath 2018): eight orientations of filters made of circular harmonics.

A filter is ψ = Re Σ_{j,m} w_jm τ_j(r) e^{imφ}. Its phases turn it by any angle, with no resampling, so the
stabilizer is C8, the eighth turns, where p4 has quarter turns only. With mirrors it is D8 (Weiler & Cesa 2019), where
p4m has D4. An element is ε^s μ^m, ε an eighth turn counter-clockwise and μ the left-right mirror, which comes first;
its index is 8m + s.

    lifting:  bank[g](y)    = ψ(g⁻¹ y)
    group:    bank[g](h, y) = ψ[g⁻¹ h](g⁻¹ y)

Exact for quarter turns and mirrors, which map the pixel grid onto itself. Between them the angular functions are exact
and the grid is not, so equivariance there is measured.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from model.families.circular import Real, gaussian_rings, wave
from model.groups.convolution import BankConv2d
from model.groups.filter_bank import combine

ORIENTATIONS = 8
MOST_ORDER = 2  # a ring of eight pixels carries e^{imφ} without aliasing up to m = 3; 2 leaves room for the profile


def relative(mirrors: int) -> Tensor:
    """The index of g⁻¹h, (|G|, |G|) by (g, h). `mirrors`: 1 for C8, 2 for D8.

    With με = ε⁻¹μ: (ε^s μ^m)⁻¹ (ε^t μ^n) = ε^((−1)^m (t − s)) μ^(m + n).
    """
    index = torch.arange(ORIENTATIONS * mirrors)
    s, m = index % ORIENTATIONS, index // ORIENTATIONS
    turns = (1 - 2 * m[:, None]) * (s[None] - s[:, None])
    return (m[:, None] + m[None]) % 2 * ORIENTATIONS + turns % ORIENTATIONS


def oriented_basis(k: int, s: int, mirror: int = 0) -> Real:
    """The real basis filters, mirrored where `mirror` is 1, then turned by 45°·s: (functions, k, k).

    There is 1 function for k = 1 and 6 for k = 3. Ring j has the orders 0 … min(2j, 2); each order m > 0 gives a real
    and an imaginary part. The mirror maps φ to π − φ, so it multiplies cos mφ by (−1)^m, sin mφ by −(−1)^m.
    """
    theta, functions = s * 2 * math.pi / ORIENTATIONS, []
    for j, ring in enumerate(gaussian_rings(k)):
        for order in range(min(2 * j, MOST_ORDER) + 1):
            turned = ring * wave(k, order, theta)
            sign = (-1) ** (order * mirror)
            functions += [turned.real] if order == 0 else [sign * turned.real, sign * (1 - 2 * mirror) * turned.imag]
    stacked: Real = np.stack(functions)
    stacked /= np.linalg.norm(stacked, axis=(1, 2), keepdims=True)  # so that one initial scale suits all
    return stacked


@lru_cache
def lifting_basis(k: int, mirrors: int = 1) -> Tensor:
    """Basis from an image to the elements: (functions, |G|, 1, k, k) float64. `mirrors`: 1 for C8, 2 for D8."""
    moved = [oriented_basis(k, s, m) for m in range(mirrors) for s in range(ORIENTATIONS)]
    return torch.from_numpy(np.stack(moved, 1)[:, :, None])


@lru_cache
def group_basis(k: int, mirrors: int = 1) -> Tensor:
    """Basis between elements, (|G| · functions, |G|, |G|, k, k) float64: function (u, b) is b where g⁻¹h = u."""
    lifted, source = lifting_basis(k, mirrors)[:, :, 0], relative(mirrors)  # (b, g, k, k), (g, h)
    order = len(source)
    basis = lifted.new_zeros(order, len(lifted), order, order, k, k)
    for g in range(order):
        for h in range(order):
            basis[source[g, h], :, g, h] = lifted[:, g]
    return basis.flatten(0, 1)


class SteerableConv2d(BankConv2d):
    """ℤ² → G, or G → G, by the basis. Law: Φ(L_u f) = L_u Φ(f) for the elements u that map the grid onto itself."""

    basis: Tensor

    def __init__(self, in_channels: int, out_channels: int, basis: Tensor) -> None:
        super().__init__()
        self.register_buffer("basis", basis.float(), persistent=False)
        self.weight = torch.nn.Parameter(torch.empty(out_channels, in_channels, len(basis)))
        # He initialisation: the basis has unit norm, so the fan-in is its number of functions times the channels.
        torch.nn.init.normal_(self.weight, std=math.sqrt(2 / (in_channels * len(basis))))

    def bank(self) -> Tensor:
        """The filters of an ordinary convolution, (out·8, in or in·8, k, k)."""
        return combine(self.weight, self.basis)
