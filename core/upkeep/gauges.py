"""Gauges of the whole service, computed from its rows at each scrape. No label names a slide or a person."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.analyses import cards
from core.database.analyses import Analysis, Work
from core.database.slides import Slide
from core.database.transactions import clock, now
from core.work.leases import UNFINISHED

WINDOW_SECONDS = 900.0  # what the names and helps below call recent
MOST_ROWS = 2000  # a scrape must not read every band of a busy quarter of an hour


@dataclass(frozen=True)
class Gauge:
    """A value with its labels; the API prefixes the name with `quarterturn_`."""

    name: str
    help: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


def gauges(session: Session) -> list[Gauge]:
    """Returns all gauges."""
    return [*_queue(session), *_states(session), *_recent(session), *_workers(session)]


def _queue(session: Session) -> list[Gauge]:
    unfinished = select(Work.kind, Work.state, func.count()).where(Work.state.in_(UNFINISHED))
    counts = [
        Gauge("work_unfinished", "Rows of work that are not done", count, (("kind", kind), ("state", state)))
        for kind, state, count in session.execute(unfinished.group_by(Work.kind, Work.state))
    ]
    oldest = session.execute(select(func.min(Work.created_at)).where(Work.state == "open")).scalar_one()
    age = 0.0 if oldest is None else max(0.0, clock(session) - oldest)
    reclaims = session.execute(select(func.sum(Work.attempts - 1)).where(Work.attempts > 1)).scalar_one() or 0
    return [
        *counts,
        Gauge("work_oldest_open_seconds", "Age of the oldest open row", age),
        Gauge("work_reclaims", "Claims beyond each row's first: expired leases and faults", float(reclaims)),
    ]


def _states(session: Session) -> list[Gauge]:
    slides = session.execute(select(Slide.state, func.count()).group_by(Slide.state))
    analyses = session.execute(select(Analysis.state, func.count()).group_by(Analysis.state))
    return [
        *(Gauge("slides", "Slides, by state", count, (("state", state),)) for state, count in slides),
        *(Gauge("analyses", "Analyses, by state", count, (("state", state),)) for state, count in analyses),
    ]


def _recent(session: Session) -> list[Gauge]:
    """Gauges over recent bands and rotation checks, the newest MOST_ROWS of them at most."""
    done = select(Work.result).where(Work.state == "done", Work.done_at > now() - WINDOW_SECONDS)
    newest = done.order_by(Work.done_at.desc()).limit(MOST_ROWS)
    bands = [row[0] for row in session.execute(newest.where(Work.kind == "band")) if row[0]]
    network, waiting = (sum(band["seconds"][stage] for band in bands) for stage in ("network", "waiting"))
    residuals = [row[0].get("residual") for row in session.execute(newest.where(Work.kind == "check")) if row[0]]
    measured = [residual for residual in residuals if residual is not None]
    return [
        Gauge("bands_recent", "Bands done in the last 15 minutes", len(bands)),
        Gauge("band_network_seconds_recent", "Seconds of network computation in recent bands", network),
        Gauge("band_waiting_seconds_recent", "Seconds that recent bands waited for pixels", waiting),
        Gauge("cells_recent", "Cells scored in recent bands", sum(band.get("cells", 0) for band in bands)),
        Gauge(
            "rotation_residual_max_recent",
            "Largest recent rotation residual, logits",
            max(measured, default=0.0),
        ),
    ]


def _workers(session: Session) -> list[Gauge]:
    alive = {worker.id for worker in cards.live_workers(session)}
    return [Gauge("workers", "Worker processes with a recent heartbeat", len(alive))]
