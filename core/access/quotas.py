"""What one principal may keep and have under way; summed up under a lock, so that of many at once none is missed."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.access import credentials
from core.access.visitor import Visitor
from core.database.analyses import Analysis
from core.database.slides import Slide, Upload, keeps_files
from core.errors import TooLarge, TooMany
from core.settings import get_settings

UNDER_WAY = ("queued", "running")
ASK = "delete slides, or ask an administrator for more"


def require_slide_quota(session: Session, visitor: Visitor, length: int) -> None:
    """For one more slide of the visitor's, of which `length` bytes are kept here (0: it stays where it lies).

    Raises:
        TooLarge: of so many bytes. TooMany: of one more slide.
    """
    settings = get_settings()
    if not (settings.quota_bytes or settings.quota_slides):
        return
    credentials.lock_principal(session, visitor.principal_id)
    _require_bytes(session, visitor, length, settings.quota_bytes)
    _require_slides(session, visitor, settings.quota_slides)


def _require_bytes(session: Session, visitor: Visitor, length: int, most: int) -> None:
    if not (most and length):
        return
    mine = select(func.coalesce(func.sum(Upload.length), 0)).join(Slide, Upload.slide_id == Slide.id)
    kept = session.scalar(mine.where(Slide.created_by == visitor.principal_id, keeps_files())) or 0
    if kept + length > most:
        told = f"{length} bytes are more than what is left of your {most} ({kept} are used)"
        raise TooLarge("quota-bytes", told, ASK)


def _require_slides(session: Session, visitor: Visitor, most: int) -> None:
    if not most:
        return
    mine = select(func.count()).where(Slide.created_by == visitor.principal_id, Slide.state != "deleted")
    if (session.scalar(mine) or 0) >= most:
        raise TooMany("quota-slides", f"you keep {most} slides here, as many as you may", ASK)


def require_analysis_quota(session: Session, principal_id: str) -> None:
    """For one more analysis that counts against a principal; "": against nobody. Raises TooMany."""
    most = get_settings().quota_analyses
    if not (most and principal_id):
        return
    credentials.lock_principal(session, principal_id)
    mine = select(func.count()).where(Analysis.created_by == principal_id, Analysis.state.in_(UNDER_WAY))
    if (session.scalar(mine) or 0) >= most:
        told = f"you have {most} analyses under way, as many as you may"
        raise TooMany("quota-analyses", told, "wait for one to end")
