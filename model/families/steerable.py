"""Steerable-filter CNN (Weiler, Hamprecht & Storath 2018): eight orientations of filters made of circular harmonics.

A filter is ψ = Re Σ_{j,m} w_jm τ_j(r) e^{imφ}. Its phases turn it by any angle, with no resampling, so the
stabilizer is C8, the eighth turns, where p4 has quarter turns only:

    lifting:  bank[s](y)    = ψ(s⁻¹ y)                  s, t in 0..7: a turn by 45°·s
    group:    bank[s](t, y) = ψ[t − s](s⁻¹ y)

Exact at quarter turns, which map the pixel grid onto itself. Between them the angular functions are exact and the grid
is not, so equivariance there is measured. No mirrors.
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


def oriented_basis(k: int, s: int) -> Real:
    """The real basis filters turned by 45°·s, (functions, k, k): 1 for k = 1, 6 for k = 3.

    Ring j has the orders 0 … min(2j, 2); each order m > 0 gives a real and an imaginary part.
    """
    theta, functions = s * 2 * math.pi / ORIENTATIONS, []
    for j, ring in enumerate(gaussian_rings(k)):
        for order in range(min(2 * j, MOST_ORDER) + 1):
            turned = ring * wave(k, order, theta)
            functions += [turned.real] if order == 0 else [turned.real, turned.imag]
    stacked: Real = np.stack(functions)
    stacked /= np.linalg.norm(stacked, axis=(1, 2), keepdims=True)  # so that one initial scale suits all
    return stacked


@lru_cache
def lifting_basis(k: int) -> Tensor:
    """Basis from an image to eight orientations: (functions, 8, 1, k, k) float64."""
    turned = [oriented_basis(k, s) for s in range(ORIENTATIONS)]
    return torch.from_numpy(np.stack(turned, 1)[:, :, None])


@lru_cache
def group_basis(k: int) -> Tensor:
    """Basis between orientations: (8 · functions, 8, 8, k, k) float64; function (u, b) is b where t − s = u, else 0."""
    lifted = lifting_basis(k)[:, :, 0]  # (b, s, k, k)
    basis = lifted.new_zeros(ORIENTATIONS, len(lifted), ORIENTATIONS, ORIENTATIONS, k, k)
    for s in range(ORIENTATIONS):
        for u in range(ORIENTATIONS):
            basis[u, :, s, (s + u) % ORIENTATIONS] = lifted[:, s]
    return basis.flatten(0, 1)


class SteerableConv2d(BankConv2d):
    """ℤ² → C8, or C8 → C8, by the basis. Law: Φ(L_u f) = L_u Φ(f) for quarter turns u."""

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
