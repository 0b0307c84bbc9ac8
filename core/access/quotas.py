"""Quotas of one principal: bytes, slides, and analyses under way.

Sums are taken under a lock on the principal's row, so concurrent requests cannot exceed a quota together.
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.access import credentials
from core.access.visitor import Visitor
from core.database.analyses import Analysis
from core.database.slides import Slide, Upload, keeps_files
from core.errors import TooLarge, TooMany
from core.settings import get_settings

UNDER_WAY = ("queued", "running")
ACTION = "delete slides, or ask an administrator for more"


def require_slide_quota(session: Session, visitor: Visitor, length: int) -> None:
    """Checks that the visitor may add a slide.

    Args:
        length: bytes that the slide takes in the data folder; 0 for a slide by reference.

    Raises:
        TooLarge: its bytes exceed the visitor's quota.
        TooMany: the visitor has as many slides as allowed.
    """
    settings = get_settings()
    # Without quotas, uploads of one principal need not wait for each other.
    if not (settings.quota_bytes or settings.quota_slides):
        return
    credentials.lock_principal(session, visitor.principal_id)
    _require_bytes(session, visitor, length, settings.quota_bytes)
    _require_slides(session, visitor, settings.quota_slides)


def _require_bytes(session: Session, visitor: Visitor, length: int, limit: int) -> None:
    if not (limit and length):
        return
    # The declared length of each upload, not the bytes received: an upload under way will need them.
    lengths = select(func.coalesce(func.sum(Upload.length), 0)).join(Slide, Upload.slide_id == Slide.id)
    # PostgreSQL sums integers to a Decimal.
    used = int(session.scalar(lengths.where(Slide.created_by == visitor.principal_id, keeps_files())) or 0)
    if used + length > limit:
        detail = f"{length} bytes are more than what is left of your {limit} ({used} are used)"
        raise TooLarge("quota-bytes", detail, ACTION, bytes=length, used_bytes=used, most_bytes=limit)


def _require_slides(session: Session, visitor: Visitor, limit: int) -> None:
    if not limit:
        return
    mine = select(func.count()).where(Slide.created_by == visitor.principal_id, Slide.state != "deleted")
    if (session.scalar(mine) or 0) >= limit:
        detail = f"you have {limit} slides, the most that your quota allows"
        raise TooMany("quota-slides", detail, ACTION, most=limit)


def require_analysis_quota(session: Session, principal_id: str) -> None:
    """Checks that a principal may start an analysis; "" is no principal and has no quota.

    Raises:
        TooMany: as many as allowed are under way.
    """
    limit = get_settings().quota_analyses
    if not (limit and principal_id):
        return
    credentials.lock_principal(session, principal_id)
    mine = select(func.count()).where(Analysis.created_by == principal_id, Analysis.state.in_(UNDER_WAY))
    if (session.scalar(mine) or 0) >= limit:
        detail = f"you have {limit} analyses under way, the most that your quota allows"
        raise TooMany("quota-analyses", detail, "wait for one to end", most=limit)
