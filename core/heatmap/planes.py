"""Cell values on their way: compressed in a band's row, assembled over the grid, turned into scores.

The record is the calibrated logit (float32): scores saturate in float32 and logits do not, and comparing two runs or
two views of a slide needs all digits. The score is its logistic function. NaN: not analysed.
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
    """float32 little-endian, row by row, deflated."""
    return zlib.compress(np.ascontiguousarray(values, dtype="<f4").tobytes(), 1)


def unpack(blob: bytes, shape: tuple[int, int]) -> Values:
    return np.frombuffer(zlib.decompress(blob), dtype="<f4").reshape(shape)


def assemble(shape: tuple[int, int], parts: Iterable[tuple[Band, bytes]]) -> Values:
    """The grid's logits; NaN where no band has a value."""
    grid = np.full(shape, np.nan, np.float32)
    for band, blob in parts:
        grid[band.row : band.row_end, band.col : band.col_end] = unpack(blob, band.shape)
    return grid


def to_scores(logits: Values) -> Values:
    """The logistic function, in float64 and rounded once; NaN stays NaN."""
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)


def to_uint8(scores: Values) -> NDArray[np.uint8]:
    """0..254 for scores 0..1, 255 for not analysed: for the viewer."""
    known = np.isfinite(scores)
    out = np.full(scores.shape, NOT_ANALYSED, np.uint8)
    out[known] = np.round(scores[known] * 254).astype(np.uint8)
    return out


def to_npy(array: NDArray[np.generic]) -> bytes:
    """NumPy's .npy format, version 1.0: shape and dtype travel with the values."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()
