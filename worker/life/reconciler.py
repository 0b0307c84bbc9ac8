"""A thread in every worker's parent that makes what is true also happen. Idempotent; any number may run.

It is the outbox (rings for work whose ring was lost), the reaper (rows claimed too often fail with their reason), the
finisher (an analysis whose last part was done by a process that died before creating the finish) and the sweeper.
"""

import itertools
import logging
import threading
from typing import Any

from celery.signals import worker_ready
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core.analyses import states
from core.analyses.results import to_stored
from core.analyses.statements import reason
from core.database.analyses import Work
from core.database.slides import Slide
from core.database.transactions import reading, writing
from core.settings import get_settings
from core.slides import catalog, inspection, storage, uploads
from core.upkeep import retention
from core.work import doorbell, leases
from worker.app import app

log = logging.getLogger(__name__)
MOST_RINGS = 4
SWEEP_EVERY = 60  # rounds
ORPHAN_SECONDS = 3600.0


def reconcile() -> None:
    """One round."""
    _fail_exhausted()
    _create_missing_finishes()
    _restart_stranded()
    uploads.finish_complete()
    uploads.expire()
    waiting = leases.claimable_count(MOST_RINGS)
    if waiting:
        doorbell.ring(app, waiting)


def _fail_exhausted() -> None:
    """One transaction a row; what owns it is locked before it, as everywhere."""
    with reading() as session:
        found = leases.exhausted(session)
    for work_id, analysis_id in found:
        with writing() as session:
            if analysis_id is None:
                _lock_slide(session, work_id)
            else:
                states.lock(session, analysis_id)
            row = leases.fail_exhausted(session, work_id)
            if row is not None:
                _report(session, row)


def _lock_slide(session: Session, work_id: str) -> None:
    slide_id = session.get_one(Work, work_id).slide_id
    catalog.lock_row(session, session.get_one(Slide, slide_id))


def _report(session: Session, row: Work) -> None:
    last = row.reason or {"code": "worker-killed", "detail": "the worker was killed each time"}
    words = {"kind": row.kind, "attempts": row.attempts, "cause": last["detail"], "cause_code": last["code"]}
    why = reason(f"{row.kind}-failed", **words)
    if row.kind == "inspect":
        inspection.not_inspected(session, session.get_one(Slide, row.slide_id), to_stored(why))
    elif row.kind != "profile" and row.analysis_id is not None:
        states.fail(session, states.lock(session, row.analysis_id), why)


def _create_missing_finishes() -> None:
    with reading() as session:
        found = states.unfinished(session)
    for analysis_id in found:
        with writing() as session:
            states.add_finish(session, states.lock(session, analysis_id))


def _restart_stranded() -> None:
    with reading() as session:
        found = states.stranded(session)
    for analysis_id in found:
        log.warning("analysis %s starts anew: no worker of its fingerprint is left", analysis_id)
        with writing() as session:
            states.restart(session, states.lock(session, analysis_id))


def sweep() -> None:
    """Remove the files of slides that are gone: whoever marked them so may have died before the files went."""
    with reading() as session:
        gone = catalog.without_files(session, storage.stored_slides())
        gone += catalog.unrecorded(session, storage.empty_slides(ORPHAN_SECONDS))
    for slide_id in gone:
        storage.remove(slide_id)


def run(pause: threading.Event) -> None:
    for number in itertools.count():
        try:
            reconcile()
            if number % SWEEP_EVERY == 0:
                retention.purge()
                sweep()
        except (DBAPIError, OSError) as error:
            log.warning("reconciling waits: %s", type(error).__name__)
        pause.wait(get_settings().reconcile_seconds)


@worker_ready.connect  # type: ignore[untyped-decorator] # celery ships no types
def start(**_: Any) -> None:
    """The worker's parent is up: reconcile from now on."""
    threading.Thread(target=run, args=(threading.Event(),), name="reconciler", daemon=True).start()
