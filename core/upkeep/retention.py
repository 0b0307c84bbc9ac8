"""python -m admin retention [--days N]: what is kept for how long, and what goes by itself.

    slides        for ever, or QUARTERTURN_KEEP_DAYS after anything was last changed, analysed or asked of them (to look
                  does not count): deleted as if somebody had, and told in the audit in the name of `retention`
    answers       to requests with an Idempotency-Key: a week, since a file's name may stand in them
    sessions      and one-time links: a week after they ended; keys stay listed
    workers       that were not heard of: a day
    the audit     for ever

What a person said of a slide (its file's name, identifiers) goes with the slide (core.slides.deletion). Workers call
`purge` now and then; the command says what would go.
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
AT_ONCE = 100
SETTLED = ("ready", "needs_input", "rejected")


@dataclass(frozen=True)
class Purged:
    """How many of each are gone."""

    slides: int
    answers: int
    sessions: int
    workers: int


def _nothing_since(days: float) -> tuple[ColumnElement[bool], ...]:
    oldest = now() - days * DAY
    mine = and_(Analysis.slide_id == Slide.id, Analysis.state != "cancelled")
    analysed = exists().where(mine, or_(Analysis.ended_at.is_(None), Analysis.ended_at >= oldest))
    asked = exists().where(Work.slide_id == Slide.id, Work.kind.in_(("profile", "evaluate")), Work.created_at >= oldest)
    return Slide.state.in_(SETTLED), Slide.updated_at < oldest, ~analysed, ~asked


def due_slides(session: Session, days: float) -> list[tuple[str, str]]:
    """(slide id, workspace id) of slides that nothing has happened to for so many days, the oldest first."""
    found = select(Slide.id, Slide.workspace_id).where(*_nothing_since(days)).order_by(Slide.updated_at)
    return [(row[0], row[1]) for row in session.execute(found.limit(AT_ONCE))]


def purge() -> Purged:
    """Let go what is due: a part of the slides at a time, each in a transaction of its own."""
    days = get_settings().keep_days
    slides = 0
    if days:
        with reading() as session:
            found = due_slides(session, days)
        slides = sum(_expire(slide_id, workspace_id, days) for slide_id, workspace_id in found)
    with writing() as session:
        counts = [affected_rows(session, rule) for rule in _rules()]
    return Purged(slides, *counts)


def _expire(slide_id: str, workspace_id: str, days: float) -> bool:
    """False when somebody was faster, or did something with it in the meantime."""
    keeper = Visitor.internal(workspace_id, "retention")
    try:
        with writing() as session:
            slide = catalog.find(session, keeper, slide_id)
            catalog.lock(session, slide)
            if session.scalar(select(Slide.id).where(Slide.id == slide_id, *_nothing_since(days))) is None:
                return False
            deletion.delete(session, slide)
            audit.write(session, keeper, "slide.expire", slide_id, "", days=days)
    except NotFound:
        return False
    storage.remove(slide_id)
    return True


def _rules() -> list[Delete]:
    old = now() - SESSION_DAYS * DAY
    ended = or_(Credential.expires_at < old, and_(Credential.revoked, Credential.created_at < old))
    return [
        delete(Idempotency).where(Idempotency.created_at < now() - ANSWER_DAYS * DAY),
        delete(Credential).where(Credential.kind != "key", ended),
        delete(Worker).where(Worker.seen_at < now() - WORKER_DAYS * DAY),
    ]
