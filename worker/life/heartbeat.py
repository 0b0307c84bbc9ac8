"""The heartbeat: a worker process writes now and then which networks it offers, and that it lives."""

from functools import partial

from core.database.analyses import Worker
from core.database.transactions import clock, writing
from core.reader.client import reader_confinement
from core.settings import get_settings
from worker.life.rounds import Rounds
from worker.offers import Offer, Serving


def start(serving: Serving) -> None:
    """Beat four times within the silence after which a worker counts as gone, so that three may be lost."""
    Rounds("heartbeat", [partial(beat, serving)], lambda: get_settings().worker_silent_seconds / 4).start()


def beat(serving: Serving) -> None:
    """Write the process's rows, one a network that it offers."""
    confinement = list(reader_confinement())  # before the transaction: it may start a process
    with writing() as session:
        for offer in serving.good_offers():
            session.merge(_row(serving.worker, offer, clock(session), confinement))


def _row(worker: str, offer: Offer, seen_at: float, confinement: list[str]) -> Worker:
    card = {key: value for key, value in offer.card.__dict__.items() if key != "golden"}
    card |= {"calibration": offer.card.calibration(), "reader_held_by": confinement}
    return Worker(
        id=worker,
        model=offer.card.name,
        fingerprint=offer.fingerprint,
        provenance=offer.provenance,
        card=card,
        seen_at=seen_at,
    )
