"""Turns region images into the values of a band's cells."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from core.analyses.results import UnreadRegionImage
from core.analyses.statements import Reason
from core.errors import QuarterturnError
from core.heatmap.grid import Band, RegionImage
from core.heatmap.planes import Values
from core.pixels.morphology import Mask
from model.inference.dense import infer_with_features
from model.inference.staging import InFlight, Staging
from worker.compute.region_loader import Unread
from worker.compute.region_retry import Pixels
from worker.offers import Served

NOTHING = np.float32(np.nan)


class NotFinite(QuarterturnError):
    """The network answered with NaN or infinity: broken weights, a broken build or an overflow."""

    def __init__(self, broken: int, count: int, inputs: str = "tissue cells of a region") -> None:
        detail = f"the network's answer for {broken} of {count} {inputs} is not a finite number"
        action = "check the worker's weights and installation"
        super().__init__("not-finite", detail, action, broken=broken, count=count)


@dataclass(frozen=True)
class BandValues:
    """Calibrated logits and strangeness of a band (NaN where there is no tissue or no pixels), and what was not read.

    `seconds`: spent in the networks, and waiting for pixels.
    """

    values: Values
    strangeness: Values | None
    unread: tuple[UnreadRegionImage, ...]
    seconds: dict[str, float]


def band_values(
    served: Served,
    band: Band,
    mask: Mask,
    loaded: Iterable[tuple[RegionImage, Pixels | InFlight | Unread]],
    staging: Staging,
    advance: Callable[[], None],
) -> BandValues:
    """Run the network over a band's regions.

    Args:
        mask: bool, the tissue cells of the whole grid; the others are computed with their region and dropped.
        loaded: each region with its pixels on their way to the device (`staging` sent them), or why it was not read.
        advance: called after each region.

    Raises:
        NotFinite: the network's answer for a tissue cell is not a finite number.
    """
    values, strange = (np.full(band.shape, np.nan, np.float32) for _ in range(2))
    unread, seconds, mark = list[UnreadRegionImage](), {"network": 0.0, "waiting": 0.0}, time.perf_counter()
    for region, pixels in loaded:
        mark = _add_seconds(seconds, "waiting", mark)
        tissue = mask[region.row : region.row_end, region.col : region.col_end]
        if isinstance(pixels, Unread):
            unread.append(_unread(region, int(tissue.sum()), pixels))
        else:
            # The band is one region high, so a region fills all its rows.
            columns = slice(region.col - band.col, region.col_end - band.col)
            on_device = staging.receive(pixels)
            logits, pooled = infer_with_features(served.network, on_device)
            values[:, columns] = _of_tissue(served.card.calibrate(logits[0]), tissue)
            if served.familiarity is not None:
                strange[:, columns] = _of_tissue(served.familiarity.strangeness(on_device, pooled)[0], tissue)
        mark = _add_seconds(seconds, "network", mark)
        advance()
    return BandValues(values, None if served.familiarity is None else strange, tuple(unread), seconds)


def _of_tissue(answer: Values, tissue: Mask) -> Values:
    """The answer's values at tissue cells, NaN elsewhere.

    NaN means "not analysed" from here on: a NaN that the network computed would pass for a cell that was never read,
    and an analysis could succeed without a single score.

    Raises:
        NotFinite: the value of a tissue cell is not a finite number.
    """
    broken = int((tissue & ~np.isfinite(answer)).sum())
    if broken:
        raise NotFinite(broken, int(tissue.sum()))
    return np.where(tissue, answer, NOTHING)


def _unread(region: RegionImage, cells: int, error: Unread) -> UnreadRegionImage:
    return UnreadRegionImage(**region.__dict__, cells=cells, reason=Reason.from_error(error))


def _add_seconds(seconds: dict[str, float], activity: str, since: float) -> float:
    """Add the time since a mark to an activity, and return the new mark."""
    now = time.perf_counter()
    seconds[activity] += now - since
    return now
