"""From a region's pixels to its cells' values."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from core.heatmap.grid import Band, Region
from core.heatmap.planes import Values
from core.pixels.tissue import Mask
from model.inference.dense import infer_with_features
from model.inference.staging import InFlight, Staging
from worker.compute.region_loader import Pixels
from worker.offers import Served

NOTHING = np.float32(np.nan)


@dataclass(frozen=True)
class BandValues:
    """Calibrated logits of a band (NaN where there is no tissue or no pixels), strangeness, tissue cells not read.

    `seconds`: spent in the networks, and waiting for pixels.
    """

    values: Values
    strangeness: Values | None
    unreadable: int
    seconds: dict[str, float]


def band_values(
    served: Served,
    band: Band,
    mask: Mask,
    loaded: Iterable[tuple[Region, Pixels | InFlight | None]],
    staging: Staging,
    advance: Callable[[], None],
) -> BandValues:
    """Run the network over a band's regions, which `staging` sent; `advance` is called after each."""
    values, strange = (np.full(band.shape, np.nan, np.float32) for _ in range(2))
    unreadable, seconds, mark = 0, {"network": 0.0, "waiting": 0.0}, time.perf_counter()
    for region, pixels in loaded:
        mark = _spent(seconds, "waiting", mark)
        wanted = mask[region.row : region.row_end, region.col : region.col_end]
        if pixels is None:
            unreadable += int(wanted.sum())
        else:
            columns = slice(region.col - band.col, region.col_end - band.col)
            there = staging.receive(pixels)
            logits, pooled = infer_with_features(served.network, there)
            values[:, columns] = np.where(wanted, logits[0] / np.float32(served.card.temperature), NOTHING)
            if served.familiarity is not None:
                strange[:, columns] = np.where(wanted, served.familiarity.strangeness(there, pooled)[0], NOTHING)
        mark = _spent(seconds, "network", mark)
        advance()
    return BandValues(values, None if served.familiarity is None else strange, unreadable, seconds)


def _spent(seconds: dict[str, float], what: str, since: float) -> float:
    """Add the time since a mark; the new mark."""
    now = time.perf_counter()
    seconds[what] += now - since
    return now
