"""The task that a doorbell starts: claim one row, do it, ring again while any is open.

This is an edge of the process: whatever a kind of work raises ends here, as a log line and the row's reason.
"""

import logging
import time
from functools import partial
from typing import Any

from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from core import logs
from core.analyses import states
from core.analyses.results import to_stored
from core.analyses.statements import Reason
from core.database.transactions import writing
from core.errors import QuarterturnError, ReaderFault
from core.settings import get_settings
from core.work import doorbell, leases
from model.weights.card import WeightsRefused
from worker.app import app
from worker.kinds.registry import KINDS
from worker.life import heartbeat
from worker.life.lease_keeper import LeaseKeeper
from worker.life.rounds import DATABASE_AWAY, attempt
from worker.offers import serving
from worker.readers import close_readers

log = logging.getLogger(__name__)


@app.task(name=doorbell.RING)  # type: ignore[untyped-decorator] # celery ships no types
def ring() -> None:
    """Claim one row and do it. The next ring is another task, so that a stopped worker claims nothing more."""
    claim = leases.claim_next(serving().worker, serving().fingerprints())
    if claim is None:
        return
    perform(claim)
    if leases.claimable_count(1):
        doorbell.ring(app)


def perform(claim: leases.Claim) -> None:
    """Do a claimed row. After a fault it opens again with the reason, until its attempts are used up."""
    with logs.correlated(claim.correlation):
        began, outcome = time.monotonic(), _outcome(claim)
        ids = {"work": claim.id, "kind": claim.kind, "analysis": claim.analysis_id, "slide": claim.slide_id}
        log.info("work %s", outcome, extra={"fields": {**ids, "seconds": round(time.monotonic() - began, 3)}})


def _outcome(claim: leases.Claim) -> str:
    """Do the row: done, lost (to another worker or a cancellation), stopped (no database) or failed."""
    try:
        # before the network, which may load for longer than a lease
        with LeaseKeeper(claim, _patience(claim.kind)) as lease:
            network = serving().network(claim.model)
            if claim.analysis_id is not None:
                with writing() as session:
                    states.mark_running(session, claim, network.provenance)
            KINDS[claim.kind](claim, lease, network)
        return "done"
    except leases.LeaseLost:
        return "lost"
    except DATABASE_AWAY as error:  # nothing can be written now: the lease runs out, and the row is claimed again
        log.warning("work stopped: database away", extra={"fields": {"error": type(error).__name__}})
        return "stopped"
    except Exception as error:  # noqa: BLE001 - the process edge; `_reason_of` logs it
        _release(claim, _reason_of(error))
        return "failed"


def _patience(kind: str) -> float:
    """Seconds that a step of this kind may take before its lease is given up."""
    settings = get_settings()
    if kind == "inspect":
        return settings.inspect_seconds
    return max(settings.lease_seconds, 2 * settings.reader_seconds + 30)  # a region whose reader hangs is read twice


def _reason_of(error: Exception) -> Reason:
    """Why the row failed. Only errors of the domain keep their own words: others may name files."""
    if isinstance(error, QuarterturnError):
        if not isinstance(error, ReaderFault):  # its source has logged it, with more of its cause
            log.warning("work failed: %s", error.code)
        return Reason.from_error(error)
    if isinstance(error, WeightsRefused):
        log.warning("work failed: %s", error)
        return Reason(code="weights-refused", detail=str(error), action="see the worker's log")
    if isinstance(error, OSError):
        log.warning("work failed: %s (%s)", type(error).__name__, error.strerror)
        detail = f"the worker failed with {type(error).__name__} ({error.strerror})"
        return Reason(code="worker-error", detail=detail, action="see the worker's log")
    log.error("work failed", exc_info=error)
    detail = f"the worker failed with {type(error).__name__}"
    return Reason(code="worker-error", detail=detail, action="see the worker's log")


def _release(claim: leases.Claim, reason: Reason) -> None:
    """Open the row again. Its reader is closed first: it may be what failed, and the next claim may be elsewhere."""
    close_readers()
    attempt(partial(leases.reopen, claim, to_stored(reason)))


@setup_logging.connect  # type: ignore[untyped-decorator] # celery ships no types
def configure_logs(**_: Any) -> None:
    """Write our log lines. Celery sets up logging of its own unless this signal has a receiver."""
    logs.configure("worker")


@worker_process_init.connect  # type: ignore[untyped-decorator] # celery ships no types
def load(**_: Any) -> None:
    """Load the network when a pool process begins, and offer it for as long as the process lives."""
    heartbeat.start(serving())


@worker_process_shutdown.connect  # type: ignore[untyped-decorator] # celery ships no types
def leave(**_: Any) -> None:
    """Release the process's rows when it ends in good order, so that no lease has to run out."""
    close_readers()
    leases.release_all(serving().worker)
