"""The cells of a slide that an analysis scores."""

from typing import Literal

import numpy as np

from core.database.slides import Slide
from core.pixels import tissue
from core.slides import catalog

Tissue = Literal["auto", "all"]


def cell_mask(slide: Slide, choice: Tissue) -> tissue.Mask:
    """bool (rows, cols) of the grid: the cells of tissue found at inspection ("auto"), or every cell ("all")."""
    frame = catalog.info_of(slide).frame()
    shape = (frame.y.cells - 1, frame.x.cells - 1)  # one block of the stored mask lies between four cells
    blocks = np.frombuffer(slide.tissue or b"", np.uint8).reshape(shape).astype(bool)
    return tissue.cell_mask(blocks) if choice == "auto" else tissue.all_cells(blocks)
