"""Probes the database, the broker and the disk for /readyz.

Anybody may call /readyz, and a probe takes seconds while the broker is away. So one probe runs at a time, in one thread
of its own: requests share it, wait for it a bounded time without a thread, and get the last answer after that.
"""

import asyncio
import logging
import shutil
import time

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.contract.service import Checks, Readers, Readiness
from core.analyses import cards
from core.database.analyses import Worker
from core.database.transactions import clock, reading
from core.errors import Unavailable
from core.reader.client import reader_confinement
from core.settings import get_settings
from core.work import doorbell

FRESH_SECONDS = 1.0
WAIT_SECONDS = 5.0
STALE_SECONDS = 15.0
log = logging.getLogger(__name__)


class ReadinessProbe:
    """Shares one probe among all requests. Its state is touched by the event loop alone."""

    def __init__(self) -> None:
        self._last: Readiness | None = None
        self._probed_at = 0.0
        self._running: asyncio.Future[None] | None = None
        self._thread: CapacityLimiter | None = None

    async def get(self) -> Readiness:
        """The readiness, a second old at most; older, up to `STALE_SECONDS`, where a probe takes long.

        Raises:
            Unavailable: the probe takes long or fails, and there is no recent answer.
        """
        if self._age() > FRESH_SECONDS:
            if self._running is None:
                self._running = asyncio.ensure_future(self._probe())
                self._running.add_done_callback(self._finish)
            await asyncio.wait((self._running,), timeout=WAIT_SECONDS)  # one that leaves does not cancel it
        if self._last is None or self._age() > STALE_SECONDS:
            ending = "has not ended" if self._running else "failed"
            detail = f"the probe of database, broker and disk {ending}"
            raise Unavailable("not-probed", detail, "try again later, or see the API's log")
        return self._last

    def _age(self) -> float:
        return time.monotonic() - self._probed_at if self._last else float("inf")

    async def _probe(self) -> None:
        self._thread = self._thread or CapacityLimiter(1)  # its own: never behind requests, never in their way
        began = time.monotonic()
        self._last = await to_thread.run_sync(probe, limiter=self._thread)
        self._probed_at = began

    def _finish(self, probed: asyncio.Future[None]) -> None:
        self._running = None
        error = None if probed.cancelled() else probed.exception()
        if error is not None:  # requests share the probe, so it is logged here, once
            log.error("readiness probe failed", exc_info=error)


def probe() -> Readiness:
    """Probes everything. Takes seconds when the broker or the database is away."""
    workers = _live_workers()
    checks = Checks(database=workers is not None, broker=doorbell.is_reachable(), disk=_disk())
    ready, here = checks.database and checks.broker and checks.disk, list(reader_confinement())
    if workers is None:
        return Readiness(ready=ready, checks=checks, workers=None, readers=Readers(here=here))
    live, now = workers
    held_by = sorted({tuple(worker.card.get("reader_held_by", ())) for worker in live})
    return Readiness(
        ready=ready,
        checks=checks,
        workers=len({worker.id for worker in live}),
        heard_seconds=round(now - max(worker.seen_at for worker in live), 1) if live else None,
        models={worker.model: worker.card["digest"] for worker in live},
        readers=Readers(here=here, workers=[list(names) for names in held_by]),
    )


def _live_workers() -> tuple[list[Worker], float] | None:
    """The live workers and the database's time; None where it does not answer, or lacks the tables of this version."""
    try:
        with reading() as session:
            return cards.live_workers(session), clock(session)
    except (DBAPIError, PoolTimeout) as error:
        cause = getattr(error, "orig", None) or error
        log.warning("database not usable", extra={"fields": {"error": type(cause).__name__}})
        return None


def _disk() -> bool:
    settings = get_settings()
    try:
        return shutil.disk_usage(settings.data).free >= settings.min_free_bytes
    except OSError:  # the folder is missing, or its file system does not answer
        return False
