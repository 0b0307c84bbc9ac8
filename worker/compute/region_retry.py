"""Reads the pixels of a region, and once more with a new reader where the first one ended."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.errors import ReaderEnded, ReaderKilled
from core.heatmap.grid import RegionImage
from core.pixels.frame import HALO_PX, STRIDE_PX
from core.pixels.levels import SlideInfo
from core.pixels.sampling import sample
from core.reader.client import Reader
from core.settings import get_settings

Pixels = NDArray[np.uint8]


def network_pixels(reader: Reader, info: SlideInfo, origin: tuple[int, int], shape: tuple[int, int]) -> Pixels:
    """uint8 (rows, cols, 3) from network pixel `origin` (y, x), read as the settings say."""
    scaled = get_settings().reading == "scaled"
    return sample(reader.region, info.sources(scaled), info.frame(), origin, shape)


def region_pixels(reader: Reader, info: SlideInfo, region: RegionImage) -> Pixels:
    """uint8 (H, W, 3): all network pixels that the region's cells see, the halo included."""
    rows = STRIDE_PX * (region.row_end - region.row - 1) + 2 * HALO_PX
    cols = STRIDE_PX * (region.col_end - region.col - 1) + 2 * HALO_PX
    return network_pixels(reader, info, region.origin_net_px, (rows, cols))


def read_with_retry(open_reader: Callable[[], Reader], info: SlideInfo, region: RegionImage) -> Pixels:
    """The pixels of a region, as `region_pixels`. A reader that ended is replaced once: the file need not be the cause.

    Raises:
        ReaderEnded: two readers ended on this region. SlideRejected: the file is the cause. MachineFault.
    """
    try:
        return region_pixels(open_reader(), info, region)
    except (ReaderEnded, ReaderKilled):
        return region_pixels(open_reader(), info, region)
