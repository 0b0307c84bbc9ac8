"""The tissue mask, computed in the network frame, so that it turns with the slide.

The slide is averaged over blocks of 16×16 network pixels. A block is tissue where its saturation exceeds Otsu's
threshold of the slide and it is not black. The threshold has a floor: on a slide of bare glass Otsu would split noise.
A cell's 32×32 px are the four blocks that meet at its centre; it is tissue when any of them is.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
SATURATION_FLOOR = 12  # of 255: glass with a scanner's tint stays below
DARKEST = 24


def saturation(blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns HSV saturation, ⌊255·(max − min) / max⌋, uint8 (rows, cols) of (rows, cols, 3).

    Integers throughout: no rounding mode or order of operations changes a value.
    """
    high, low = _brightest(blocks), np.minimum(np.minimum(blocks[..., 0], blocks[..., 1]), blocks[..., 2])
    spread = np.uint16(255) * (high - low)  # 65,025 at most
    share: NDArray[np.uint8] = (spread // np.maximum(high, 1)).astype(np.uint8)
    return share


def _brightest(blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the largest of each block's three channels."""
    return np.maximum(np.maximum(blocks[..., 0], blocks[..., 1]), blocks[..., 2])


def otsu(values: NDArray[np.uint8]) -> int:
    """Returns the threshold t (values > t are foreground) of the largest variance between classes; of ties the lowest.

    σ²(t) = (μ·ω(t) − μ(t))² / (ω(t)·(1 − ω(t))), Otsu 1979, IEEE Trans. SMC 9(1), equation 18. Here in counts
    rather than shares ω = counts / total, whose factors of total cancel.
    """
    # Counts and moments are integers below 2⁵³, which float64 adds exactly in any order.
    counts = np.bincount(values.ravel(), minlength=256).astype(np.float64)
    below, total = np.cumsum(counts), counts.sum()
    moment = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0 / 0 where one class is empty: no threshold there. The first maximum is the lowest t, whatever the order.
        between = (moment[-1] * below / total - moment) ** 2 / (below * (total - below))
    return int(np.nanargmax(np.where(np.isfinite(between), between, -1)))


def block_mask(blocks: NDArray[np.uint8]) -> Mask:
    """Returns which blocks are tissue: uint8 means (rows, cols, 3) → bool (rows, cols)."""
    values = saturation(blocks)
    threshold = max(otsu(values), SATURATION_FLOOR)
    mask: Mask = (values > threshold) & (_brightest(blocks) > DARKEST)
    return mask


def cell_mask(blocks: Mask) -> Mask:
    """Returns which cells are tissue: (R, C) blocks → (R + 1, C + 1), any of the four at a cell's centre."""
    padded = np.pad(blocks, 1)  # cells on the frame's edge have blocks on one side only; outside is no tissue
    return padded[:-1, :-1] | padded[:-1, 1:] | padded[1:, :-1] | padded[1:, 1:]


def all_cells(blocks: Mask) -> Mask:
    """Returns a mask of every cell, for analyses with `tissue: all`."""
    return np.ones((blocks.shape[0] + 1, blocks.shape[1] + 1), bool)
