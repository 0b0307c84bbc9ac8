"""Slides: list, look, answer, delete, thumbnail, and the description of their tiles."""

from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from fastapi.responses import FileResponse

from api.contract.media import Jpeg, Xml
from api.contract.slides import LatestAnalysis, ListedSlide, SlideChange, SlideOut, SlidePage, SlideReference
from api.request.once import OnlyOnce
from api.request.trail import Told, Trail
from api.request.transactions import Read, Write, ring
from api.request.visitor import Admin, Analyst, Who
from core.access.idempotency import Answer
from core.access.visitor import Visitor
from core.database.slides import Slide
from core.database.transactions import reading
from core.errors import Gone, NotFound
from core.slides import catalog, deletion, inspection, opening, storage

router = APIRouter(prefix="/slides", tags=["slides"])


@router.get("")
def listed(
    session: Read,
    visitor: Who,
    query: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str, Query(max_length=32)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = catalog.PAGE,
) -> SlidePage:
    """Slides of the workspace, newest first; `query` is a part of the file name."""
    found = catalog.listed(session, visitor, query, cursor, limit + 1)
    more = found[limit - 1].id if len(found) > limit else None
    latest = catalog.latest_analyses(session, found[:limit])
    return SlidePage(slides=[_listed(slide, latest.get(slide.id)) for slide in found[:limit]], next_cursor=more)


def _listed(slide: Slide, latest: catalog.LatestAnalysis | None) -> ListedSlide:
    known = None if latest is None else LatestAnalysis(**latest.__dict__)
    return ListedSlide(**SlideOut.of(slide).model_dump(), latest_analysis=known)


@router.post("", status_code=201)
def refer(
    session: Write, visitor: Analyst, wanted: SlideReference, later: BackgroundTasks, once: OnlyOnce, told: Told
) -> SlideOut:
    """A slide by reference: a file in the import folder of the service, read where it lies and never changed."""
    identifiers = catalog.clean_identifiers(wanted.identifiers)

    def produce() -> Answer:
        path = storage.find_import(wanted.path)
        slide = inspection.referred(session, visitor, path, wanted.sha256, identifiers)
        told.changed(session, "slide.refer", slide.id)
        later.add_task(ring)
        return SlideOut.of(slide).model_dump()

    return SlideOut(**once(wanted, produce))


@router.get("/{slide_id}.dzi", response_class=Xml)
def deep_zoom(session: Read, visitor: Who, slide_id: str, told: Told) -> Response:
    """The Deep Zoom descriptor, for any viewer that knows the format."""
    info = catalog.info_of(catalog.find(session, visitor, slide_id))
    told.viewed(session, "slide.view", slide_id)
    content = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" Overlap="1" TileSize="254">'
        f'<Size Width="{info.width}" Height="{info.height}"/></Image>'
    )
    return Xml(content)


@router.get("/{slide_id}")
def look(session: Read, visitor: Who, slide_id: str) -> SlideOut:
    return SlideOut.of(catalog.find(session, visitor, slide_id))


@router.patch("/{slide_id}")
def change(
    session: Write,
    visitor: Analyst,
    slide_id: str,
    change: SlideChange,
    later: BackgroundTasks,
    once: OnlyOnce,
    told: Told,
) -> SlideOut:
    """Answer `needs_input` with mpp, or set identifiers."""
    slide = catalog.find(session, visitor, slide_id)
    identifiers = None if change.identifiers is None else catalog.clean_identifiers(change.identifiers)

    def produce() -> Answer:
        if inspection.answer(session, slide, change.mpp, identifiers) is not None:
            later.add_task(ring)
        told.changed(session, "slide.change", slide.id, changed=sorted(change.model_dump(exclude_none=True)))
        return SlideOut.of(slide).model_dump()

    return SlideOut(**once(change, produce))


@router.post("/{slide_id}/inspect")
def inspect_again(
    session: Write, visitor: Analyst, slide_id: str, later: BackgroundTasks, once: OnlyOnce, told: Told
) -> SlideOut:
    """Inspect a slide again whose inspection failed in the worker (reason `inspect-failed`): its bytes are here."""

    def produce() -> Answer:
        slide = catalog.find(session, visitor, slide_id)
        inspection.inspect_again(session, slide)
        told.changed(session, "slide.inspect", slide.id)
        later.add_task(ring)
        return SlideOut.of(slide).model_dump()

    return SlideOut(**once(None, produce))


@router.delete("/{slide_id}", status_code=204)
def delete(
    session: Write,
    visitor: Analyst,
    slide_id: str,
    request: Request,
    later: BackgroundTasks,
    once: OnlyOnce,
    told: Told,
) -> Response:
    """Remove a slide, its analyses and its files; a file that was named by reference stays where it is."""

    def produce() -> Answer:
        slide = catalog.find(session, visitor, slide_id)
        opened = storage.absolute(slide.file)
        with suppress(Gone):
            opened = opening.reader_path(slide.id, slide.file)
        deletion.delete(session, slide)
        told.changed(session, "slide.delete", slide.id)
        later.add_task(storage.remove, slide_id)
        later.add_task(request.app.state.files.drop, opened)  # after: none opens it again
        return {}

    once(None, produce)
    return Response(status_code=204, background=later)


@router.get("/{slide_id}/thumbnail", response_class=Jpeg)
def thumbnail(session: Read, visitor: Who, slide_id: str) -> FileResponse:
    """JPEG, at most 400 px a side."""
    path = storage.folder(catalog.find(session, visitor, slide_id).id) / storage.THUMBNAIL
    if not path.exists():
        raise NotFound("no-thumbnail", "this slide has no thumbnail", "wait for its inspection")
    return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/{slide_id}/macro", response_class=Jpeg)
def macro(visitor: Analyst, slide_id: str, request: Request, told: Told) -> Response:
    """JPEG of the whole glass, both ends painted over: a label lies at one of them. Written down in the audit."""
    return _reveal(visitor, slide_id, "macro", request, told)


@router.get("/{slide_id}/label", response_class=Jpeg)
def label(visitor: Admin, slide_id: str, request: Request, told: Told) -> Response:
    """JPEG of the label, which may name the patient. For administrators; written down in the audit."""
    return _reveal(visitor, slide_id, "label", request, told)


def _reveal(
    visitor: Visitor, slide_id: str, name: Literal["macro", "label"], request: Request, told: Trail
) -> Response:
    """What lies beside the slide in its file. It is written down before it is read, so that nothing is shown unseen."""
    with reading() as session:
        slide = catalog.find(session, visitor, slide_id)
        catalog.info_of(slide)
        opening.require_unaltered(slide)
        told.sent(session, f"slide.{name}.reveal", slide.id)
    with request.app.state.files.reader(opening.slide_file(slide).path) as reader:
        content = reader.call(name)[1]
    return Jpeg(content, headers={"Cache-Control": "no-store"})


@router.get("/{slide_id}/tiles")
def tiles(session: Read, visitor: Who, slide_id: str, told: Told) -> dict[str, Any]:
    """The slide's levels, finest first, each with its own tile size; tiles lie at tiles/{level}/{col}_{row}.jpeg."""
    slide = catalog.find(session, visitor, slide_id)
    info = catalog.info_of(slide)
    told.viewed(session, "slide.view", slide.id)
    return {
        "width": info.width,
        "height": info.height,
        "mpp_x": info.mpp_x,
        "mpp_y": info.mpp_y,
        "levels": [level.__dict__ for level in info.levels],
        "tile_url": f"/api/v1/slides/{slide.id}/tiles/{{level}}/{{col}}_{{row}}.jpeg",
        "version": (slide.sha256 or "")[:16],
    }
