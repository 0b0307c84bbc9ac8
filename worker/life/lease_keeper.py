"""Keeps a row's lease while it is computed: a thread renews it as long as the computation advances."""

import contextvars
import threading
import time

from core.settings import get_settings
from core.work import leases
from worker.life.rounds import attempt

CHECK_SECONDS = 0.5  # between two reads of the row, so a cancelled analysis computes on for about as long


class LeaseKeeper:
    """`with LeaseKeeper(claim, patience) as lease:` and call `lease.advance()` between steps.

    The lease is not renewed by the thread's life alone: a computation that hangs must lose its row to another worker,
    although its process lives.

    Args:
        patience: seconds without an advance after which the lease is no longer renewed.
    """

    def __init__(self, claim: leases.Claim, patience: float) -> None:
        self.claim, self._patience = claim, patience
        self._renewed = self._advanced = time.monotonic()
        self._lost, self._end = threading.Event(), threading.Event()
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
        while not self._lost.is_set() and not self._end.wait(CHECK_SECONDS):
            attempt(self._check, "lease renewal")

    def _check(self) -> None:
        """Renew the lease where that is due and the computation advances; else only read whether it is current."""
        due = time.monotonic() - self._renewed > get_settings().lease_seconds / 3
        if due and time.monotonic() - self._advanced < self._patience:
            current = leases.renew(self.claim)
            self._renewed = time.monotonic()
        else:
            current = leases.is_current(self.claim)
        if not current:
            self._lost.set()

    def __enter__(self) -> "LeaseKeeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
