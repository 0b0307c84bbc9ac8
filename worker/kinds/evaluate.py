"""Compares analyses with the outlines that people drew."""

from core.database.transactions import reading, writing
from core.marks import evaluations
from core.work import leases
from worker.life.lease_keeper import LeaseKeeper
from worker.offers import Served


def evaluate(claim: leases.Claim, lease: LeaseKeeper, _: Served) -> None:
    """Measure slide by slide, then store the figure over all of them."""
    slides = []
    for analysis_id in claim.payload["analyses"]:
        with reading() as session:
            slides.append(evaluations.measure(session, analysis_id, claim.payload))
        lease.advance()
    figure = evaluations.sum_up(slides, claim.payload)
    with writing() as session:
        leases.complete(session, claim, figure)
