"""The records that a claim names."""

from core.database.analyses import Analysis
from core.database.slides import Slide
from core.database.transactions import reading
from core.work import leases


def slide_of(claim: leases.Claim) -> Slide:
    """The slide that the work is about."""
    with reading() as session:
        return session.get_one(Slide, claim.slide_id)


def slide_and_analysis(claim: leases.Claim) -> tuple[Slide, Analysis]:
    """The slide and the analysis of a part of an analysis, as of one moment."""
    assert claim.analysis_id is not None
    with reading() as session:
        return session.get_one(Slide, claim.slide_id), session.get_one(Analysis, claim.analysis_id)
