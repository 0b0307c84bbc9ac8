"""Planes of cell values: compressed in a band's row, assembled over the grid, converted to scores.

The stored value is the calibrated logit (float32). A score saturates in float32 where its logit does not, and comparing
two runs or two views of a slide needs all digits. The score is σ(logit) = 1 / (1 + e^−logit). NaN: not analysed.
"""

import io
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.heatmap.grid import Band

Values = NDArray[np.float32]
NOT_ANALYSED = 255


def pack(values: Values) -> bytes:
    """Compresses values: float32 little-endian, row by row, zlib (RFC 1950)."""
    return zlib.compress(np.ascontiguousarray(values, dtype="<f4").tobytes(), 1)


def unpack(blob: bytes, shape: tuple[int, int]) -> Values:
    """Reads what `pack` wrote."""
    return np.frombuffer(zlib.decompress(blob), dtype="<f4").reshape(shape)


def assemble(shape: tuple[int, int], parts: Iterable[tuple[Band, bytes]]) -> Values:
    """Returns the grid's values, float32 `shape`; NaN where no band has one."""
    grid = np.full(shape, np.nan, np.float32)
    for band, blob in parts:
        grid[band.row : band.row_end, band.col : band.col_end] = unpack(blob, band.shape)
    return grid


def to_scores(logits: Values) -> Values:
    """Returns the logistic function of each logit, computed in float64 and rounded once; NaN stays NaN."""
    # exp overflows to infinity for logits below −709, and 1 / (1 + ∞) = 0 is the right score.
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)


def to_uint8(scores: Values) -> NDArray[np.uint8]:
    """Returns 0..254 for scores 0..1 and 255 for not analysed, as the viewer colours them."""
    analysed = np.isfinite(scores)
    out = np.full(scores.shape, NOT_ANALYSED, np.uint8)
    # 254 steps: 255 is NOT_ANALYSED.
    out[analysed] = np.round(scores[analysed] * 254).astype(np.uint8)
    return out


def to_npy(array: NDArray[np.generic]) -> bytes:
    """Returns an array in NumPy's .npy format, version 1.0, which states shape and dtype."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()
