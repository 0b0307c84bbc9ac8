"""Separable area average onto a lattice, exact under the eight views.

An output pixel is the mean of what it covers, each source pixel weighted by the covered share. Both passes run in
float64 and are rounded once, half up with a hair's allowance, so that ties fall the same way in every view although
sums run in another order.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
AT_ONCE = 16
TIE = 1e-7  # far above float64's error here (1e-11), far below a grey level


@dataclass(frozen=True)
class Taps:
    """For each output pixel: which source pixels (n, k) it covers and with which weights (n, k)."""

    first: int
    count: int
    index: NDArray[np.int64]
    weight: NDArray[np.float64]


def taps(start: float, step: float, count: int) -> Taps:
    """Output pixel j covers [start + j·step, start + (j + 1)·step] of the source, where pixel i is [i, i + 1]."""
    edges = start + step * np.arange(count + 1)
    nearest = np.round(edges)
    edges = np.where(np.abs(edges - nearest) < 1e-6, nearest, edges)  # lattices that meet, meet exactly
    low, high = edges[:-1], edges[1:]
    lowest = np.floor(low).astype(np.int64)
    k = int((np.ceil(high).astype(np.int64) - lowest).max())
    index = lowest[:, None] + np.arange(k)
    covered = np.minimum(high[:, None], index + 1) - np.maximum(low[:, None], index)
    weight = np.clip(covered, 0, None) / (high - low)[:, None]
    first = int(lowest[0])
    return Taps(first, int(index.max()) + 1 - first, index - first, weight)


def along_rows(values: NDArray[Any], rows: Taps) -> NDArray[np.float64]:
    """Weighted sums of the rows, in float64: (count, …) → (n, …).

    Some output rows at a time: a small matrix of their weights times the source rows that they cover.
    """
    flat = values.reshape(len(values), -1)
    out = np.empty((len(rows.index), flat.shape[1]))
    for start in range(0, len(out), AT_ONCE):
        index, weight = rows.index[start : start + AT_ONCE], rows.weight[start : start + AT_ONCE]
        low = index[0, 0]
        matrix = np.zeros((len(index), int(index.max()) + 1 - low))
        matrix[np.arange(len(index))[:, None], index - low] = weight
        covered = flat[low : low + matrix.shape[1]].astype(np.float64)
        np.matmul(matrix[:, : len(covered)], covered, out=out[start : start + AT_ONCE])
    return out.reshape(-1, *values.shape[1:])


def area_average(source: Pixels, rows: Taps, cols: Taps) -> Pixels:
    """uint8 (rows.count, cols.count, 3) → uint8 (n_rows, n_cols, 3)."""
    if _is_identity(rows) and _is_identity(cols):
        return source
    tall = along_rows(source, rows)
    wide = along_rows(tall.transpose(1, 0, 2), cols).transpose(1, 0, 2)
    return np.floor(wide + (0.5 + TIE)).clip(0, 255).astype(np.uint8)


def _is_identity(axis: Taps) -> bool:
    whole = np.array_equal(axis.index[:, 0], np.arange(len(axis.index)))
    return whole and axis.count == len(axis.index) and bool((axis.weight[:, 0] == 1).all())
