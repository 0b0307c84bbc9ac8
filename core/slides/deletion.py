"""Deletes slides and everything that is derived from them."""

from pathlib import Path

from sqlalchemy import String, and_, cast, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from core.database.analyses import Analysis, Work
from core.database.slides import Outlines, Slide, Upload
from core.database.transactions import clock
from core.slides.catalog import lock
from core.work import leases

SLIDE_DELETED = {
    "code": "slide-deleted",
    "detail": "a slide of this evaluation was deleted",
    "action": "evaluate the others",
}


def delete(session: Session, slide: Slide) -> None:
    """Marks a slide deleted and erases what the database holds of it.

    Results, values, tissue mask, outlines, file name and identifiers are erased; running work is cancelled, and its
    raised token fences off late writes. Files stay: the caller removes them after the commit (`storage.remove`), since
    a rollback brings no file back; the reconciler removes what a crash in between leaves.
    """
    lock(session, slide)  # excludes an analysis that is requested at the same moment
    ended, mine = clock(session), select(Analysis).where(Analysis.slide_id == slide.id)
    for analysis in session.scalars(mine.order_by(Analysis.id).with_for_update(key_share=True)):
        analysis.results = None
        if analysis.state in ("queued", "running"):
            analysis.state, analysis.ended_at = "cancelled", ended
    _withdraw_evaluations(session, slide)
    # An evaluation names one slide in its row and concerns several: `_withdraw_evaluations` decides about it.
    own = and_(Work.slide_id == slide.id, Work.kind != "evaluate")
    leases.cancel_all(session, own)
    session.execute(update(Work).where(own).values(values=None, strangeness=None, result=None))
    session.execute(update(Upload).where(Upload.id == slide.id, Upload.state == "open").values(state="terminated"))
    session.execute(sql_delete(Outlines).where(Outlines.slide_id == slide.id))
    slide.tissue, slide.info, slide.updated_at = None, None, ended
    forget(session, slide)


def forget(session: Session, slide: Slide) -> None:
    """Turns a record into a deleted one: it stays, since the audit refers to it, without its content."""
    slide.state, slide.filename, slide.identifiers, slide.reason = "deleted", "", {}, None
    if Path(slide.file).is_absolute():
        slide.file = ""  # the path of a slide by reference contains its file name
    session.execute(update(Upload).where(Upload.id == slide.id).values(upload_metadata=""))


def _withdraw_evaluations(session: Session, slide: Slide) -> None:
    """Withdraws evaluations that include the slide: their results name its file, outlines and lesions."""
    mine = session.scalars(select(Analysis.id).where(Analysis.slide_id == slide.id))
    named = [cast(Work.payload, String).contains(analysis_id) for analysis_id in mine]
    if not named:
        return
    theirs = and_(Work.kind == "evaluate", Work.workspace_id == slide.workspace_id, or_(*named))
    leases.cancel_all(session, theirs)
    session.execute(update(Work).where(theirs, Work.result.is_not(None)).values(result={"refused": SLIDE_DELETED}))
