"""The rows that a claim names."""

from core.database.analyses import Analysis
from core.database.slides import Slide
from core.database.transactions import reading
from core.work import leases


def load(held: leases.Claim) -> tuple[Slide, Analysis | None]:
    with reading() as session:
        slide = session.get_one(Slide, held.slide_id)
        return slide, session.get(Analysis, held.analysis_id) if held.analysis_id else None
