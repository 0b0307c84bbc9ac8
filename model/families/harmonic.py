"""Harmonic Network (Worrall et al. 2017): complex streams that turn with a known phase.

A stream of order m is a complex feature map that a turn of the image by θ moves and multiplies by e^{imθ}. A filter
R(r) e^{i(nφ + β)} takes a stream of order m to order m + n (eq. 6–8 of the paper), and every order has an invariant
magnitude. Here every channel holds one stream of order 0 and one of order 1, as four real planes

    (re₀, im₀, re₁, im₁)

and a filter between orders a → b is Σ_j w_j 1_j(r) e^{i(b−a)φ}, one complex weight w_j a distinct radius (the paper has
a real R_j and one phase β a filter). Where b ≠ a the centre tap is zero. Non-linearities act on magnitudes alone.

Exact at quarter turns, measured between them. No mirrors: a mirror would conjugate the streams, and the phases do not.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from model.families.circular import Complex, exact_rings, wave
from model.groups.convolution import BankConv2d
from model.groups.filter_bank import combine

ORDERS = (0, 1)
PLANES = 2 * len(ORDERS)


def complex_filters(k: int, n: int) -> Complex:
    """The filters that raise the order by n, (2·radii, k, k): one of a real weight and one of an imaginary a radius."""
    rings = exact_rings(k) if n == 0 else exact_rings(k)[1:]  # no angle at the centre, so no order there
    return np.concatenate([rings * wave(k, n), 1j * rings * wave(k, n)])


def real_block(filters: Complex) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Complex multiplication as a real 2×2 block: (functions, k, k) → (functions, 2, 2, k, k), axes (out, in)."""
    rows = [np.stack([filters.real, -filters.imag], 1), np.stack([filters.imag, filters.real], 1)]
    return np.stack(rows, 1)


@lru_cache
def lifting_basis(k: int) -> Tensor:
    """Basis from a real image (order 0) to both orders: (functions, 4, 1, k, k) float64."""
    parts = []
    for b in ORDERS:
        block = real_block(complex_filters(k, b))[:, :, :1]  # the image has no imaginary part
        part = np.zeros((len(block), PLANES, 1, k, k))
        part[:, 2 * b : 2 * b + 2] = block
        parts.append(part)
    return torch.from_numpy(np.concatenate(parts))


@lru_cache
def stream_basis(k: int) -> Tensor:
    """Basis from both orders to both: (functions, 4, 4, k, k) float64; 20 functions for k = 3, 4 for k = 1."""
    parts = []
    for a in ORDERS:
        for b in ORDERS:
            block = real_block(complex_filters(k, b - a))
            part = np.zeros((len(block), PLANES, PLANES, k, k))
            part[:, 2 * b : 2 * b + 2, 2 * a : 2 * a + 2] = block
            parts.append(part)
    return torch.from_numpy(np.concatenate(parts))


class HarmonicConv2d(BankConv2d):
    """Image → streams, or streams → streams, by the basis. Law: Φ(L_u f) = L_u Φ(f) for quarter turns u."""

    basis: Tensor

    def __init__(self, in_channels: int, out_channels: int, basis: Tensor) -> None:
        super().__init__()
        self.register_buffer("basis", basis.float(), persistent=False)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, len(basis)))
        # He initialisation for a basis that is not normalised: 2 / fan-in, with the basis' energy an output plane.
        energy = float(basis.square().sum()) / basis.shape[1]
        nn.init.normal_(self.weight, std=math.sqrt(2 / (in_channels * energy)))

    def bank(self) -> Tensor:
        """The filters of an ordinary convolution, (out·4, in or in·4, k, k)."""
        return combine(self.weight, self.basis)


def squared_magnitudes(streams: Tensor, eps: float = 1e-8) -> Tensor:
    """|stream|² + ε of (N, C·4, H, W), (N, C·2, H, W); ε keeps the gradient of the root finite at zero."""
    n, _, *size = streams.shape
    real, imaginary = streams.reshape(n, -1, 2, *size).unbind(2)  # (N, C·2, H, W) each
    return torch.addcmul(real * real, imaginary, imaginary) + eps


def magnitudes(streams: Tensor) -> Tensor:
    """|stream| of (N, C·4, H, W), (N, C·2, H, W): the invariants."""
    return squared_magnitudes(streams).sqrt()


class MagnitudeNorm(nn.Module):
    """Batch norm and ReLU of the magnitudes, which leave the phases alone (the paper's §4.1 and its C-ReLU).

    X → ReLU(norm |X|) · X / |X|. Law: Φ(L_u f) = L_u Φ(f).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels * len(ORDERS))

    def forward(self, streams: Tensor) -> Tensor:
        """(N, C·4, H, W) → the same shape."""
        square = squared_magnitudes(streams)  # (N, C·2, H, W)
        # A real gain ≥ 0 leaves the phase of each stream as it is.
        gain = torch.relu(self.norm(square.sqrt())) * square.rsqrt()  # (N, C·2, H, W)
        n, _, *size = streams.shape
        return (streams.reshape(n, -1, 2, *size) * gain[:, :, None]).reshape(streams.shape)
