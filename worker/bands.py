"""From a region's pixels to its cells' values."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from core.grid import Band, Region
from core.heatmap import Values
from core.tissue import Mask
from model.dense import infer
from model.frozen import Frozen
from worker.region_loader import Pixels


@dataclass(frozen=True)
class BandValues:
    """Calibrated logits of a band (NaN where there is no tissue or no pixels) and the tissue cells not read."""

    values: Values
    unreadable: int


def band_values(
    network: Frozen,
    temperature: float,
    band: Band,
    mask: Mask,
    loaded: Iterable[tuple[Region, Pixels | None]],
    advance: Callable[[], None],
) -> BandValues:
    """Run the network over a band's regions; `advance` is called after each."""
    values = np.full(band.shape, np.nan, np.float32)
    unreadable = 0
    for region, pixels in loaded:
        wanted = mask[region.row : region.row_end, region.col : region.col_end]
        if pixels is None:
            unreadable += int(wanted.sum())
        else:
            logits = infer(network, pixels[None])[0] / np.float32(temperature)
            part = np.where(wanted, logits, np.float32(np.nan))
            values[:, region.col - band.col : region.col_end - band.col] = part
        advance()
    return BandValues(values, unreadable)
