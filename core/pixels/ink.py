"""Recognises ink: pen, dye and paper whose colour no stain of a bright-field slide has.

Stains absorb by the law of Beer and Lambert, so thicker tissue is darker, not only more vivid. Haematoxylin, eosin
and their mixtures leave green the lowest channel or close to it. DAB leaves blue the lowest and is never bright and
vivid at once. Colours outside that are ink:

* green: green is the highest channel;
* blue and cyan: vivid, with red no higher than green;
* yellow: bright and vivid, with red and green nearly alike (brown and orange may be DAB);
* red: red alone, the others below a fifth of it (red cells in a clot keep a quarter);
* black: dark and grey.

Red and pink inks as pale as eosin or blood are not told apart from them and stay tissue, which is the safe side.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.pixels.morphology import Mask, grown, opened

Plane = NDArray[np.uint8]  # (rows, cols)

VIVID = 24  # grey levels between the channels: no tinted glass reaches it
YELLOW_BRIGHT = 200  # DAB this bright is less saturated
RED_BRIGHT = 150
BLACK_BRIGHT = 90
BLACK_SPREAD = 20
GREY_SPREAD = 16
GREY_BRIGHT = 200
STROKE = 3  # blocks: the narrowest stroke, 47 µm
EDGE = 2  # blocks beside ink whose mixture with glass or tissue is still ink


def find_ink(channels: list[Plane], high: Plane, low: Plane) -> Mask:
    """Returns which blocks are ink, bool (rows, cols).

    `channels`: red, green and blue, uint8 (rows, cols) each. `high`, `low`: the highest and lowest of each block.
    """
    red, green, blue = channels
    spread = high - low
    coloured = opened(_coloured(channels, high, low, spread), STROKE)  # pigment in single blocks is no stroke
    black = opened((high <= BLACK_BRIGHT) & (spread <= BLACK_SPREAD), STROKE)
    if coloured.any():
        cold = ((red <= green) & (blue > green)) | (green == high)
        pure = (red == high) & (cv2.absdiff(green, blue) <= spread // 5)  # eosin leaves more blue than green
        coloured = _with_edge(coloured, (cold | pure) & (spread > VIVID))
    if black.any():
        black = _with_edge(black, (spread <= GREY_SPREAD) & (high <= GREY_BRIGHT))
    return coloured | black


def _coloured(channels: list[Plane], high: Plane, low: Plane, spread: Plane) -> Mask:
    red, green, blue = channels
    vivid = low <= high // 8 * 3  # a saturation of 5/8: dense haematoxylin has less, a marker 0.8
    cold = (red <= green) & (blue == high)
    azure = cv2.subtract(blue, green) <= cv2.subtract(green, red)
    mask = (green == high) & (low < high // 5 * 4)
    mask |= cold & (vivid | (azure & (low <= high // 5 * 3)))
    yellow = cv2.subtract(red, green) <= spread // 4  # a hue of 45°
    mask |= (red == high) & (blue == low) & (high >= YELLOW_BRIGHT) & vivid & yellow
    pure_red = (red >= RED_BRIGHT) & (cv2.max(green, blue) <= red // 5)
    return np.asarray(mask | pure_red, bool)


def _with_edge(strokes: Mask, candidates: Mask) -> Mask:
    """Returns strokes with the candidates that touch them, block by block: there ink mixes with what it lies on."""
    for _ in range(EDGE):
        strokes = grown(strokes, candidates, 1)
    return strokes
