"""Slides: their record from upload to deletion."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from core.access import quotas
from core.access.credentials import Visitor
from core.database.record import NOT_INSPECTED, Analysis, Outlines, Slide, Upload, Work
from core.database.transactions import clock
from core.errors import Conflict, Foreign, Gone, Invalid, NotFound
from core.reader.client import SlideInfo
from core.slides import storage
from core.work import leases

PAGE = 100
QUERY_IDS = 500
IDENTIFIERS = ("accession", "barcode", "block", "container", "issuer", "organ", "specimen", "stain")
SLIDE_DELETED = {
    "code": "slide-deleted",
    "detail": "a slide of this evaluation was deleted",
    "action": "evaluate the others",
}


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
        last = find(session, visitor, cursor)
        older = (Slide.created_at < last.created_at) | ((Slide.created_at == last.created_at) & (Slide.id < last.id))
        found = found.where(older)
    return list(session.scalars(found.order_by(Slide.created_at.desc(), Slide.id.desc()).limit(limit)))


def latest_analyses(session: Session, slides: list[Slide]) -> dict[str, LatestAnalysis]:
    """The newest analysis of each slide that was not cancelled, by slide id; without its results."""
    columns = (Analysis.slide_id, Analysis.id, Analysis.state, Analysis.withheld)
    found = select(*columns).where(Analysis.slide_id.in_([slide.id for slide in slides]), Analysis.state != "cancelled")
    rows = session.execute(found.order_by(Analysis.created_at, Analysis.id))
    return {slide_id: LatestAnalysis(known, state, withheld is not None) for slide_id, known, state, withheld in rows}


def require_unaltered(slide: Slide) -> None:
    """Raises Gone: the file of a slide by reference is another than was inspected, or is away."""
    storage.require_unaltered(slide.file, (slide.info or {}).get("stamp"))


def info_of(slide: Slide) -> SlideInfo:
    """The inspection's answer.

    Raises:
        Conflict: the slide was not inspected, or not accepted.
    """
    if slide.info is None or slide.state not in ("ready", "needs_input"):
        raise Conflict("slide-not-ready", f"the slide is {slide.state}, not ready", "wait, or see its reason")
    return SlideInfo.from_dict(slide.info)


def referred(session: Session, visitor: Visitor, path: Path, sha256: str | None, identifiers: dict[str, str]) -> Slide:
    """A slide that stays where it lies: inspect it there. Raises TooMany: the principal keeps as many as it may."""
    quotas.require_room(session, visitor, 0)
    created = clock(session)
    slide = Slide(
        workspace_id=visitor.workspace_id,
        filename=clean_filename(path.name),
        file=str(path),
        declared_sha256=sha256,
        created_by=visitor.principal_id,
        identifiers=identifiers,
        created_at=created,
        updated_at=created,
    )
    session.add(slide)
    session.flush()
    uploaded(session, slide, path.stat().st_size)
    return slide


def uploaded(session: Session, slide: Slide, size_bytes: int) -> Work:
    """All bytes are here: inspect them."""
    slide.state, slide.size_bytes, slide.updated_at = "inspecting", size_bytes, clock(session)
    return leases.add(session, "inspect", slide.workspace_id, slide.id)


def inspected(session: Session, slide: Slide, info: SlideInfo, sha256: str, tissue: bytes | None) -> None:
    """What the inspection found; without mpp the slide asks for it."""
    slide.info, slide.sha256, slide.tissue = info.to_dict(), sha256, tissue
    slide.updated_at = clock(session)
    if info.mpp_x is None:
        slide.state = "needs_input"
        slide.reason = {
            "code": "mpp-missing",
            "detail": "the file does not say how many micrometres a pixel has",
            "action": "give mpp, for example 0.25 for 40× or 0.5 for 20×",
        }
    else:
        slide.state, slide.reason = "ready", None


def not_inspected(session: Session, slide: Slide, reason: dict[str, Any]) -> None:
    """The inspection failed, and not by the file's fault as far as is known: its bytes stay, to be inspected again."""
    slide.state, slide.reason, slide.updated_at = "rejected", {**reason, "code": NOT_INSPECTED}, clock(session)


def inspect_again(session: Session, slide: Slide) -> Work:
    """A new inspection of a slide whose last one failed in the worker.

    Raises:
        Conflict: it did not. Gone: the bytes are not where they were.
    """
    lock(session, slide)
    if slide.state != "rejected" or (slide.reason or {}).get("code") != NOT_INSPECTED:
        raise Conflict("nothing-to-inspect", "the inspection of this slide did not fail", "see the slide's state")
    if not storage.absolute(slide.file).exists():
        raise Gone("slide-file-gone", "the slide's bytes are not here", "send it again")
    info = SlideInfo.from_dict(slide.info) if slide.info else None
    slide.state, slide.reason, slide.updated_at = "inspecting", None, clock(session)
    payload = {"mpp": info.mpp_x} if info and info.mpp_source == "user" else {}
    return leases.add(session, "inspect", slide.workspace_id, slide.id, payload=payload)


def rejected(session: Session, slide: Slide, reason: dict[str, Any]) -> None:
    """The file is no usable slide: its record stays and says why, its bytes go."""
    slide.state, slide.reason, slide.updated_at = "rejected", reason, clock(session)


def answer(session: Session, slide: Slide, mpp: float | None, identifiers: dict[str, Any] | None) -> Work | None:
    """What the user says of a slide: mpp where the file has none, identifiers at any time.

    Raises:
        Conflict: the file says its mpp, the slide is not inspected, or analyses stand on the mpp that it has.
        Gone: another file lies where the slide's lay.
    """
    lock(session, slide)
    slide.updated_at = clock(session)
    if identifiers is not None:
        slide.identifiers = {**slide.identifiers, **identifiers}
    if mpp is None:
        return None
    require_unaltered(slide)
    info = info_of(slide)
    if info.mpp_source == "file":
        raise Conflict("mpp-known", f"the file says {info.mpp_x} µm per pixel itself", "leave mpp out")
    if session.scalars(select(Analysis.id).where(Analysis.slide_id == slide.id)).first() is not None:
        detail = f"analyses of this slide were made at {info.mpp_x} µm per pixel, and their places stand on it"
        raise Conflict("mpp-in-use", detail, "send the slide again to analyse it at another")
    slide.info = replace(info, mpp_x=mpp, mpp_y=mpp, mpp_source="user").to_dict()
    slide.state, slide.reason = "inspecting", None
    return leases.add(session, "inspect", slide.workspace_id, slide.id, payload={"mpp": mpp})


def hold(session: Session, slide: Slide) -> None:
    """Lock the slide's row until the transaction ends, and read it anew: set nothing before. Rows that only refer to
    it may be written meanwhile (PostgreSQL: FOR NO KEY UPDATE)."""
    session.refresh(slide, with_for_update={"key_share": True})


def lock(session: Session, slide: Slide) -> None:
    """Hold a slide that somebody wants to change.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    hold(session, slide)
    if slide.state == "deleted":
        raise NotFound("no-such-slide", "there is no such slide here", "see GET /api/v1/slides")


def delete(session: Session, slide: Slide) -> None:
    """The slide, its analyses' results and work, its upload and its files are gone; late writes find other tokens.

    What people said of it goes, too: its file's name, its identifiers, its outlines.
    """
    lock(session, slide)
    ended, mine = clock(session), select(Analysis).where(Analysis.slide_id == slide.id)
    for analysis in session.scalars(mine.order_by(Analysis.id).with_for_update(key_share=True)):
        analysis.results = None
        if analysis.state in ("queued", "running"):
            analysis.state, analysis.ended_at = "cancelled", ended
    _withdraw_evaluations(session, slide)
    own = and_(Work.slide_id == slide.id, Work.kind != "evaluate")
    leases.cancel_all(session, own)
    session.execute(update(Work).where(own).values(values=None, strangeness=None, result=None))
    session.execute(update(Upload).where(Upload.id == slide.id, Upload.state == "open").values(state="terminated"))
    session.execute(sql_delete(Outlines).where(Outlines.slide_id == slide.id))
    slide.tissue, slide.info, slide.updated_at = None, None, ended
    forget(session, slide)


def forget(session: Session, slide: Slide) -> None:
    """Deleted: its record stays, for the audit's sake, and says nothing."""
    slide.state, slide.filename, slide.identifiers, slide.reason = "deleted", "", {}, None
    if Path(slide.file).is_absolute():
        slide.file = ""  # a slide by reference: its path holds its name
    session.execute(update(Upload).where(Upload.id == slide.id).values(upload_metadata=""))


def _withdraw_evaluations(session: Session, slide: Slide) -> None:
    """Evaluations over many slides name this one's file, outlines and lesions: they are withdrawn, with the reason."""
    mine = session.scalars(select(Analysis.id).where(Analysis.slide_id == slide.id))
    named = [cast(Work.payload, String).contains(analysis_id) for analysis_id in mine]
    if not named:
        return
    theirs = and_(Work.kind == "evaluate", Work.workspace_id == slide.workspace_id, or_(*named))
    leases.cancel_all(session, theirs)
    session.execute(update(Work).where(theirs, Work.result.is_not(None)).values(result={"refused": SLIDE_DELETED}))


def gone(session: Session, slide_ids: list[str]) -> list[str]:
    """Those of some slides whose files must not be here any more: deleted ones, and rejected by their own fault."""
    judged = and_(Slide.state == "rejected", Slide.reason["code"].as_string() != NOT_INSPECTED)
    return _of_these(session, slide_ids, or_(Slide.state == "deleted", judged))


def unknown(session: Session, slide_ids: list[str]) -> list[str]:
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
