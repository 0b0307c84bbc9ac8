"""Finds, lists and locks the records of slides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from core.access.visitor import Visitor
from core.database import search
from core.database.analyses import Analysis
from core.database.slides import KEPT, Slide
from core.errors import Conflict, Foreign, Invalid, NotFound
from core.pixels.levels import SlideInfo

PAGE = 100
QUERY_IDS = 500
# Dropped from file names: what some system forbids, and what turns the direction of text.
DROPPED = f"{search.FORBIDDEN}\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
IDENTIFIERS = ("accession", "barcode", "block", "case", "container", "issuer", "note", "organ", "specimen", "stain")


@dataclass(frozen=True)
class LatestAnalysis:
    """The newest analysis of a slide, as a list of slides shows it."""

    id: str
    state: str
    withheld: bool


def find(session: Session, visitor: Visitor, slide_id: str) -> Slide:
    """Returns a slide of the visitor's workspace.

    Raises:
        NotFound: the workspace has no such slide. Foreign: another workspace has it.
    """
    slide = session.get(Slide, slide_id)
    if slide is None or slide.workspace_id != visitor.workspace_id or slide.state == "deleted":
        missing = NotFound if slide is None or slide.workspace_id == visitor.workspace_id else Foreign
        raise missing("no-such-slide", "there is no such slide here", "see GET /api/v1/slides")
    return slide


def listed(
    session: Session,
    visitor: Visitor,
    query: str = "",
    cursor: str = "",
    limit: int = PAGE,
    identifiers: Mapping[str, str] | None = None,
) -> list[Slide]:
    """Returns the slides of a workspace, newest first, after `cursor` (a slide id).

    Slides of the same moment are ordered by id, so that a page boundary between them loses none.

    Args:
        query: words that must each be a part of the file name or of an identifier, without regard to case.
        identifiers: values that the slide's identifiers must have, exactly.
    """
    rows = select(Slide).where(Slide.workspace_id == visitor.workspace_id, Slide.state.notin_(("deleted", "uploading")))
    rows = rows.where(*(Slide.search_text.like(pattern, escape="\\") for pattern in _patterns(query)))
    for name, value in (identifiers or {}).items():
        rows = rows.where(Slide.identifiers[name].as_string() == search.compose(value))
    if cursor:
        last = _last_of_page(session, visitor, cursor)
        older = (Slide.created_at < last.created_at) | ((Slide.created_at == last.created_at) & (Slide.id < last.id))
        rows = rows.where(older)
    return list(session.scalars(rows.order_by(Slide.created_at.desc(), Slide.id.desc()).limit(limit)))


def _patterns(query: str) -> list[str]:
    """The patterns of a query's words. Raises Invalid where it has characters, and none that a search compares."""
    patterns = search.patterns(query)
    if query.strip() and not patterns:
        raise Invalid("empty-query", "the query has no character that is compared", "search for a part of a name")
    return patterns


def _last_of_page(session: Session, visitor: Visitor, slide_id: str) -> Slide:
    """A cursor's slide. Its record outlives its deletion, so paging continues when the slide is deleted meanwhile.

    Raises:
        NotFound: the workspace never had such a slide.
    """
    slide = session.get(Slide, slide_id)
    if slide is None or slide.workspace_id != visitor.workspace_id:
        return find(session, visitor, slide_id)  # which raises
    return slide


def latest_analyses(session: Session, slides: list[Slide]) -> dict[str, LatestAnalysis]:
    """Returns the newest analysis of each slide, by slide id. Cancelled ones do not count; results are not read."""
    columns = (Analysis.slide_id, Analysis.id, Analysis.state, Analysis.withheld)
    query = select(*columns).where(Analysis.slide_id.in_([slide.id for slide in slides]), Analysis.state != "cancelled")
    rows = session.execute(query.order_by(Analysis.created_at, Analysis.id))
    return {
        slide_id: LatestAnalysis(analysis_id, state, withheld is not None)
        for slide_id, analysis_id, state, withheld in rows
    }


def info_of(slide: Slide) -> SlideInfo:
    """Returns what the inspection recorded of a slide.

    Raises:
        Conflict: the slide was not inspected, or not accepted.
    """
    if slide.info is None or slide.state not in ("ready", "needs_input"):
        raise Conflict("slide-not-ready", f"the slide is {slide.state}, not ready", "wait, or see its reason")
    return SlideInfo.from_dict(slide.info)


def viewable_info(slide: Slide) -> SlideInfo:
    """Returns what the last inspection recorded, also while the slide is inspected again: its viewers keep their tiles.

    Raises:
        Conflict: the slide was not inspected, or not accepted.
    """
    if slide.info is not None and slide.state == "inspecting":
        return SlideInfo.from_dict(slide.info)
    return info_of(slide)


def lock_row(session: Session, slide: Slide) -> None:
    """Locks the slide's row until the transaction ends and reads it again, which discards changes not yet flushed.

    PostgreSQL takes FOR NO KEY UPDATE: rows that only refer to the slide may be inserted meanwhile.
    """
    session.refresh(slide, with_for_update={"key_share": True})


def lock(session: Session, slide: Slide) -> None:
    """Locks a slide that is about to change.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    lock_row(session, slide)
    if slide.state == "deleted":
        raise NotFound("no-such-slide", "there is no such slide here", "see GET /api/v1/slides")


def without_files(session: Session, slide_ids: list[str]) -> list[str]:
    """Returns those slides of which no file may be stored: deleted ones, and ones rejected for their own fault."""
    judged = and_(Slide.state == "rejected", Slide.reason["code"].as_string().notin_(KEPT))
    return _of_these(session, slide_ids, or_(Slide.state == "deleted", judged))


def unrecorded(session: Session, slide_ids: list[str]) -> list[str]:
    """Returns the ids that name no slide: folders of uploads whose first transaction never committed."""
    recorded = set(_of_these(session, slide_ids))
    return [slide_id for slide_id in slide_ids if slide_id not in recorded]


def _of_these(session: Session, slide_ids: list[str], *conditions: ColumnElement[bool]) -> list[str]:
    """Returns the ids whose slide meets the conditions, in queries of no more parameters than a database takes."""
    parts = (slide_ids[start : start + QUERY_IDS] for start in range(0, len(slide_ids), QUERY_IDS))
    return [
        slide_id
        for part in parts
        for slide_id in session.scalars(select(Slide.id).where(Slide.id.in_(part), *conditions))
    ]


def clean_filename(name: str) -> str:
    """Returns the last part of a path, printable, of at most 200 characters; 'slide' when nothing is left.

    Text that changes direction within a name can make it look like another, so such characters are dropped.
    """
    last = search.compose(name).replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(c for c in last if c.isprintable() and c not in DROPPED)
    return printable.strip(" .")[:200] or "slide"


def clean_identifiers(content: dict[str, Any]) -> dict[str, str]:
    """Returns identifiers of a slide after checking their names and values.

    Raises:
        Invalid: a name that is not in IDENTIFIERS, or a value that is not a short printable string.
    """
    for name, value in content.items():
        if name not in IDENTIFIERS or not isinstance(value, str) or len(value) > 200 or not value.isprintable():
            raise Invalid(
                "bad-identifier",
                f"{name!r} is not an identifier, or its value is not a short text",
                f"use {IDENTIFIERS}",
            )
    return {name: search.compose(value) for name, value in content.items()}
