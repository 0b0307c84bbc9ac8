"""Probes the database, the broker and the disk for /readyz.

Anybody may call /readyz, and a probe takes seconds while the broker is away. So one probe runs at a time, in one thread
of its own: requests share it, wait for it a bounded time without a thread, and get the last answer after that.
"""

import asyncio
import shutil
import time

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.contract.service import Checks, Readers, Readiness
from core.analyses import cards
from core.database.transactions import clock, is_reachable, reading
from core.errors import Unavailable
from core.reader.client import reader_confinement
from core.settings import get_settings
from core.work import doorbell

FRESH_SECONDS = 1.0
WAIT_SECONDS = 5.0
STALE_SECONDS = 15.0


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
            Unavailable: a probe takes long and there is no recent answer.
        """
        if self._age() > FRESH_SECONDS:
            if self._running is None:
                self._running = asyncio.ensure_future(self._probe())
                self._running.add_done_callback(self._finish)
            await asyncio.wait((self._running,), timeout=WAIT_SECONDS)  # one that leaves does not cancel it
        if self._last is None or self._age() > STALE_SECONDS:
            raise Unavailable("not-probed", "the probes of database, broker and disk do not end", "try again later")
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
        if not probed.cancelled():
            probed.exception()  # seen here; requests meet it as an answer that grows old


def probe() -> Readiness:
    """Looks at everything now. Takes seconds when the broker or the database is away."""
    checks = Checks(database=_database(), broker=doorbell.is_reachable(), disk=_disk())
    ready, here = checks.database and checks.broker and checks.disk, list(reader_confinement())
    if not checks.database:
        return Readiness(ready=ready, checks=checks, workers=None, readers=Readers(here=here))
    with reading() as session:
        live, now = cards.live_workers(session), clock(session)
    held_by = sorted({tuple(worker.card.get("reader_held_by", ())) for worker in live})
    return Readiness(
        ready=ready,
        checks=checks,
        workers=len({worker.id for worker in live}),
        heard_seconds=round(now - max(worker.seen_at for worker in live), 1) if live else None,
        models={worker.model: worker.card["digest"] for worker in live},
        readers=Readers(here=here, workers=[list(names) for names in held_by]),
    )


def _database() -> bool:
    try:
        return is_reachable()
    except (DBAPIError, PoolTimeout):
        return False


def _disk() -> bool:
    settings = get_settings()
    try:
        return shutil.disk_usage(settings.data).free >= settings.min_free_bytes
    except OSError:  # the folder is missing, or its file system does not answer
        return False
