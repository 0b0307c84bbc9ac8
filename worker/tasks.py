"""The doorbell's answer: claim one row, do it, ring again while any is open. One of the two process edges."""

import logging
import time
from typing import Any

from celery.signals import setup_logging, worker_process_init, worker_process_shutdown
from sqlalchemy.exc import DBAPIError

from core import logs
from core.analyses import states
from core.database.transactions import writing
from core.errors import QuarterturnError
from core.settings import get_settings
from core.work import doorbell, leases
from model.weights.card import WeightsRefused
from worker.app import app
from worker.kinds.handlers import HANDLERS
from worker.life.heartbeat import Heartbeat
from worker.life.lease import Lease
from worker.offers import serving
from worker.readers import close_readers

log = logging.getLogger(__name__)


@app.task(name=doorbell.RING)  # type: ignore[untyped-decorator] # celery ships no types
def ring() -> None:
    """Claim and do one row."""
    claim = leases.claim_next(serving().worker, serving().fingerprints())
    if claim is None:
        return
    perform(claim)
    if leases.claimable_count(1):
        doorbell.ring(app)


def perform(claim: leases.Claim) -> None:
    """Do a claimed row; whatever goes wrong opens it again with the reason, until its attempts are used up."""
    with logs.correlated(claim.correlation):
        began, ended = time.monotonic(), _perform(claim)
        told = {"work": claim.id, "kind": claim.kind, "analysis": claim.analysis_id, "slide": claim.slide_id}
        log.info("work %s", ended, extra={"fields": {**told, "seconds": round(time.monotonic() - began, 3)}})


def _perform(claim: leases.Claim) -> str:
    """What became of it, in a word."""
    settings = get_settings()
    reading = max(settings.lease_seconds, 2 * settings.reader_seconds + 30)  # a stalled region is tried twice
    patience = settings.inspect_seconds if claim.kind == "inspect" else reading
    try:
        network = serving().network(claim.model)
        if claim.analysis_id is not None:
            with writing() as session:
                states.started(session, claim, network.provenance)
        with Lease(claim, patience) as lease:
            HANDLERS[claim.kind](claim, lease, network)
        return "done"
    except leases.LeaseLost:
        return "lost"
    except DBAPIError as error:
        log.warning("%s %s stopped: the database is away (%s)", claim.kind, claim.id, type(error).__name__)
        return "stopped"
    except QuarterturnError as error:
        log.warning("%s %s failed: %s", claim.kind, claim.id, error.code)
        return _given_back(claim, error.detail)
    except WeightsRefused as error:
        log.warning("%s %s failed: %s", claim.kind, claim.id, error)
        return _given_back(claim, str(error))
    except OSError as error:  # its own words would name the file
        log.warning("%s %s failed: %s (%s)", claim.kind, claim.id, type(error).__name__, error.strerror)
        return _given_back(claim, f"the worker met {type(error).__name__} ({error.strerror})")
    except Exception as error:
        log.exception("%s %s failed", claim.kind, claim.id)
        return _given_back(claim, f"the worker met {type(error).__name__}")


def _given_back(claim: leases.Claim, detail: str) -> str:
    close_readers()
    leases.reopen(claim, {"code": "worker-error", "detail": detail})
    return "failed"


@setup_logging.connect  # type: ignore[untyped-decorator] # celery ships no types
def log_as_we_do(**_: Any) -> None:
    """Celery sets up no logging of its own where somebody answers this."""
    logs.configure("worker")


@worker_process_init.connect  # type: ignore[untyped-decorator] # celery ships no types
def load(**_: Any) -> None:
    """A pool process begins: load the network, say so, and keep saying so."""
    Heartbeat(serving()).start()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator] # celery ships no types
def leave(**_: Any) -> None:
    """A pool process ends in good order: give back what it holds."""
    close_readers()
    leases.release_all(serving().worker)
