"""Slides: their record from upload to deletion."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from core.access.visitor import Visitor
from core.database.analyses import Analysis
from core.database.slides import NOT_INSPECTED, Slide
from core.errors import Conflict, Foreign, Invalid, NotFound
from core.pixels.levels import SlideInfo

PAGE = 100
QUERY_IDS = 500
IDENTIFIERS = ("accession", "barcode", "block", "container", "issuer", "organ", "specimen", "stain")


@dataclass(frozen=True)
class LatestAnalysis:
    """What a list of slides shows of a slide's newest analysis."""

    id: str
    state: str
    withheld: bool


def find(session: Session, visitor: Visitor, slide_id: str) -> Slide:
    """A slide of the visitor's workspace.

    Raises:
        NotFound: no such slide there; another workspace's is none.
    """
    slide = session.get(Slide, slide_id)
    if slide is None or slide.workspace_id != visitor.workspace_id or slide.state == "deleted":
        missing = NotFound if slide is None or slide.workspace_id == visitor.workspace_id else Foreign
        raise missing("no-such-slide", "there is no such slide here", "see GET /api/v1/slides")
    return slide


def listed(session: Session, visitor: Visitor, query: str = "", cursor: str = "", limit: int = PAGE) -> list[Slide]:
    """Slides of the workspace, newest first, after `cursor` (a slide id)."""
    found = select(Slide).where(
        Slide.workspace_id == visitor.workspace_id, Slide.state.notin_(("deleted", "uploading"))
    )
    if query:
        escaped = query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        found = found.where(Slide.filename.ilike(f"%{escaped}%", escape="\\"))
    if cursor:
        last = _last_of_page(session, visitor, cursor)
        older = (Slide.created_at < last.created_at) | ((Slide.created_at == last.created_at) & (Slide.id < last.id))
        found = found.where(older)
    return list(session.scalars(found.order_by(Slide.created_at.desc(), Slide.id.desc()).limit(limit)))


def _last_of_page(session: Session, visitor: Visitor, slide_id: str) -> Slide:
    """A cursor's slide. Its record outlives its deletion, so paging goes on where somebody deletes meanwhile.

    Raises:
        NotFound: the workspace never had such a slide.
    """
    slide = session.get(Slide, slide_id)
    return (
        slide if slide is not None and slide.workspace_id == visitor.workspace_id else find(session, visitor, slide_id)
    )


def latest_analyses(session: Session, slides: list[Slide]) -> dict[str, LatestAnalysis]:
    """The newest analysis of each slide that was not cancelled, by slide id; without its results."""
    columns = (Analysis.slide_id, Analysis.id, Analysis.state, Analysis.withheld)
    found = select(*columns).where(Analysis.slide_id.in_([slide.id for slide in slides]), Analysis.state != "cancelled")
    rows = session.execute(found.order_by(Analysis.created_at, Analysis.id))
    return {slide_id: LatestAnalysis(known, state, withheld is not None) for slide_id, known, state, withheld in rows}


def info_of(slide: Slide) -> SlideInfo:
    """The inspection's answer.

    Raises:
        Conflict: the slide was not inspected, or not accepted.
    """
    if slide.info is None or slide.state not in ("ready", "needs_input"):
        raise Conflict("slide-not-ready", f"the slide is {slide.state}, not ready", "wait, or see its reason")
    return SlideInfo.from_dict(slide.info)


def lock_row(session: Session, slide: Slide) -> None:
    """Lock the slide's row until the transaction ends, and read it anew: set nothing before. Rows that only refer to
    it may be written meanwhile (PostgreSQL: FOR NO KEY UPDATE)."""
    session.refresh(slide, with_for_update={"key_share": True})


def lock(session: Session, slide: Slide) -> None:
    """Hold a slide that somebody wants to change.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    lock_row(session, slide)
    if slide.state == "deleted":
        raise NotFound("no-such-slide", "there is no such slide here", "see GET /api/v1/slides")


def without_files(session: Session, slide_ids: list[str]) -> list[str]:
    """Those of some slides whose files must not be here any more: deleted ones, and rejected by their own fault."""
    judged = and_(Slide.state == "rejected", Slide.reason["code"].as_string() != NOT_INSPECTED)
    return _of_these(session, slide_ids, or_(Slide.state == "deleted", judged))


def unrecorded(session: Session, slide_ids: list[str]) -> list[str]:
    """Those of some ids that name no slide: what an upload left whose first transaction never ended."""
    known = set(_of_these(session, slide_ids))
    return [slide_id for slide_id in slide_ids if slide_id not in known]


def _of_these(session: Session, slide_ids: list[str], *conditions: ColumnElement[bool]) -> list[str]:
    """Those of some ids whose slide meets the conditions, asked for in parts that a database takes."""
    parts = (slide_ids[start : start + QUERY_IDS] for start in range(0, len(slide_ids), QUERY_IDS))
    return [
        found for part in parts for found in session.scalars(select(Slide.id).where(Slide.id.in_(part), *conditions))
    ]


def clean_filename(name: str) -> str:
    """The last part of a path, printable, at most 200 characters; 'slide' when nothing is left."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*\u202a\u202b\u202d\u202e\u2066\u2067\u2068')
    return shown.strip(" .")[:200] or "slide"


def clean_identifiers(content: dict[str, Any]) -> dict[str, str]:
    """Short strings by known names only.

    Raises:
        Invalid: another name, or a value that is no short string.
    """
    for name, value in content.items():
        if name not in IDENTIFIERS or not isinstance(value, str) or len(value) > 200 or not value.isprintable():
            raise Invalid(
                "bad-identifier", f"{name!r} is no identifier, or its value no short text", f"use {IDENTIFIERS}"
            )
    return dict(content)
