"""The cells of a slide that an analysis scores, and what the others show."""

from typing import Literal

from core.database.analyses import Analysis
from core.database.slides import Slide
from core.errors import Conflict
from core.pixels import tissue
from core.pixels.morphology import Mask
from core.slides import catalog

Tissue = Literal["auto", "all"]
MASK = "mask_version"  # key in Analysis.settings


def cell_mask(slide: Slide, choice: Tissue) -> Mask:
    """bool (rows, cols) of the grid: the cells of tissue found at inspection ("auto"), or every cell ("all")."""
    blocks = _block_kinds(slide)
    return tissue.cell_mask(blocks == tissue.Kind.TISSUE) if choice == "auto" else tissue.all_cells(blocks)


def cell_kinds(slide: Slide) -> tissue.Kinds:
    """uint8 (rows, cols) of the grid: what each cell shows, as `tissue.Kind`."""
    return tissue.cell_kinds(_block_kinds(slide))


def require_own_mask(analysis: Analysis, slide: Slide) -> None:
    """Refuses to go on with an analysis whose slide has a mask by other rules now: its bands cover other cells.

    Raises:
        Conflict: the mask was made again since.
    """
    if analysis.settings.get(MASK, 1) != catalog.info_of(slide).mask_version:
        detail = "the slide's tissue mask was made again since the analysis was requested"
        raise Conflict("made-with-another-mask", detail, "request a new analysis of the slide")


def _block_kinds(slide: Slide) -> tissue.Kinds:
    frame = catalog.info_of(slide).frame()
    return tissue.unpack(slide.tissue or b"", (frame.y.cells - 1, frame.x.cells - 1))  # a block lies between four cells
