"""Sorts the slide into tissue, ink and glass, in the network frame, so that the answer turns with the slide.

The slide is averaged over blocks of 16×16 network pixels (15.6 µm). The mask is safe rather than tight: a block that
is not certainly glass and not certainly ink is tissue. Limits are absolute or relative to glass, so a pen stroke or a
vivid piece cannot hide pale tissue:

1. Glass is bright, nearly colourless and even. Its tint is measured where the scan shows glass, for the slide and then
   around each block, within limits that no stained tissue keeps.
2. Ink is coloured as no stain is, or black, over an area (`core/pixels/ink.py`).
3. The rest is tissue where its colour differs from the glass's tint, where it is darker than any glass, or where it
   varies from block to block. Faint blocks beside it and gaps of up to eight blocks inside it belong to it.
4. What differs from glass by less is unsure: left out, and listed as such.

A cell's 32×32 px are the four blocks that meet at its centre; it is tissue when any of them is.
All arithmetic is in integers, all windows are centred: the mask commutes with the eight views to the bit.
"""

import zlib
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from core.pixels.ink import find_ink
from core.pixels.morphology import Mask, closed, grown, opened

Blocks = NDArray[np.uint8]  # (rows, cols, 3): mean colours
Kinds = NDArray[np.uint8]  # values of Kind
Plane = NDArray[np.uint8]  # (rows, cols)
Sums = NDArray[np.float32]  # whole numbers

MASK_VERSION = 2  # raised when blocks change their kind: masks of before are said to be outdated
COLOURED = 8  # grey levels of colour beyond the glass's tint: eosin at a tenth of its usual density
NEUTRAL = 128  # stands for a difference of 0 between two channels
FAINT = 4  # of the same: JPEG and sensor noise of block means stay below
UNEVEN = 6  # grey levels between neighbouring blocks; glass varies by 1 or 2
DARKEST_GLASS = 160
GLASS_SPREAD = 14  # between the channels of the most tinted glass
GLASS_MAGENTA = 3  # min(R, B) − G: eosin and its mixtures have more, tinted glass has hardly any
EVEN = 4
FREQUENT = 0.05  # of the likely glass: a tint that so many blocks have
FILL = 253  # white that a scanner puts where it did not scan, after JPEG compression
TINT_STEP = 4
TINT_RADIUS = 6  # between the tint at a place and the slide's
TINT_WINDOW = 65  # blocks, 1 mm: wider than a scanner's stripe, narrower than its shading
FEWEST_GLASS = 16  # blocks that a tint is measured on
REACH = 2  # blocks
GAP = 9  # side of the closing, in blocks: wider than the largest fat cells
INK_GAP = 13  # the same for ink inside tissue: pigment, or a stroke thinner than a pen
PATCH = 5  # side of the smallest uneven area, in blocks


class Kind(IntEnum):
    """What a block or a cell shows. The stored mask holds these values; masks of 0.1 hold GLASS and TISSUE alone."""

    GLASS = 0
    TISSUE = 1
    INK = 2
    UNSURE = 3


def block_kinds(blocks: Blocks) -> Kinds:
    """Returns the kind of each block: uint8 means (rows, cols, 3) → uint8 (rows, cols)."""
    red, green, blue = channels = [np.asarray(plane, np.uint8) for plane in cv2.split(blocks)]
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    unevenness = _range(low)
    colour = _colour_beyond_glass(channels, high, low, unevenness)
    ink = find_ink(channels, high, low)
    present = opened(unevenness > UNEVEN, PATCH)  # dust and cover-slip edges are thinner
    present |= (colour > COLOURED) | (high < DARKEST_GLASS)
    faint = colour > FAINT
    present = closed(grown(present & ~ink, faint, REACH), GAP) & ~ink
    if ink.any():
        enclosed = ink & closed(present, INK_GAP)
        present, ink = present | enclosed, ink & ~enclosed
    unsure = faint & ~(present | ink)
    return present * np.uint8(Kind.TISSUE) | ink * np.uint8(Kind.INK) | unsure * np.uint8(Kind.UNSURE)


def _colour_beyond_glass(channels: list[Plane], high: Plane, low: Plane, unevenness: Plane) -> Plane:
    """Returns the spread of the channels after the glass's tint is subtracted, in grey levels: 0 is glass.

    The tint is that of bright, nearly colourless and even blocks: for the slide the least coloured of their frequent
    tints, for a place the mean of such blocks within half a millimetre that are near the slide's. A scan's shading
    moves the tint by a few levels, which pale tissue must not.
    """
    red, green, blue = channels
    differences = [_difference(red, green), _difference(blue, green)]
    glass = _likely_glass(differences, high, low, unevenness)
    if np.count_nonzero(glass) < FEWEST_GLASS:
        return high - low
    slide = _slide_tint(differences, glass)
    lowest = [np.uint8(tint - TINT_RADIUS) for tint in slide]
    above = [plane - level for plane, level in zip(differences, lowest, strict=True)]  # wraps where it is below
    for plane in above:
        glass &= plane <= 2 * TINT_RADIUS
    count = _window_sum(glass.view(np.uint8))
    tints = [_local_mean(plane, glass, count) + level for plane, level in zip(above, lowest, strict=True)]
    pairs = list(zip(differences, tints, strict=True))
    excess = cv2.max(*(cv2.subtract(plane, tint) for plane, tint in pairs))
    deficit = cv2.max(*(cv2.subtract(tint, plane) for plane, tint in pairs))
    colour = np.asarray(cv2.add(excess, deficit), np.uint8)  # green, which the differences are taken from, is at 0
    return colour * (low < FILL)


def _likely_glass(differences: list[Plane], high: Plane, low: Plane, unevenness: Plane) -> Mask:
    """Returns the bright, nearly colourless and even blocks, without the white that a scanner fills in."""
    glass = (low >= DARKEST_GLASS) & (low < FILL) & (high - low <= GLASS_SPREAD) & (unevenness <= EVEN)
    glass &= np.minimum(*differences) <= NEUTRAL + GLASS_MAGENTA
    return np.asarray(glass, bool)


def _difference(a: Plane, b: Plane) -> Plane:
    """Returns a − b, around NEUTRAL and limited to a byte: every limit on it is far inside."""
    return np.asarray(cv2.addWeighted(a, 1, b, -1, NEUTRAL), np.uint8)


def _range(plane: Plane) -> Plane:
    """Returns the highest minus the lowest of each block and its eight neighbours."""
    square = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(plane, square) - cv2.erode(plane, square), np.uint8)


def _slide_tint(planes: list[Plane], places: Mask) -> tuple[int, int]:
    """Returns the least coloured of the frequent tints: the centre of a bin of TINT_STEP levels a side.

    Paper, mucin or a pale counterstain may cover more of a slide than its glass, but it is more coloured. If it were
    taken for the glass, tissue of its colour would be left out.
    """
    bins = 256 // TINT_STEP
    counts = cv2.calcHist(planes, [0, 1], places.view(np.uint8), [bins, bins], [0, 256, 0, 256])
    frequent = np.argwhere(counts >= min(FREQUENT * counts.sum(), counts.max()))
    tints = frequent * TINT_STEP + TINT_STEP // 2
    offsets = np.column_stack([tints - NEUTRAL, np.zeros(len(tints), int)])
    row, col = tints[int(np.ptp(offsets, axis=1).argmin())]
    return int(row), int(col)


def _local_mean(plane: Plane, places: Mask, count: Sums) -> Plane:
    """Returns the mean of `plane` over `places` in a window around each block, rounded to levels.

    Sums are integers below 2²³, so their order does not matter, and the correctly rounded quotient is the same wherever
    the block lies. Windows with few such places take TINT_RADIUS, the slide's tint.
    """
    total = _window_sum(plane & -places.view(np.uint8))  # −1 is all bits
    mean = np.asarray(cv2.divide(total, count, dtype=cv2.CV_8U), np.uint8)
    np.copyto(mean, np.uint8(TINT_RADIUS), where=count < FEWEST_GLASS)
    return mean


def _window_sum(values: Plane) -> Sums:
    side = (TINT_WINDOW, TINT_WINDOW)
    sums = cv2.boxFilter(values, cv2.CV_32F, side, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(sums, np.float32)


def pack(kinds: Kinds) -> bytes:
    """Returns the stored form of a mask: zlib (RFC 1950). Megabytes in a row would slow every search over the rows."""
    return zlib.compress(kinds.tobytes(), 1)


def unpack(stored: bytes, shape: tuple[int, int]) -> Kinds:
    """Reads what `pack` wrote, or the plain bytes that version 0.1 stored; uint8 `shape`."""
    plain = stored if len(stored) == shape[0] * shape[1] else zlib.decompress(stored)
    return np.frombuffer(plain, np.uint8).reshape(shape)


def cell_kinds(blocks: Kinds) -> Kinds:
    """Returns the kind of each cell: (R, C) blocks → (R + 1, C + 1).

    A cell is tissue when any of its four blocks is; else ink, else unsure, when any is; else glass.
    """
    kinds = np.full((blocks.shape[0] + 1, blocks.shape[1] + 1), np.uint8(Kind.GLASS))
    for kind in (Kind.UNSURE, Kind.INK, Kind.TISSUE):
        kinds[cell_mask(blocks == kind)] = kind
    return kinds


def cell_mask(blocks: Mask) -> Mask:
    """Returns which cells touch the mask: (R, C) blocks → (R + 1, C + 1), any of the four at a cell's centre."""
    padded = np.pad(blocks, 1)
    return padded[:-1, :-1] | padded[:-1, 1:] | padded[1:, :-1] | padded[1:, 1:]


def all_cells(blocks: Kinds) -> Mask:
    """Returns a mask of every cell, for analyses with `tissue: all`."""
    return np.ones((blocks.shape[0] + 1, blocks.shape[1] + 1), bool)
