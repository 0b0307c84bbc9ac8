"""Retention: how long each kind of row is stored, and what is deleted automatically.

    slides        for ever, or QUARTERTURN_KEEP_DAYS after the last change, analysis, profile or evaluation (viewing
                  does not count). The audit records the deletion in the name of `retention`.
    answers       to requests with an Idempotency-Key: a week, since a file's name may stand in them
    sessions      and one-time links: a week after they ended; API keys stay listed
    workers       a day after their last heartbeat
    the audit     for ever

With a slide goes what a person wrote about it: its file name and identifiers (core.slides.deletion). Workers call
`purge` at intervals; `python -m admin retention` lists the slides that it would delete.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Delete, and_, delete, exists, or_, select
from sqlalchemy.orm import Session

from core.access import audit
from core.access.visitor import Visitor
from core.database.analyses import Analysis, Work, Worker
from core.database.people import Credential, Idempotency
from core.database.slides import Slide
from core.database.transactions import affected_rows, now, reading, writing
from core.errors import NotFound
from core.settings import get_settings
from core.slides import catalog, deletion, storage

DAY = 86_400.0
ANSWER_DAYS, SESSION_DAYS, WORKER_DAYS = 7, 7, 1
BATCH = 100  # slides in one call of `purge`
SETTLED = ("ready", "needs_input", "rejected")  # not those that an upload or inspection is about to change


@dataclass(frozen=True)
class Purged:
    """How many of each kind were deleted."""

    slides: int
    answers: int
    sessions: int
    workers: int


def _is_idle(days: float) -> tuple[ColumnElement[bool], ...]:
    """Returns the conditions for slides that nothing was done to for so many days."""
    oldest = now() - days * DAY
    mine = and_(Analysis.slide_id == Slide.id, Analysis.state != "cancelled")
    analysed = exists().where(mine, or_(Analysis.ended_at.is_(None), Analysis.ended_at >= oldest))
    used = exists().where(Work.slide_id == Slide.id, Work.kind.in_(("profile", "evaluate")), Work.created_at >= oldest)
    return Slide.state.in_(SETTLED), Slide.updated_at < oldest, ~analysed, ~used


def due_slides(session: Session, days: float, limit: int | None = BATCH) -> list[tuple[str, str]]:
    """Returns (slide id, workspace id) of slides idle for so many days, the longest first."""
    query = select(Slide.id, Slide.workspace_id).where(*_is_idle(days)).order_by(Slide.updated_at)
    return [(row[0], row[1]) for row in session.execute(query.limit(limit))]


def purge() -> Purged:
    """Deletes what is due: a batch of slides, each in a transaction of its own, and all other rows in one."""
    days = get_settings().keep_days
    slides = 0
    if days:
        with reading() as session:
            due = due_slides(session, days)
        slides = sum(_expire(slide_id, workspace_id, days) for slide_id, workspace_id in due)
    with writing() as session:
        counts = [affected_rows(session, rule) for rule in _expired_rows()]
    return Purged(slides, *counts)


def _expire(slide_id: str, workspace_id: str, days: float) -> bool:
    """Deletes a slide; False when it was deleted or used since it was listed."""
    visitor = Visitor.internal(workspace_id, "retention")
    try:
        with writing() as session:
            slide = catalog.find(session, visitor, slide_id)
            catalog.lock(session, slide)
            # Listed without a lock: read again under it, since an analysis may have been started.
            if session.scalar(select(Slide.id).where(Slide.id == slide_id, *_is_idle(days))) is None:
                return False
            deletion.delete(session, slide)
            audit.write(session, visitor, "slide.expire", slide_id, "", days=days)
    except NotFound:
        return False
    storage.remove(slide_id)  # after the commit: a rolled back deletion must not lose the file
    return True


def _expired_rows() -> list[Delete]:
    """Returns the DELETE statements, in the order of the fields of `Purged`."""
    # The time of a revocation is not stored, so a revoked session's week counts from its creation.
    old = now() - SESSION_DAYS * DAY
    ended = or_(Credential.expires_at < old, and_(Credential.revoked, Credential.created_at < old))
    return [
        delete(Idempotency).where(Idempotency.created_at < now() - ANSWER_DAYS * DAY),
        delete(Credential).where(Credential.kind != "key", ended),
        delete(Worker).where(Worker.seen_at < now() - WORKER_DAYS * DAY),
    ]
