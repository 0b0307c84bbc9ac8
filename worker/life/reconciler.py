"""The reconciler: a thread in every worker's parent that restores what messages or workers lost.

It is the outbox (rings for work whose ring was lost), the reaper (rows claimed too often fail with their reason), the
finisher (creates the finish of an analysis whose last part was done by a process that died before) and the sweeper.
Every step is idempotent, so any number of reconcilers may run at once.
"""

import itertools
import logging
from functools import partial
from typing import Any

from celery.signals import worker_ready
from sqlalchemy.orm import Session

from core.analyses import states
from core.analyses.results import to_stored
from core.analyses.statements import Reason, reason
from core.database.analyses import Work
from core.database.slides import Slide
from core.database.transactions import reading, writing
from core.settings import get_settings
from core.slides import catalog, inspection, storage, uploads
from core.upkeep import retention
from core.work import doorbell, leases
from worker.app import app
from worker.life.rounds import Rounds, attempt

log = logging.getLogger(__name__)
MOST_RINGS = 4  # each ring that finds work rings again
SWEEP_EVERY = 60  # rounds
ORPHAN_SECONDS = 3600.0  # a folder without a record may belong to an upload that has just begun
KILLED = Reason(code="worker-killed", detail="the worker was killed each time", action="see the worker's log")
_round = itertools.count()


@worker_ready.connect  # type: ignore[untyped-decorator] # celery ships no types
def start(**_: Any) -> None:
    """Reconcile from the moment that the worker's parent is up."""
    Rounds("reconciler", STEPS, lambda: get_settings().reconcile_seconds).start()


def fail_exhausted() -> None:
    """Fail rows that were claimed as often as allowed, each with the reason of its last attempt."""
    with reading() as session:
        exhausted = leases.exhausted(session)
    for work_id, analysis_id in exhausted:
        attempt(partial(_fail_row, work_id, analysis_id))


def _fail_row(work_id: str, analysis_id: str | None) -> None:
    """One transaction a row. Its owner is locked before it, in the order that every other writer follows."""
    with writing() as session:
        if analysis_id is None:
            slide_id = session.get_one(Work, work_id).slide_id
            catalog.lock_row(session, session.get_one(Slide, slide_id))
        else:
            states.lock(session, analysis_id)
        # Under the lock, the row is looked at again: it may have been done or retried since it was listed.
        row = leases.fail_exhausted(session, work_id)
        if row is not None:
            _report(session, row)


def _report(session: Session, row: Work) -> None:
    """Fail the row's owner. Profiles and evaluations have none: the API shows the reason of their own row."""
    if row.reason is None:
        row.reason = to_stored(KILLED)
    if row.kind == "inspect":
        inspection.record_failure(session, session.get_one(Slide, row.slide_id), to_stored(_reason_of(row)))
    elif row.kind in ("band", "check", "finish") and row.analysis_id is not None:
        states.fail(session, states.lock(session, row.analysis_id), _reason_of(row))


def _reason_of(row: Work) -> Reason:
    last = row.reason or to_stored(KILLED)
    words = {"kind": row.kind, "attempts": row.attempts, "cause": last["detail"], "cause_code": last["code"]}
    return reason(f"{row.kind}-failed", **words)


def create_missing_finishes() -> None:
    """Create the finish of analyses whose parts are all done."""
    with reading() as session:
        unfinished = states.unfinished(session)
    for analysis_id in unfinished:
        attempt(partial(_add_finish, analysis_id))


def _add_finish(analysis_id: str) -> None:
    with writing() as session:
        states.add_finish(session, states.lock(session, analysis_id))


def restart_stranded() -> None:
    """Restart analyses whose fingerprint no live worker has."""
    with reading() as session:
        stranded = states.stranded(session)
    for analysis_id in stranded:
        log.warning("analysis restarted: no worker with its fingerprint", extra={"fields": {"analysis": analysis_id}})
        attempt(partial(_restart, analysis_id))


def _restart(analysis_id: str) -> None:
    with writing() as session:
        states.restart(session, states.lock(session, analysis_id))


def ring() -> None:
    """Ring for work that waits: its own ring may be lost. A few rings wake the workers, and each rings on."""
    waiting = leases.claimable_count(MOST_RINGS)
    if waiting:
        doorbell.ring(app, waiting)


def sweep() -> None:
    """Remove the files of deleted slides: the process that marked them may have died before it removed the files."""
    with reading() as session:
        orphans = catalog.without_files(session, storage.stored_slides())
        orphans += catalog.unrecorded(session, storage.empty_slides(ORPHAN_SECONDS))
    for slide_id in orphans:
        attempt(partial(storage.remove, slide_id))


def purge_and_sweep() -> None:
    """Retention and the sweep, in every 60th round: they read whole tables and folders."""
    if next(_round) % SWEEP_EVERY == 0:
        attempt(retention.purge)
        attempt(sweep)


STEPS = (
    fail_exhausted,
    create_missing_finishes,
    restart_stranded,
    uploads.finish_complete,
    uploads.expire,
    ring,
    purge_and_sweep,
)
