"""Separable area average onto a lattice, in integers, and so exact under the eight views.

An output pixel is the mean of the source pixels that it covers, or of the parts that it covers where it is smaller than
a source pixel. Its edges are moved to ticks of 1/64 source pixel, by 1/128 at most, so that it covers a whole number of
ticks of every row and column. With a its area in ticks²,

    out = ⌊ S / a + ½ ⌋,    S = Σ ticks_of_row · ticks_of_column · grey level ≤ 255·a

float32 computes this exactly for a ≤ 2¹⁶, an output pixel of up to 4×4 source pixels:

* S is an integer below 2²⁴, so sums and products are exact in any order.
* The correctly rounded quotient never reaches a half n + ½ from below. S / a differs from it by at least 1 / a where a
  is even, and by at least 1 / 2a > 2⁻¹⁷ where a is odd, and 2⁻¹⁷ is half the spacing of float32 in [128, 256).

Larger areas take float64. Hence no order of summation, no turned slide and no processor changes a bit.

Rows are averaged first, then columns, each as products of small matrices: a few output pixels times the source pixels
that they cover. Along columns the three channels lie side by side, so each weight is a 3×3 diagonal block.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Sums = NDArray[Any]  # integers in float32 or float64
TICKS = 64
AT_ONCE = 8  # output pixels in one product: more would multiply by more zeros
CHANNELS = 3
FLOAT32_TICKS2 = 2**16


@dataclass(frozen=True)
class Spans:
    """Output pixels along one axis: j covers the ticks [edges[j], edges[j + 1]), source pixel i [64 i, 64 i + 64).

    `edges`: (n + 1,), increasing.
    """

    edges: NDArray[np.int64]

    @property
    def first(self) -> int:
        """The first source pixel that an output pixel covers."""
        return int(self.edges[0]) // TICKS

    @property
    def count(self) -> int:
        """How many source pixels the output pixels cover together."""
        return -(-int(self.edges[-1]) // TICKS) - self.first

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Ticks of each output pixel, (n,)."""
        return np.diff(self.edges)

    @property
    def are_pixels(self) -> bool:
        """Whether every output pixel is one source pixel."""
        return self.edges[0] % TICKS == 0 and bool((self.lengths == TICKS).all())


def spans(centre: float, step: float, lines: NDArray[np.int64]) -> Spans:
    """Returns edges at centre + line·step, in source pixels, each on its nearest tick.

    `lines`: int64 (n + 1,), counted from the slide's centre. Opposite lines differ in their sign alone, and floating
    point and rounding half to even keep that symmetry: their ticks mirror each other about the centre's. A line has the
    same tick whichever part of the slide is read. The centre of a source of whole pixels is a multiple of ½, on a tick.
    """
    return Spans(round(TICKS * centre) + np.round(TICKS * step * lines).astype(np.int64))


def area_average(source: Pixels, rows: Spans, cols: Spans) -> Pixels:
    """Averages uint8 (rows.count, cols.count, 3) to uint8 (n_rows, n_cols, 3)."""
    if rows.are_pixels and cols.are_pixels:
        return source
    largest = int(rows.lengths.max()) * int(cols.lengths.max())
    kind: type[np.floating[Any]] = np.float32 if largest <= FLOAT32_TICKS2 else np.float64
    sums = _along_cols(_along_rows(source, rows, kind), cols, kind)
    sums /= np.outer(rows.lengths, np.repeat(cols.lengths, CHANNELS)).astype(kind)
    sums += 0.5  # the cast truncates, so this rounds halves up, as ⌊x + ½⌋ does
    return sums.astype(np.uint8).reshape(len(rows.lengths), len(cols.lengths), CHANNELS)


def covered(axis: Spans) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns, for every AT_ONCE output pixels, their first source pixel and the weights of the pixels from there on.

    Shapes: int64 (m,), and ticks int64 (m, AT_ONCE, k). Output pixels that pad the last group have weights of 0.
    """
    edges = np.pad(axis.edges, (0, -len(axis.lengths) % AT_ONCE), mode="edge")
    low, high = edges[:-1].reshape(-1, AT_ONCE, 1), edges[1:].reshape(-1, AT_ONCE, 1)
    first = low[:, 0, 0] // TICKS
    k = int((-(-high[:, -1, 0] // TICKS) - first).max())
    pixel = TICKS * (first[:, None, None] + np.arange(k))
    return first - axis.first, (np.minimum(high, pixel + TICKS) - np.maximum(low, pixel)).clip(0)


def _along_rows(source: Pixels, rows: Spans, kind: type[np.floating[Any]]) -> Sums:
    """(rows.count, width, 3) → (n_rows, width · 3)."""
    flat = source.reshape(len(source), -1)
    out: Sums = np.empty((len(rows.lengths), flat.shape[1]), kind)
    for number, (first, weights) in enumerate(zip(*covered(rows), strict=True)):
        part = out[number * AT_ONCE : (number + 1) * AT_ONCE]
        here: Sums = flat[first : first + weights.shape[1]].astype(kind)
        np.matmul(weights[: len(part), : len(here)].astype(kind), here, out=part)
    return out


def _along_cols(sums: Sums, cols: Spans, kind: type[np.floating[Any]]) -> Sums:
    """(height, cols.count · 3) → (height, n_cols · 3)."""
    out: Sums = np.empty((len(sums), CHANNELS * len(cols.lengths)), kind)
    firsts, weights = covered(cols)
    spread: Sums = np.zeros((len(weights), weights.shape[2], CHANNELS, AT_ONCE, CHANNELS), kind)
    for channel in range(CHANNELS):
        spread[:, :, channel, :, channel] = weights.transpose(0, 2, 1)
    # The channels lie side by side in a row, so a weight is a 3×3 diagonal block and one product serves all three.
    matrices = spread.reshape(len(weights), CHANNELS * weights.shape[2], CHANNELS * AT_ONCE)
    for number, (first, matrix) in enumerate(zip(CHANNELS * firsts, matrices, strict=True)):
        start = number * CHANNELS * AT_ONCE
        part, here = out[:, start : start + CHANNELS * AT_ONCE], sums[:, first : first + len(matrix)]
        np.matmul(here, matrix[: here.shape[1], : part.shape[1]], out=part)
    return out
