"""The cells of a slide that an analysis scores, and what the others show."""

from typing import Literal

import numpy as np

from core.database.slides import Slide
from core.pixels import tissue
from core.slides import catalog

Tissue = Literal["auto", "all"]


def cell_mask(slide: Slide, choice: Tissue) -> tissue.Mask:
    """bool (rows, cols) of the grid: the cells of tissue found at inspection ("auto"), or every cell ("all")."""
    blocks = _block_kinds(slide)
    return tissue.cell_mask(blocks == tissue.Kind.TISSUE) if choice == "auto" else tissue.all_cells(blocks)


def cell_kinds(slide: Slide) -> tissue.Kinds:
    """uint8 (rows, cols) of the grid: what each cell shows, as `tissue.Kind`."""
    return tissue.cell_kinds(_block_kinds(slide))


def _block_kinds(slide: Slide) -> tissue.Kinds:
    frame = catalog.info_of(slide).frame()
    shape = (frame.y.cells - 1, frame.x.cells - 1)  # one block of the stored mask lies between four cells
    return np.frombuffer(slide.tissue or b"", np.uint8).reshape(shape)
