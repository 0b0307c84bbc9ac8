"""The tissue mask, computed in the network frame so that it turns with the slide.

The slide is averaged over blocks of 16×16 network pixels; a block is tissue where its saturation is over Otsu's
threshold of the slide (never under a floor, so that bare glass stays glass) and it is not black. A cell's 32×32 px are
the four blocks that meet at its centre; it is tissue when any of them is.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
SATURATION_FLOOR = 12  # of 255: glass with its scanner's tint stays under it
DARKEST = 24


def saturation(blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """HSV saturation 0..255 of (rows, cols, 3), integer arithmetic throughout."""
    high, low = _brightest(blocks), np.minimum(np.minimum(blocks[..., 0], blocks[..., 1]), blocks[..., 2])
    spread = np.uint16(255) * (high - low)  # 65,025 at most
    share: NDArray[np.uint8] = (spread // np.maximum(high, 1)).astype(np.uint8)
    return share


def _brightest(blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest of a block's three channels."""
    return np.maximum(np.maximum(blocks[..., 0], blocks[..., 1]), blocks[..., 2])


def otsu(values: NDArray[np.uint8]) -> int:
    """The threshold t (values > t are foreground) that parts the histogram best (Otsu 1979); lowest of ties."""
    counts = np.bincount(values.ravel(), minlength=256).astype(np.float64)
    below, total = np.cumsum(counts), counts.sum()
    moment = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (moment[-1] * below / total - moment) ** 2 / (below * (total - below))
    return int(np.nanargmax(np.where(np.isfinite(between), between, -1)))


def block_mask(blocks: NDArray[np.uint8]) -> Mask:
    """(rows, cols, 3) block means → bool (rows, cols)."""
    values = saturation(blocks)
    threshold = max(otsu(values), SATURATION_FLOOR)
    mask: Mask = (values > threshold) & (_brightest(blocks) > DARKEST)
    return mask


def cell_mask(blocks: Mask) -> Mask:
    """(R, C) blocks → (R + 1, C + 1) cells: any of the four blocks that meet at the cell's centre."""
    padded = np.pad(blocks, 1)
    return padded[:-1, :-1] | padded[:-1, 1:] | padded[1:, :-1] | padded[1:, 1:]


def all_cells(blocks: Mask) -> Mask:
    return np.ones((blocks.shape[0] + 1, blocks.shape[1] + 1), bool)
