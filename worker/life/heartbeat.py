"""A worker process says what it can run, and that it lives, in its row."""

import logging
import threading

from sqlalchemy.exc import DBAPIError

from core.database.analyses import Worker
from core.database.transactions import clock, writing
from core.reader.client import reader_confinement
from core.settings import get_settings
from worker.offers import Offer, Serving

log = logging.getLogger(__name__)


class Heartbeat(threading.Thread):
    """Writes the worker's rows, one a model, now and then for as long as the process lives."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._serving = serving
        self._pause = threading.Event()

    def beat(self) -> None:
        held_by = list(reader_confinement())  # before the transaction: it starts a process now and then
        with writing() as session:
            for offer in self._serving.good_offers():
                session.merge(self._row(offer, clock(session), held_by))

    def _row(self, offer: Offer, seen_at: float, held_by: list[str]) -> Worker:
        known = {key: value for key, value in offer.card.__dict__.items() if key != "golden"}
        known["calibration"] = offer.card.calibration()
        known["reader_held_by"] = held_by
        return Worker(
            id=self._serving.worker,
            model=offer.card.name,
            fingerprint=offer.fingerprint,
            provenance=offer.provenance,
            card=known,
            seen_at=seen_at,
        )

    def run(self) -> None:
        while True:
            try:
                self.beat()
            except DBAPIError as error:
                log.warning("the database is away (%s)", type(error).__name__)
            self._pause.wait(get_settings().worker_silent_seconds / 4)
