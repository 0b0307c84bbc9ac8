"""Assembles an analysis from its parts and decides how it ends."""

import numpy as np

from core.analyses import parts, states
from core.analyses.mask import cell_kinds
from core.database.analyses import Analysis
from core.database.slides import Slide
from core.database.transactions import reading, writing
from core.pixels.levels import SlideInfo
from core.pixels.tissue import Kind
from core.settings import get_settings
from core.slides import scale
from core.work import leases
from worker.compute import findings
from worker.kinds.records import slide_and_analysis
from worker.life.lease_keeper import LeaseKeeper
from worker.offers import Served


def finish(claim: leases.Claim, _: LeaseKeeper, served: Served) -> None:
    """Put the parts together: the analysis succeeds, succeeds with withheld results, or fails."""
    slide, analysis = slide_and_analysis(claim)
    info = scale.info_of_analysis(analysis, slide)
    assembled = _assemble(slide, analysis, info)
    results = findings.gather(assembled, info, slide.identifiers, analysis.settings["threshold"], served)
    failure = findings.why_failed(results)
    limits = get_settings().most_unfamiliar, served.card.scope["organ"]
    with writing() as session:
        if failure is None:
            states.succeed(session, claim, results, findings.why_withheld(assembled.logits, results, *limits))
        else:
            locked = states.lock(session, analysis.id)
            leases.complete(session, claim)
            states.fail(session, locked, failure)


def _assemble(slide: Slide, analysis: Analysis, info: SlideInfo) -> findings.Assembled:
    with reading() as session:
        logits = parts.plane(session, analysis, info)
        strangeness = parts.plane(session, analysis, info, "strangeness")
        bands = [parts.band_result(row) for row in parts.band_rows(session, analysis.id)]
        checks = parts.check_results(session, analysis.id)
    # Glass is unlike any training patch. With tissue: all it is analysed, but it must not count as unfamiliar tissue.
    kinds = cell_kinds(slide)
    on_tissue = np.where(kinds == Kind.TISSUE, strangeness, np.float32(np.nan))
    every_cell = analysis.settings["tissue"] == "all"
    return findings.Assembled(logits, on_tissue, kinds, every_cell, bands, checks)
