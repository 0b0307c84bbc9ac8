"""Ends a worker that was asked to (SIGTERM): it finishes its rows, and releases those that take too long.

After QUARTERTURN_STOP_SECONDS unfinished rows are released without counting the attempt. Their tokens rise, so whoever
still computes one loses its lease and stops, and another worker claims it at once instead of waiting for the lease to
run out. Celery's pool waits for ever for a task whose process hangs or was killed, so in the end this ends the process.
"""

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

from billiard import active_children
from celery.signals import worker_shutting_down

from core.settings import get_settings
from core.work import leases
from worker.life.rounds import attempt
from worker.offers import process_name

RELEASE_EVERY_SECONDS = 0.5
DRAIN_SECONDS = 20.0  # a computation sees its lost lease after its current region; then the pool drains by itself
log = logging.getLogger(__name__)


@worker_shutting_down.connect  # type: ignore[untyped-decorator] # celery ships no types
def begin(**_: Any) -> None:
    """Start the shutdown in the worker's parent when it was signalled."""
    threading.Thread(target=end, name="shutdown", daemon=True).start()


def end() -> None:
    """Release what is unfinished after the grace period, then end the process. A drained pool ends it earlier."""
    try:
        time.sleep(get_settings().stop_seconds)
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until:
            release_pool()
            time.sleep(RELEASE_EVERY_SECONDS)
        log.warning("pool did not drain; work released, exiting")
        # The children are not waited for: one that hangs in a driver ends at SIGKILL alone, and its row is released.
        for child in active_children():
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
        release_pool()
    finally:
        os._exit(0)  # whatever happened above: a worker that was asked to end must not stay


def release_pool() -> None:
    """Release the rows of all pool processes. Repeated, because a message already in the pool makes it claim again."""
    for child in active_children():
        attempt(partial(leases.release_all, process_name(child.pid)))
