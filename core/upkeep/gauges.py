"""What operators watch: the service as it stands, from its rows. Nothing in them names a slide or a person."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.analyses import cards
from core.database.analyses import Analysis, Work
from core.database.slides import Slide
from core.database.transactions import clock, now
from core.work.leases import UNFINISHED

WINDOW_SECONDS = 900.0
MOST_ROWS = 2000


@dataclass(frozen=True)
class Gauge:
    """A value under its labels."""

    name: str
    help: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


def gauges(session: Session) -> list[Gauge]:
    """All of them; what is called recent is of the last quarter of an hour."""
    return [*_queue(session), *_states(session), *_recent(session), *_workers(session)]


def _queue(session: Session) -> list[Gauge]:
    waiting = select(Work.kind, Work.state, func.count()).where(Work.state.in_(UNFINISHED))
    found = [
        Gauge("work_unfinished", "Rows of work that are not done", count, (("kind", kind), ("state", state)))
        for kind, state, count in session.execute(waiting.group_by(Work.kind, Work.state))
    ]
    oldest = session.execute(select(func.min(Work.created_at)).where(Work.state == "open")).scalar_one()
    age = 0.0 if oldest is None else max(0.0, clock(session) - oldest)
    again = session.execute(select(func.coalesce(func.sum(Work.attempts - 1), 0)).where(Work.attempts > 1)).scalar_one()
    return [
        *found,
        Gauge("work_oldest_open_seconds", "Age of the oldest row that waits for a worker", age),
        Gauge("work_reclaims", "Claims beyond each kept row's first: leases that ran out, and faults", float(again)),
    ]


def _states(session: Session) -> list[Gauge]:
    slides = session.execute(select(Slide.state, func.count()).group_by(Slide.state))
    analyses = session.execute(select(Analysis.state, func.count()).group_by(Analysis.state))
    return [
        *(Gauge("slides", "Slides, by state", count, (("state", state),)) for state, count in slides),
        *(Gauge("analyses", "Analyses, by state", count, (("state", state),)) for state, count in analyses),
    ]


def _recent(session: Session) -> list[Gauge]:
    """Of bands and rotation checks that were done lately, the newest thousands at most."""
    done = select(Work.result).where(Work.state == "done", Work.done_at > now() - WINDOW_SECONDS)
    newest = done.order_by(Work.done_at.desc()).limit(MOST_ROWS)
    bands = [row[0] for row in session.execute(newest.where(Work.kind == "band")) if row[0]]
    network, waiting = (sum(one["seconds"][stage] for one in bands) for stage in ("network", "waiting"))
    residuals = [row[0].get("residual") for row in session.execute(newest.where(Work.kind == "check")) if row[0]]
    known = [one for one in residuals if one is not None]
    return [
        Gauge("bands_recent", "Bands done in the last 15 minutes", len(bands)),
        Gauge("band_network_seconds_recent", "Seconds that their networks took, together", network),
        Gauge("band_waiting_seconds_recent", "Seconds that they waited for pixels, together", waiting),
        Gauge("cells_recent", "Cells that they scored", sum(one.get("cells", 0) for one in bands)),
        Gauge("rotation_residual_max_recent", "Largest residual of a rotation check, logits", max(known, default=0.0)),
    ]


def _workers(session: Session) -> list[Gauge]:
    alive = {worker.id for worker in cards.live_workers(session)}
    return [Gauge("workers", "Worker processes heard of lately", len(alive))]
