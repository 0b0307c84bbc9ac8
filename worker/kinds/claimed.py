"""The rows that a claim names."""

from core.database.analyses import Analysis
from core.database.slides import Slide
from core.database.transactions import reading
from core.work import leases


def load(claim: leases.Claim) -> tuple[Slide, Analysis | None]:
    with reading() as session:
        slide = session.get_one(Slide, claim.slide_id)
        return slide, session.get(Analysis, claim.analysis_id) if claim.analysis_id else None
