"""Computes a profile: score against angle at one cell."""

import numpy as np

from core.analyses.parts import Profile
from core.analyses.results import to_stored
from core.database.transactions import writing
from core.errors import Unavailable
from core.heatmap import planes as heatmap
from core.pixels.frame import STRIDE_PX
from core.slides import scale
from core.work import leases
from model.checks.profile import WINDOW_PX, angle_profile
from worker.compute.bands import NotFinite
from worker.compute.region_retry import network_pixels
from worker.kinds.records import slide_and_analysis
from worker.life.lease_keeper import LeaseKeeper
from worker.offers import Served
from worker.readers import reader_of


def profile(claim: leases.Claim, lease: LeaseKeeper, served: Served) -> None:
    """Score a cell's patch at every angle, with the weights that made the heat map.

    Any machine may do it: a profile is no part of the heat map, so its bits need not match.

    Raises:
        Unavailable: this worker has other weights of that name. NotFinite: the network's answer is no number.
    """
    slide, analysis = slide_and_analysis(claim)
    made_by = (analysis.provenance or {}).get("weights_sha256")
    if made_by != served.card.digest:
        detail = f"the analysis was made with weights {str(made_by)[:12]}, this worker has {served.card.digest[:12]}"
        raise Unavailable("other-weights", detail, "analyse the slide again")  # another worker may have them
    info, row, col = scale.info_of_analysis(analysis, slide), claim.payload["row"], claim.payload["col"]
    half = WINDOW_PX // 2
    origin = (STRIDE_PX * row - half, STRIDE_PX * col - half)
    window = network_pixels(reader_of(slide), info, origin, (WINDOW_PX, WINDOW_PX))
    lease.advance()
    angles, logits = angle_profile(served.network, window)
    if not np.isfinite(logits).all():
        raise NotFinite(int((~np.isfinite(logits)).sum()), len(logits), "views of a cell")
    scores = heatmap.to_scores(served.card.calibrate(logits))
    result = Profile(
        angles_deg=tuple(angles),
        scores=tuple(float(score) for score in scores),
        row=row,
        col=col,
        spread=float(np.ptp(scores)),
    )
    with writing() as session:
        leases.complete(session, claim, to_stored(result))
