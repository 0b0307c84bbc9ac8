"""Opening, closing and dilation of masks by a square: whole-number operations that commute with the eight views."""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def opened(mask: Mask, side: int) -> Mask:
    """Returns the parts of a mask that are at least `side` places wide."""
    if not mask.any():
        return mask  # most slides have no ink
    return cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, _square(side)).view(bool)


def closed(mask: Mask, side: int) -> Mask:
    """Returns the mask with its gaps of less than `side` places filled.

    Nothing lies beyond the edge: a gap that is open to the edge stays open.
    """
    padded = np.pad(mask.view(np.uint8), side)
    filled = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _square(side))
    return filled[side:-side, side:-side].view(bool)


def grown(mask: Mask, candidates: Mask, reach: int) -> Mask:
    """Returns the mask with the candidates that lie within `reach` places of it."""
    near = cv2.dilate(mask.view(np.uint8), _square(2 * reach + 1)).view(bool)
    return mask | (near & candidates)


def _square(side: int) -> NDArray[np.uint8]:
    return np.ones((side, side), np.uint8)
