"""A worker process says what it can run, and that it lives, in its row."""

import logging
import threading

from sqlalchemy.exc import DBAPIError

from core.database import clock, writing
from core.records import Worker
from core.settings import get_settings
from worker.network import Served

log = logging.getLogger(__name__)


class Heartbeat(threading.Thread):
    """Writes the worker's row now and then for as long as the process lives."""

    def __init__(self, served: Served) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._served = served
        self._pause = threading.Event()

    def beat(self) -> None:
        with writing() as session:
            me, card = self._served, self._served.card
            known = {key: value for key, value in card.__dict__.items() if key != "golden"}
            row = Worker(
                id=me.worker,
                model=card.name,
                fingerprint=me.fingerprint,
                provenance=me.provenance,
                card=known,
                seen_at=clock(session),
            )
            session.merge(row)

    def run(self) -> None:
        while True:
            try:
                self.beat()
            except DBAPIError as error:
                log.warning("the database is away (%s)", type(error).__name__)
            self._pause.wait(get_settings().worker_silent_seconds / 4)
