"""The grid of cells, and how it is cut into region images (windows read at once) and bands (pieces of work).

A region image is 512×512 network pixels. With a stride of 16 and a halo of 48 px it holds (512 − 96)/16 + 1 = 27×27
cells. Region image (i, j) starts at cell (27·i, 27·j), that is at pixel (432·i, 432·j) of the frame with its halo. A
convolution's rounding may depend on the shape of its input, so region images are cut from the grid alone, whatever
worker computes them: any split of the work gives the same bits. A band is a run of neighbouring region images in one
row of them. A *region* of the results is something else: connected cells above the threshold (core.heatmap.regions).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from core.pixels.frame import HALO_PX, REGION_PX, STRIDE_PX, Frame
from core.pixels.morphology import Mask

REGION_CELLS = (REGION_PX - 2 * HALO_PX) // STRIDE_PX + 1  # 27
Affine = tuple[float, float, float, float, float, float]


def affine_to_l0(frame: Frame) -> Affine:
    """Returns the heat map's affine (a, b, c, d, e, f), from cells to level-0 pixels.

    Cell (row, col) is centred at x_l0 = a·col + b·row + c, y_l0 = d·col + e·row + f. Cell (0, 0) is centred on the
    frame's corner, network coordinate (0, 0).
    """
    return (STRIDE_PX * frame.x.scale, 0.0, frame.x.to_l0(0), 0.0, STRIDE_PX * frame.y.scale, frame.y.to_l0(0))


@dataclass(frozen=True)
class RegionImage:
    """The place of a region image: cells [row, row_end) × [col, col_end)."""

    row: int
    col: int
    row_end: int
    col_end: int

    @property
    def origin_net_px(self) -> tuple[int, int]:
        """(y, x) of the region image's first pixel in the frame without its halo; pixels of the halo are negative."""
        return STRIDE_PX * self.row - HALO_PX, STRIDE_PX * self.col - HALO_PX


@dataclass(frozen=True)
class Band:
    """Cells [row, row_end) × [col, col_end): region images side by side, cut off at the grid's edge."""

    row: int
    col: int
    row_end: int
    col_end: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.row_end - self.row, self.col_end - self.col

    def regions(self) -> list[RegionImage]:
        """Returns the band's region images, from left to right."""
        starts = range(self.col, self.col_end, REGION_CELLS)
        return [RegionImage(self.row, c, self.row_end, min(c + REGION_CELLS, self.col_end)) for c in starts]

    def to_dict(self) -> dict[str, int]:
        return {"row": self.row, "col": self.col, "row_end": self.row_end, "col_end": self.col_end}


def grid_shape(frame: Frame) -> tuple[int, int]:
    """Returns (rows, cols)."""
    return frame.y.cells, frame.x.cells


def has_tissue(mask: Mask, region: RegionImage) -> bool:
    """Whether any cell of a region image is tissue."""
    return bool(mask[region.row : region.row_end, region.col : region.col_end].any())


def bands(mask: Mask, regions_per_band: int) -> Iterator[Band]:
    """Yields bands that together contain every tissue cell of a mask.

    A band is a run of region images that all have tissue, of at most `regions_per_band`.
    """
    rows, cols = mask.shape
    for row in range(0, rows, REGION_CELLS):
        row_end, run = min(row + REGION_CELLS, rows), list[RegionImage]()
        for col in range(0, cols, REGION_CELLS):
            region = RegionImage(row, col, row_end, min(col + REGION_CELLS, cols))
            if has_tissue(mask, region):
                run.append(region)
            # A region image without tissue ends the run: reading and computing it would give no value.
            if run and (not has_tissue(mask, region) or len(run) == regions_per_band):
                yield Band(row, run[0].col, row_end, run[-1].col_end)
                run = []
        if run:
            yield Band(row, run[0].col, row_end, run[-1].col_end)
