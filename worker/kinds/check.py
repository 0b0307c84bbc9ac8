"""Runs the rotation check on one sampled region."""

from core.analyses import states
from core.analyses.parts import CheckResult
from core.database.transactions import writing
from core.errors import ReaderEnded, SlideRejected
from core.heatmap import grid
from core.slides import scale
from core.work import leases
from model.checks import drift, rotation_check
from worker.compute.findings import NOT_A_NUMBER
from worker.compute.region_retry import Pixels, read_with_retry
from worker.kinds.records import slide_and_analysis
from worker.life.lease_keeper import LeaseKeeper
from worker.offers import Served
from worker.readers import reader_of


def check(claim: leases.Claim, lease: LeaseKeeper, served: Served) -> None:
    """Turn a region by elements of the network's own group, and store how far the answers differ, in logits."""
    slide, analysis = slide_and_analysis(claim)
    info, payload = scale.info_of_analysis(analysis, slide), dict(claim.payload)
    seed = payload.pop("seed")
    try:
        pixels: Pixels | None = read_with_retry(lambda: reader_of(slide), info, grid.RegionImage(**payload))
    except (ReaderEnded, SlideRejected):
        pixels = None  # the band with these cells reads them in the same way, and reports them as unread
    lease.advance()
    measured = _turned(served, pixels, seed) if pixels is not None else NOTHING_TURNED
    with writing() as session:
        states.complete_part(session, claim, measured)


NOTHING_TURNED = CheckResult(
    drift=0.0, residual=0.0, tolerance=rotation_check.TOLERANCE, elements=(), spread=None, outside=()
)


def _turned(served: Served, pixels: Pixels, seed: int) -> CheckResult:
    """Residual under the network's own group, and the spread under a view outside it."""
    group = served.network.group
    own, others = rotation_check.sample_elements(group, seed), rotation_check.sample_outside(group, seed)
    spread = rotation_check.residual(served.checked, pixels, others) if others else None
    return CheckResult(
        drift=_storable(drift.drift(served.network, served.reference, pixels[None])),
        residual=_storable(rotation_check.residual(served.checked, pixels, own)),
        tolerance=rotation_check.TOLERANCE,
        elements=tuple(str(rotation_check.P4M.elements[g]) for g in own),
        spread=None if spread is None else _storable(spread),
        outside=tuple(str(rotation_check.P4M.elements[g]) for g in others),
    )


def _storable(difference: float) -> float:
    """JSON has no infinity: a difference that is not finite is stored as a number far above every tolerance."""
    return min(difference, NOT_A_NUMBER)
