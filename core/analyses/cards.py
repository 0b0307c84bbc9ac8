"""What workers say that they can run, and what a network's card says of its scope, held against a slide."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database.analyses import Worker
from core.database.transactions import clock
from core.errors import Unavailable
from core.pixels.levels import SlideInfo
from core.settings import get_settings

OUTSIDE = "outside the network's scope"


def live_workers(session: Session) -> list[Worker]:
    """What worker processes offer that were heard of lately, the last heard last: a row a process and model."""
    heard = clock(session) - get_settings().worker_silent_seconds
    return list(session.scalars(select(Worker).where(Worker.seen_at > heard).order_by(Worker.seen_at)))


def models(session: Session) -> list[Worker]:
    """One live worker for each model that can run now."""
    return list({worker.model: worker for worker in live_workers(session)}.values())


def card_of(session: Session, model: str) -> dict[str, Any]:
    """The card of a model that a live worker offers.

    Raises:
        Unavailable: none does.
    """
    for worker in models(session):
        if worker.model == model:
            return dict(worker.card)
    raise Unavailable("no-worker", f"no worker offers the model {model!r} now", "start a worker, see GET /models")


def scope_notes(scope: dict[str, Any], info: SlideInfo, identifiers: dict[str, Any]) -> list[dict[str, str]]:
    """Banners for the reader: each with a code and a sentence; empty when nothing is known to be off."""
    notes = []
    organ, stain = identifiers.get("organ"), identifiers.get("stain")
    if organ is None:
        notes.append(
            _note("organ-unknown", f"The network knows {scope['organ']} only; this slide's organ is not stated.")
        )
    elif organ.strip().lower() != scope["organ"]:
        notes.append(
            _note("organ", f"Outside the network's scope: it knows {scope['organ']}, this slide is {organ!r}.")
        )
    if stain is not None and stain.strip().lower().replace("&amp;", "&") not in ("h&e", "he", "hematoxylin and eosin"):
        notes.append(
            _note("stain", f"Outside the network's scope: it knows {scope['stain']}, this slide is {stain!r}.")
        )
    if info.vendor not in (*scope["scanners"], "generic-tiff", "unknown"):
        known = " and ".join(scope["scanners"])
        sentence = f"Outside the network's scope: it was trained on scans of {known}; this one is of {info.vendor}."
        notes.append(_note("scanner", sentence))
    return notes


def _note(code: str, sentence: str) -> dict[str, str]:
    return {"code": code, "sentence": sentence}
