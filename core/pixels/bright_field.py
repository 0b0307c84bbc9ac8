"""Decides whether a picture of a slide is of transmitted light (bright field), by its pixels.

Light that passes glass and tissue is bright wherever nothing absorbs it. Fluorescence is dark wherever nothing glows.
The rules ask for evidence of fluorescence, not for evidence of H&E: brown (IHC), blue and dark tissue, a slide that
tissue covers, blank glass, and black borders around a bright picture all count as bright field.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

WHITE, DARK = 255, 24  # pure white is what was not scanned; a pixel whose largest channel is at most DARK is unlit
DARK_SHARE, PURE = 0.30, 0.25  # fluorescence: this share is unlit, and lit pixels are of one channel or two
BRIGHT, BRIGHT_ON_DARK, LEAST_BRIGHT = 50, 70, 0.10  # luminance (Rec. 601) that this share of the lit pixels reaches
MOST_CHROMA, GREY_SHARE = 2, 0.999  # a picture without colour
STRUCTURE, STRUCTURE_SHARE = 200, 0.05  # blank glass is grey too, but has no structure
Light = Literal["bright-field", "dark", "grey"]


def light_of(pixels: NDArray[np.uint8]) -> Light:
    """Returns what lights an overview of a slide. Args: pixels: uint8 (height, width, 3).

    - dark: fewer than a tenth of the lit pixels reach luminance 50 (70 where at least 30 % of the scanned pixels are
      unlit), or at least 30 % are unlit and half of the lit ones have a smallest channel below a quarter of their
      largest.
    - grey: the three channels are equal, and the picture is more than blank glass.
    """
    flat = pixels.reshape(-1, 3).astype(np.int16)
    scanned = flat[(flat != WHITE).any(1)]
    if not len(scanned):
        return "bright-field"
    largest, smallest = scanned.max(1), scanned.min(1)
    lit = largest > DARK
    luminance = scanned @ np.array([0.299, 0.587, 0.114])
    has_darkness = (~lit).mean() >= DARK_SHARE
    if not lit.any() or (luminance[lit] >= (BRIGHT_ON_DARK if has_darkness else BRIGHT)).mean() < LEAST_BRIGHT:
        return "dark"
    if has_darkness and np.median(smallest[lit] / largest[lit]) < PURE:
        return "dark"
    has_structure = (luminance < STRUCTURE).mean() >= STRUCTURE_SHARE
    is_grey = (largest - smallest <= MOST_CHROMA).mean() >= GREY_SHARE
    return "grey" if is_grey and has_structure else "bright-field"
