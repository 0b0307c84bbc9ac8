"""From a region's pixels to its cells' values."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from core.analyses.results import UnreadRegion
from core.analyses.statements import Reason
from core.errors import QuarterturnError
from core.heatmap.grid import Band, Region
from core.heatmap.planes import Values
from core.pixels.tissue import Mask
from model.inference.dense import infer_with_features
from model.inference.staging import InFlight, Staging
from worker.compute.region_loader import Pixels
from worker.offers import Served

NOTHING = np.float32(np.nan)


class NotFinite(QuarterturnError):
    """The network answered with NaN or infinity: broken weights, a broken build or an overflow."""

    def __init__(self, broken: int, cells: int) -> None:
        detail = f"the network's answer for {broken} of {cells} tissue cells of a region is not a finite number"
        super().__init__("not-finite", detail, "check the worker's weights and installation")


@dataclass(frozen=True)
class BandValues:
    """Calibrated logits and strangeness of a band (NaN where there is no tissue or no pixels), and what was not read.

    `seconds`: spent in the networks, and waiting for pixels.
    """

    values: Values
    strangeness: Values | None
    unread: tuple[UnreadRegion, ...]
    seconds: dict[str, float]


def band_values(
    served: Served,
    band: Band,
    mask: Mask,
    loaded: Iterable[tuple[Region, Pixels | InFlight | QuarterturnError]],
    staging: Staging,
    advance: Callable[[], None],
) -> BandValues:
    """Run the network over a band's regions, which `staging` sent; `advance` is called after each.

    Raises:
        NotFinite: the network's answer for a tissue cell is not a finite number.
    """
    values, strange = (np.full(band.shape, np.nan, np.float32) for _ in range(2))
    unread, seconds, mark = list[UnreadRegion](), {"network": 0.0, "waiting": 0.0}, time.perf_counter()
    for region, pixels in loaded:
        mark = _spent(seconds, "waiting", mark)
        tissue = mask[region.row : region.row_end, region.col : region.col_end]
        if isinstance(pixels, QuarterturnError):
            unread.append(_unread(region, int(tissue.sum()), pixels))
        else:
            columns = slice(region.col - band.col, region.col_end - band.col)
            there = staging.receive(pixels)
            logits, pooled = infer_with_features(served.network, there)
            values[:, columns] = _of_tissue(logits[0] / np.float32(served.card.temperature), tissue)
            if served.familiarity is not None:
                strange[:, columns] = _of_tissue(served.familiarity.strangeness(there, pooled)[0], tissue)
        mark = _spent(seconds, "network", mark)
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


def _unread(region: Region, cells: int, error: QuarterturnError) -> UnreadRegion:
    why = Reason(code=error.code, detail=error.detail, action=error.action)
    return UnreadRegion(**region.__dict__, cells=cells, reason=why)


def _spent(seconds: dict[str, float], what: str, since: float) -> float:
    """Add the time since a mark; the new mark."""
    now = time.perf_counter()
    seconds[what] += now - since
    return now
