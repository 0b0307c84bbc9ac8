"""Threads that repeat their work in rounds and outlive every fault.

Nothing watches these threads. One that ended by an exception would leave a worker that computes but is never heard of
again (heartbeat), or work that nobody rings for and leases that nobody reaps (reconciler).
"""

import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

DATABASE_AWAY = (DBAPIError, NoConnection)
Step = Callable[[], object]
log = logging.getLogger(__name__)


def attempt(step: Step, name: str = "") -> None:
    """Run one step. A fault is logged and ends this step alone, since the next round tries again."""
    function = step.func if isinstance(step, partial) else step
    name = name or getattr(function, "__name__", "step")
    try:
        step()
    except (*DATABASE_AWAY, OSError) as error:
        log.warning("%s postponed", name, extra={"fields": {"error": type(error).__name__}})
    except Exception:
        log.exception("%s failed; the next round tries again", name)


class Rounds(threading.Thread):
    """Runs the steps now and after every pause, until the process ends or `stop` is called.

    Args:
        steps: attempted in their order, each by itself, so that one that always fails does not stop the others.
        pause_seconds: called after each round, since tests and operators change settings.
    """

    def __init__(self, name: str, steps: Iterable[Step], pause_seconds: Callable[[], float]) -> None:
        super().__init__(name=name, daemon=True)
        self._steps, self._pause_seconds, self._stop_event = tuple(steps), pause_seconds, threading.Event()

    def run(self) -> None:
        """The thread's body."""
        while True:
            for step in self._steps:
                attempt(step)
            if self._stop_event.wait(self._pause_seconds()):
                return

    def stop(self) -> None:
        """End after the current round."""
        self._stop_event.set()
