"""Slides: list, register, change, delete, and their pictures and tiles' description."""

from contextlib import suppress
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from api.contract.media import Jpeg, Npy, Xml
from api.contract.slides import ListedSlide, SlideChange, SlideOut, SlidePage, SlideReference, TilesOut
from api.request.change import Change
from api.request.trail import Trail
from api.request.transactions import Read
from api.request.visitor import Visitor
from core.analyses.mask import cell_kinds
from core.database.transactions import reading
from core.errors import Gone, NotFound
from core.slides import catalog, deletion, inspection, opening, scale, storage

router = APIRouter(prefix="/slides", tags=["slides"])


Identifier = Annotated[str | None, Query(max_length=200, description="slides with exactly this identifier")]


@router.get("")
def list_slides(
    session: Read,
    visitor: Visitor,
    query: Annotated[str, Query(max_length=200, description="words of the file name or of identifiers")] = "",
    accession: Identifier = None,
    barcode: Identifier = None,
    case: Identifier = None,
    cursor: Annotated[str, Query(max_length=32)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = catalog.PAGE,
) -> SlidePage:
    """Returns the slides of the workspace, newest first.

    Each word of `query` must be a part of the file name or of an identifier (accession, barcode, case, note, …),
    without regard to case and to Unicode's forms. `accession`, `barcode` and `case` must be equal.
    """
    filters = {"accession": accession, "barcode": barcode, "case": case}
    exact = {name: value for name, value in filters.items() if value is not None}
    slides = catalog.listed(session, visitor, query, cursor, limit + 1, exact)
    next_cursor = slides[limit - 1].id if len(slides) > limit else None
    latest = catalog.latest_analyses(session, slides[:limit])
    page = [ListedSlide.from_records(slide, latest.get(slide.id)) for slide in slides[:limit]]
    return SlidePage(slides=page, next_cursor=next_cursor)


@router.post("", status_code=201)
def refer_slide(change: Change, request: SlideReference) -> SlideOut:
    """Registers a file in the service's import folder. It is read in place and never changed."""
    identifiers = catalog.clean_identifiers(request.identifiers)
    change.begin(request)
    path = storage.find_import(request.path)
    slide = inspection.register(change.session, change.visitor, path, request.sha256, identifiers)
    change.audit(slide.id)
    change.ring()
    return change.answer(SlideOut.from_record(slide))


@router.get("/{slide_id}.dzi", response_class=Xml)
def get_deep_zoom(session: Read, visitor: Visitor, slide_id: str, trail: Trail) -> Response:
    """The Deep Zoom descriptor, for any viewer that reads the format."""
    info = catalog.viewable_info(catalog.find(session, visitor, slide_id))
    trail.viewed(session, slide_id)
    content = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" Overlap="1" TileSize="254">'
        f'<Size Width="{info.width}" Height="{info.height}"/></Image>'
    )
    return Xml(content)


@router.get("/{slide_id}")
def get_slide(session: Read, visitor: Visitor, slide_id: str) -> SlideOut:
    """Returns a slide."""
    return SlideOut.from_record(catalog.find(session, visitor, slide_id))


@router.patch("/{slide_id}")
def change_slide(change: Change, slide_id: str, request: SlideChange) -> SlideOut:
    """Sets identifiers, or mpp. A correction of the file's mpp, or of one that analyses were made at, needs a reason.

    The slide is inspected again. Analyses of before keep their geometry and state the mpp that they were made at.
    """
    identifiers = None if request.identifiers is None else catalog.clean_identifiers(request.identifiers)
    change.begin(request)
    slide = catalog.find(change.session, change.visitor, slide_id)
    reason = scale.clean_reason(request.reason)
    correction = scale.amend(change.session, slide, request.mpp_pair(), identifiers, reason)
    if correction is not None:
        change.ring()
    changed = sorted(request.model_dump(exclude_none=True))
    change.audit(slide.id, changed=changed, **({} if correction is None else correction.__dict__))
    return change.answer(SlideOut.from_record(slide))


@router.post("/{slide_id}/inspect")
def inspect_slide_again(change: Change, slide_id: str) -> SlideOut:
    """Inspects a slide again whose inspection failed in the worker (reason `inspect-failed`), or that a restore left
    without its tile index, or whose file has another date but the same content."""
    change.begin()
    slide = catalog.find(change.session, change.visitor, slide_id)
    inspection.inspect_again(change.session, slide)
    change.audit(slide.id)
    change.ring()
    return change.answer(SlideOut.from_record(slide))


@router.delete("/{slide_id}", status_code=204)
def delete_slide(change: Change, slide_id: str, request: Request) -> None:
    """Removes a slide, its analyses and its files. A file that was registered by reference stays."""
    change.begin()
    slide = catalog.find(change.session, change.visitor, slide_id)
    path = storage.absolute(slide.file)
    with suppress(Gone):
        path = opening.reader_path(slide.id, slide.file)
    deletion.delete(change.session, slide)
    change.audit(slide.id)
    change.after_commit(storage.remove, slide_id)
    change.after_commit(request.app.state.files.drop, path)  # after the commit nothing opens the file again


@router.get("/{slide_id}/thumbnail", response_class=Jpeg)
def get_thumbnail(session: Read, visitor: Visitor, slide_id: str) -> FileResponse:
    """JPEG, at most 400 px a side."""
    path = storage.folder(catalog.find(session, visitor, slide_id).id) / storage.THUMBNAIL
    if not path.exists():
        raise NotFound("no-thumbnail", "this slide has no thumbnail", "wait for its inspection")
    return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/{slide_id}/macro", response_class=Jpeg)
def get_macro(visitor: Visitor, slide_id: str, request: Request, trail: Trail) -> Response:
    """JPEG of the whole glass with both ends painted over, since the label is at one of them. Audited."""
    return _reveal(visitor, slide_id, "macro", request, trail)


@router.get("/{slide_id}/label", response_class=Jpeg)
def get_label(visitor: Visitor, slide_id: str, request: Request, trail: Trail) -> Response:
    """JPEG of the label, which may name the patient. For administrators. Audited."""
    return _reveal(visitor, slide_id, "label", request, trail)


def _reveal(
    visitor: Visitor, slide_id: str, name: Literal["macro", "label"], request: Request, trail: Trail
) -> Response:
    """An associated image of the slide's file. The audit row is committed before the image is read."""
    with reading() as session:
        slide = catalog.find(session, visitor, slide_id)
        catalog.viewable_info(slide)  # raises Conflict before the inspection
        opening.require_unaltered(slide)
        trail.exported(session, slide.id)
    with request.app.state.files.reader(opening.slide_file(slide)) as reader:
        content = reader.call(name)[1]
    return Jpeg(content, headers={"Cache-Control": "no-store"})


@router.get("/{slide_id}/tissue", response_class=Npy)
def get_tissue(session: Read, visitor: Visitor, slide_id: str, trail: Trail) -> Response:
    """What each cell of the slide shows, as NumPy .npy of uint8: 0 glass, 1 tissue, 2 ink, dye or black, 3 unsure.

    Analyses with `tissue: auto` score the cells of tissue. Quarterturn-Affine as in the heat map.
    """
    slide = catalog.find(session, visitor, slide_id)
    info = catalog.info_of(slide)
    if slide.tissue is None:
        raise NotFound("no-tissue-mask", "this slide has no tissue mask", "see the slide's state and mpp_x")
    trail.viewed(session, slide.id)
    return Npy.from_cells(cell_kinds(slide), info.frame(), {"Cache-Control": "private, no-cache"})


@router.get("/{slide_id}/tiles")
def describe_tiles(session: Read, visitor: Visitor, slide_id: str, trail: Trail) -> TilesOut:
    """Returns the slide's levels, finest first, each with its tile size, and the address of the tiles."""
    slide = catalog.find(session, visitor, slide_id)
    info = catalog.viewable_info(slide)
    trail.viewed(session, slide.id)
    return TilesOut.from_record(slide, info)
