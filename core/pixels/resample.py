"""Separable area average onto a lattice, in whole numbers, and so exact under the eight views.

An output pixel is the mean of what it covers. Its edges lie on ticks of 1/64 source pixel (moved there by 1/128 at
most), so that it covers a whole number of ticks of every row and of every column. With a the ticks² of its area,

    out = ⌊ (Σ ticks_of_row · ticks_of_column · grey level) / a + ½ ⌋

where the sum is a whole number of at most 255·a. For a ≤ 2¹⁶ (an output pixel of up to 4×4 source pixels) float32 holds
it exactly, being below 2²⁴, and its division, which is rounded correctly, takes no quotient for the half next to it: of
even a that is 1/a away at least, of odd a < 2¹⁶ more than 2⁻¹⁷, half of what float32 can tell below 256. float64 goes
far beyond. Hence no order of summation, no turned slide and no processor changes a bit.

Rows first, then columns, each as products of small matrices: some output pixels times the source pixels that they
cover. Along columns the three channels lie side by side, so there each weight stands on a 3×3 diagonal.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Sums = NDArray[Any]  # whole numbers in float32 or float64
TICKS = 64
AT_ONCE = 8
CHANNELS = 3
FLOAT32_TICKS2 = 2**16


@dataclass(frozen=True)
class Spans:
    """Output pixel j covers the ticks [edges[j], edges[j + 1]) along an axis of the source, pixel i [64 i, 64 i + 64).

    `edges`: (n + 1,), increasing.
    """

    edges: NDArray[np.int64]

    @property
    def first(self) -> int:
        """The first source pixel that is covered."""
        return int(self.edges[0]) // TICKS

    @property
    def count(self) -> int:
        """How many source pixels are covered."""
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
    """Edges at centre + line·step, in source pixels, each on its nearest tick.

    `lines`: (n + 1,) whole numbers, counted from the slide's centre. A line and the one opposite differ in nothing but
    the sign, in floating point and in rounding too; so their ticks mirror each other about the centre's, and a line has
    the same tick whichever part of the slide is asked for. The centre of a source of whole pixels lies on a tick.
    """
    return Spans(round(TICKS * centre) + np.round(TICKS * step * lines).astype(np.int64))


def area_average(source: Pixels, rows: Spans, cols: Spans) -> Pixels:
    """uint8 (rows.count, cols.count, 3) → uint8 (n_rows, n_cols, 3)."""
    if rows.are_pixels and cols.are_pixels:
        return source
    largest = int(rows.lengths.max()) * int(cols.lengths.max())
    kind: type[np.floating[Any]] = np.float32 if largest <= FLOAT32_TICKS2 else np.float64
    sums = _along_cols(_along_rows(source, rows, kind), cols, kind)
    sums /= np.outer(rows.lengths, np.repeat(cols.lengths, CHANNELS)).astype(kind)
    sums += 0.5
    return sums.astype(np.uint8).reshape(len(rows.lengths), len(cols.lengths), CHANNELS)


def covered(of: Spans) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every AT_ONCE output pixels: their first source pixel (m,), and the ticks that each covers of the pixels
    from there on (m, AT_ONCE, k); output pixels that fill up the last ones cover none."""
    edges = np.pad(of.edges, (0, -len(of.lengths) % AT_ONCE), mode="edge")
    low, high = edges[:-1].reshape(-1, AT_ONCE, 1), edges[1:].reshape(-1, AT_ONCE, 1)
    first = low[:, 0, 0] // TICKS
    k = int((-(-high[:, -1, 0] // TICKS) - first).max())
    pixel = TICKS * (first[:, None, None] + np.arange(k))
    return first - of.first, (np.minimum(high, pixel + TICKS) - np.maximum(low, pixel)).clip(0)


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
    matrices = spread.reshape(len(weights), CHANNELS * weights.shape[2], CHANNELS * AT_ONCE)
    for number, (first, matrix) in enumerate(zip(CHANNELS * firsts, matrices, strict=True)):
        start = number * CHANNELS * AT_ONCE
        part, here = out[:, start : start + CHANNELS * AT_ONCE], sums[:, first : first + len(matrix)]
        np.matmul(here, matrix[: here.shape[1], : part.shape[1]], out=part)
    return out
