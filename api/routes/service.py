"""The service itself: models, health, readiness."""

import shutil
import threading
from typing import Any

from cachetools import TTLCache
from fastapi import APIRouter, Response
from sqlalchemy.exc import DBAPIError

from api import metrics
from api.contract.values import NOTICE, iso
from api.request.transactions import Read
from api.request.visitor import Who
from core.analyses import cards
from core.database.transactions import clock, is_reachable, reading
from core.reader.client import reader_confinement
from core.settings import get_settings
from core.upkeep import gauges
from core.work import doorbell

LOOK_SECONDS = 1.0
_looked: TTLCache[int, dict[str, Any]] = TTLCache(1, LOOK_SECONDS)
_looking = threading.Lock()
router = APIRouter(tags=["service"])
api_router = APIRouter(tags=["service"])


@api_router.get("/models")
def models(session: Read, _: Who) -> dict[str, Any]:
    """What the live workers can run, empty when none is up, and the one that is run when a request names none."""
    known = [
        {**worker.card, "provenance": worker.provenance, "seen_at": iso(worker.seen_at)}
        for worker in cards.models(session)
    ]
    return {"models": known, "default": get_settings().model, "notice": NOTICE}


@router.get("/healthz")
def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz")
def readiness(response: Response) -> dict[str, Any]:
    """Whether work can be taken: database, broker and disk. Workers are told, and do not make it unready.

    `readers`: what confines the children that open slides (core.reader.sandbox), here and where workers run. `models`:
    what live workers run, each with the digest of its weights; `heard_seconds`: since the last word of any worker.
    Checked once a second at most: anybody may ask.
    """
    with _looking:
        found = _looked.get(0) or _looked.setdefault(0, _look())
    response.status_code = 200 if found["ready"] else 503
    return found


def _look() -> dict[str, Any]:
    checks = {"database": _database(), "broker": doorbell.is_reachable(), "disk": _disk()}
    known: dict[str, Any] = _workers() if checks["database"] else {"workers": None}
    readers = {"here": list(reader_confinement()), **known.pop("readers", {})}
    return {"ready": all(checks.values()), "checks": checks, **known, "readers": readers}


@router.get("/metrics", response_class=Response)
def metered(session: Read, _: Who) -> Response:
    """Prometheus' text format; it wants a key like any other program."""
    return Response(metrics.exposition(gauges.gauges(session)), media_type=metrics.CONTENT_TYPE)


def _database() -> bool:
    try:
        return is_reachable()
    except DBAPIError:
        return False


def _disk() -> bool:
    settings = get_settings()
    try:
        return shutil.disk_usage(settings.data).free >= settings.min_free_bytes
    except OSError:  # the folder is gone, or its file system does not answer
        return False


def _workers() -> dict[str, Any]:
    with reading() as session:
        alive, at = cards.live_workers(session), clock(session)
    readers = sorted({tuple(worker.card.get("reader_held_by", ())) for worker in alive})
    return {
        "workers": len({worker.id for worker in alive}),
        "heard_seconds": round(at - max(worker.seen_at for worker in alive), 1) if alive else None,
        "models": {worker.model: worker.card["digest"] for worker in alive},
        "readers": {"workers": [list(held) for held in readers]},
    }
