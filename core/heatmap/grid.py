"""The grid of cells, and how it is cut into regions and bands.

A region is 512×512 network pixels, 27×27 cells; region (i, j) starts at cell (27·i, 27·j), that is at pixel 432·i,
432·j of the frame with its halo. Regions are cut from the grid alone, never from who computes them, so that any split
over any workers gives the same values. A band is a run of neighbouring regions in one row of regions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from core.pixels.frame import HALO_PX, REGION_PX, STRIDE_PX, Frame
from core.pixels.tissue import Mask

REGION_CELLS = (REGION_PX - 2 * HALO_PX) // STRIDE_PX + 1  # 27


@dataclass(frozen=True)
class Region:
    """Cells [row, row_end) × [col, col_end)."""

    row: int
    col: int
    row_end: int
    col_end: int

    @property
    def origin_net_px(self) -> tuple[int, int]:
        """(y, x) of the region's first pixel in the frame without its halo: the halo is negative."""
        return STRIDE_PX * self.row - HALO_PX, STRIDE_PX * self.col - HALO_PX


@dataclass(frozen=True)
class Band:
    """Cells [row, row_end) × [col, col_end): whole regions side by side, or what the grid's edge leaves of them."""

    row: int
    col: int
    row_end: int
    col_end: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.row_end - self.row, self.col_end - self.col

    def regions(self) -> list[Region]:
        starts = range(self.col, self.col_end, REGION_CELLS)
        return [Region(self.row, c, self.row_end, min(c + REGION_CELLS, self.col_end)) for c in starts]

    def to_dict(self) -> dict[str, int]:
        return {"row": self.row, "col": self.col, "row_end": self.row_end, "col_end": self.col_end}


def grid_shape(frame: Frame) -> tuple[int, int]:
    """(rows, cols)."""
    return frame.y.cells, frame.x.cells


def has_tissue(mask: Mask, region: Region) -> bool:
    return bool(mask[region.row : region.row_end, region.col : region.col_end].any())


def bands(mask: Mask, regions_per_band: int) -> Iterator[Band]:
    """Bands that hold every tissue cell of the mask; regions without tissue at a band's ends are left out."""
    rows, cols = mask.shape
    for row in range(0, rows, REGION_CELLS):
        row_end, run = min(row + REGION_CELLS, rows), list[Region]()
        for col in range(0, cols, REGION_CELLS):
            region = Region(row, col, row_end, min(col + REGION_CELLS, cols))
            if has_tissue(mask, region):
                run.append(region)
            if run and (not has_tissue(mask, region) or len(run) == regions_per_band):
                yield Band(row, run[0].col, row_end, run[-1].col_end)
                run = []
        if run:
            yield Band(row, run[0].col, row_end, run[-1].col_end)
