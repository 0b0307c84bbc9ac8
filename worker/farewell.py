"""A worker that is asked to end (SIGTERM) finishes what it does, and ends. What it has not finished after
QUARTERTURN_STOP_SECONDS is given back, without counting the attempt: whoever computes it sees that the row is no longer
its own, and stops there (worker.lease). Nobody waits for a lease to run out.
"""

import logging
import threading
import time
from typing import Any

from billiard import active_children
from celery.signals import worker_shutting_down
from sqlalchemy.exc import DBAPIError

from core import work
from core.settings import get_settings
from worker.network import process_name

AGAIN_SECONDS = 0.5
log = logging.getLogger(__name__)


@worker_shutting_down.connect  # type: ignore[untyped-decorator] # celery ships no types
def begin(**_: Any) -> None:
    """In the worker's parent, when the signal has come."""
    threading.Thread(target=give_back, name="farewell", daemon=True).start()


def give_back() -> None:
    """What the pool still holds, again and again: a message that waits in it makes it claim anew."""
    time.sleep(get_settings().stop_seconds)
    while children := active_children():
        for child in children:
            try:
                work.release_all(process_name(child.pid))
            except DBAPIError as error:
                log.warning("the database is away (%s); leases run out by themselves", type(error).__name__)
        time.sleep(AGAIN_SECONDS)
