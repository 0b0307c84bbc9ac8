"""Holding a row while computing: a thread renews the lease as long as the loop advances, and sees when it is lost."""

import logging
import threading
import time

from sqlalchemy.exc import DBAPIError

from core.settings import get_settings
from core.work import leases

log = logging.getLogger(__name__)
LOOK_EVERY = 0.5


class Lease:
    """`with Lease(claim) as lease:` and call `lease.advance()` between steps.

    Args:
        patience: seconds without an advance after which the lease is no longer renewed.
    """

    def __init__(self, claim: leases.Claim, patience: float) -> None:
        self.claim, self._patience = claim, patience
        self._advanced, self._lost, self._end = time.monotonic(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def advance(self) -> None:
        """The loop goes on. Raises LeaseLost when the row is no longer held, so that the work stops here."""
        if self._lost.is_set():
            raise leases.LeaseLost
        self._advanced = time.monotonic()

    def _keep(self) -> None:
        renewed = time.monotonic()
        while not self._end.wait(LOOK_EVERY):
            try:
                due = time.monotonic() - renewed > get_settings().lease_seconds / 3
                alive = time.monotonic() - self._advanced < self._patience
                current = leases.renew(self.claim) if due and alive else leases.is_current(self.claim)
                renewed = time.monotonic() if due and alive else renewed
            except DBAPIError as error:
                log.warning("the database is away (%s); the lease is not renewed", type(error).__name__)
                continue
            if not current:
                self._lost.set()
                return

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
