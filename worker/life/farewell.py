"""A worker that is asked to end (SIGTERM) finishes what it does, and ends. What it has not finished after
QUARTERTURN_STOP_SECONDS is given back, without counting the attempt: whoever computes it sees that the row is no longer
its own, and stops there (worker.life.lease). Nobody waits for a lease to run out.

Celery's pool waits without end for a task whose process stands still or was killed: then the worker is ended by force.
"""

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from billiard import active_children
from celery.signals import worker_shutting_down
from sqlalchemy.exc import DBAPIError

from core.settings import get_settings
from core.work import leases
from worker.offers import process_name

AGAIN_SECONDS, PATIENCE_SECONDS = 0.5, 20.0
log = logging.getLogger(__name__)


@worker_shutting_down.connect  # type: ignore[untyped-decorator] # celery ships no types
def begin(**_: Any) -> None:
    """In the worker's parent, when the signal has come."""
    threading.Thread(target=end, name="farewell", daemon=True).start()


def end() -> None:
    """Usually the process has ended by itself before this has."""
    time.sleep(get_settings().stop_seconds)
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        give_back()
        time.sleep(AGAIN_SECONDS)
    log.warning("the pool waits for what comes no more; all is given back, and the worker ends")
    for child in active_children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    give_back()
    os._exit(0)


def give_back() -> None:
    """What the pool still holds; asked again and again, since a message that waits in it makes it claim anew."""
    for child in active_children():
        try:
            leases.release_all(process_name(child.pid))
        except DBAPIError as error:
            log.warning("the database is away (%s); leases run out by themselves", type(error).__name__)
