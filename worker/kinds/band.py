"""Scores the cells of one band."""

from contextlib import closing

import numpy as np

from core.analyses import states
from core.analyses.mask import cell_mask
from core.analyses.parts import BandResult
from core.database.transactions import writing
from core.heatmap import grid
from core.heatmap import planes as heatmap
from core.slides import scale
from core.work import leases
from model.inference.staging import Staging
from worker.compute.bands import band_values
from worker.compute.region_loader import AHEAD, RegionLoader
from worker.kinds.records import slide_and_analysis
from worker.life.lease_keeper import LeaseKeeper
from worker.offers import Served
from worker.readers import reader_of


def band(claim: leases.Claim, lease: LeaseKeeper, served: Served) -> None:
    """Read the band's regions ahead of the network, score their tissue cells, and store both planes with the row."""
    slide, analysis = slide_and_analysis(claim)
    info, place = scale.info_of_analysis(analysis, slide), grid.Band(**claim.payload)
    mask = cell_mask(slide, analysis.settings["tissue"])
    regions = [region for region in place.regions() if grid.has_tissue(mask, region)]
    staging = Staging(served.device, AHEAD + 2)  # those that wait, the one that is read, the one that is computed
    loader = RegionLoader(lambda: reader_of(slide), info, regions, staging.send)
    with closing(iter(loader)) as regions_read:  # a fault ends the reading thread before the row is released
        done = band_values(served, place, mask, regions_read, staging, lease.advance)
    seconds = {**done.seconds, "reading": loader.seconds}
    planes = {"values": heatmap.pack(done.values)}
    if done.strangeness is not None:
        planes["strangeness"] = heatmap.pack(done.strangeness)
    result = BandResult(
        cells=int(np.isfinite(done.values).sum()),
        unreadable=sum(region.cells for region in done.unread),
        unread=done.unread,
        seconds=seconds,
    )
    with writing() as session:
        states.complete_part(session, claim, result, planes)
