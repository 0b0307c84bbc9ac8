"""The networks that live workers offer, and what a network's scope says of a slide."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.analyses.statements import Statement, state
from core.database.analyses import Worker
from core.database.transactions import clock
from core.errors import Invalid, Unavailable
from core.pixels.frame import NETWORK_MPP
from core.pixels.levels import SlideInfo
from core.pixels.scale import COMMON
from core.settings import get_settings

HAEMATOXYLIN_EOSIN = ("h&e", "he", "hematoxylin and eosin")


def live_workers(session: Session) -> list[Worker]:
    """The rows of workers with a recent heartbeat, the latest last: one row a process and model."""
    silent_since = clock(session) - get_settings().worker_silent_seconds
    return list(session.scalars(select(Worker).where(Worker.seen_at > silent_since).order_by(Worker.seen_at)))


def models(session: Session) -> list[Worker]:
    """One live worker for each model that can run now: the one with the latest heartbeat."""
    return list({worker.model: worker for worker in live_workers(session)}.values())


def card_of(session: Session, model: str) -> dict[str, Any]:
    """The card of a model that a live worker offers.

    Raises:
        Unavailable: no live worker offers it.
    """
    for worker in models(session):
        if worker.model == model:
            return dict(worker.card)
    raise Unavailable("no-worker", f"no worker offers the model {model!r} now", "start a worker, see GET /models")


def threshold_of(card: dict[str, Any], threshold: float | None, preset: str | None) -> float:
    """The threshold of a request: its own, its preset's, or the card's.

    Raises:
        Invalid: the request names both, or a preset that the card does not have.
    """
    if preset is None:
        return float(card["threshold"] if threshold is None else threshold)
    if threshold is not None:
        raise Invalid("threshold-and-preset", "the request names a threshold and a preset", "name one of them")
    presets = card.get("presets") or {}
    if preset not in presets:
        offered = f"name one of {', '.join(presets)}" if presets else "name a threshold"
        raise Invalid("no-such-preset", f"the model {card['name']!r} has no preset {preset!r}", offered)
    return float(presets[preset]["threshold"])


def scope_notes(scope: dict[str, Any], info: SlideInfo, identifiers: dict[str, Any]) -> list[Statement]:
    """What is outside the network's scope on this slide, as far as the slide's record says."""
    notes = []
    organ, stain = identifiers.get("organ"), identifiers.get("stain")
    if organ is None:
        notes.append(state("organ-unknown", scope=scope["organ"]))
    elif organ.strip().lower() != scope["organ"]:
        notes.append(state("organ", scope=scope["organ"], organ=organ))
    if stain is not None and stain.strip().lower().replace("&amp;", "&") not in HAEMATOXYLIN_EOSIN:
        notes.append(state("stain", scope=scope["stain"], stain=stain))
    # A generic TIFF names no scanner. To call it outside the scope would be a guess.
    if info.vendor not in (*scope["scanners"], "generic-tiff", "unknown"):
        notes.append(state("scanner", scope=tuple(scope["scanners"]), scanner=info.vendor))
    return [*notes, *scale_notes(info)]


def scale_notes(info: SlideInfo) -> list[Statement]:
    """Notes where the slide's scale is a guess, or its pixels are larger than the network's."""
    notes: list[Statement] = []
    if info.mpp_x is None or info.mpp_y is None:
        return notes
    if info.mpp_source == "objective":
        notes.append(state("mpp-guessed", mpp=info.mpp_x, power=COMMON / info.mpp_x))
    if info.frame().is_coarser_than_network:
        notes.append(state("coarser-than-network", mpp=max(info.mpp_x, info.mpp_y), network_mpp=NETWORK_MPP))
    return notes
