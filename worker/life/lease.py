"""Holds a row's lease while it is computed: a thread renews it as long as the computation advances."""

import contextvars
import logging
import threading
import time

from core.settings import get_settings
from core.work import leases
from worker.life.rounds import DATABASE_AWAY

log = logging.getLogger(__name__)
CHECK_SECONDS = 0.5  # between two looks at the row: what a cancelled analysis still computes


class Lease:
    """`with Lease(claim, patience) as lease:` and call `lease.advance()` between steps.

    The lease is not renewed by the thread's life alone: a computation that hangs must lose its row to another worker,
    although its process lives.

    Args:
        patience: seconds without an advance after which the lease is no longer renewed.
    """

    def __init__(self, claim: leases.Claim, patience: float) -> None:
        self.claim, self._patience = claim, patience
        self._advanced, self._lost, self._end = time.monotonic(), threading.Event(), threading.Event()
        context = contextvars.copy_context()  # its log lines carry the work's correlation
        self._thread = threading.Thread(target=context.run, args=(self._watch,), name="lease", daemon=True)

    def advance(self) -> None:
        """Record that the computation goes on.

        Raises:
            LeaseLost: the row is no longer this worker's; computing on would be in vain.
        """
        if self._lost.is_set():
            raise leases.LeaseLost
        self._advanced = time.monotonic()

    def _watch(self) -> None:
        renewed = time.monotonic()
        while not self._end.wait(CHECK_SECONDS):
            try:
                due = time.monotonic() - renewed > get_settings().lease_seconds / 3
                advancing = time.monotonic() - self._advanced < self._patience
                current = leases.renew(self.claim) if due and advancing else leases.is_current(self.claim)
            except DATABASE_AWAY as error:
                log.warning("lease not renewed: database away", extra={"fields": {"error": type(error).__name__}})
            except Exception:  # the thread goes on: without it, nothing would renew the lease or see it lost
                log.exception("lease not renewed")
            else:
                renewed = time.monotonic() if due and advancing else renewed
                if not current:
                    self._lost.set()
                    return

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
