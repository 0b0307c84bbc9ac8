"""Outlines that people drew on slides, and evaluations of analyses against them."""

import asyncio
import hashlib
import threading
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.contract.evaluations import AnnotationOut, EvaluationOut, EvaluationRequest, OutlinesOut, SentOutlines
from api.edge.gate import BODY_SECONDS
from api.request.change import Change
from api.request.trail import Trail
from api.request.transactions import Read
from api.request.visitor import Visitor
from core.errors import Invalid, TooLarge, TooMany
from core.marks import evaluations, groups, outlines
from core.marks.formats.mark import Origin
from core.slides import catalog

router = APIRouter(tags=["evaluations"])
PARSE_WAIT_SECONDS = 10.0
ORIGIN = (
    "what coordinates count from: level 0's corner, or that of the scanned area, as QuPath does. "
    "Default: `bounds` for GeoJSON of QuPath, or what the service's own export states, else `level0`"
)
GroupNames = list[Annotated[str, Query(max_length=200)]] | None
_parsers = threading.BoundedSemaphore(2)  # a large annotation takes a gibibyte while it is parsed


async def read_annotation(request: Request) -> bytes:
    """Reads the body, as far as an annotation may be long. Raises TooLarge, or Invalid when it comes too slowly."""
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > outlines.MOST_BYTES:
                    most = outlines.MOST_BYTES >> 20
                    raise TooLarge(
                        "annotation-too-large", f"the annotation is larger than {most} MiB", "simplify the outlines"
                    )
    except TimeoutError:
        raise Invalid("body-too-slow", "the annotation did not arrive in time", "send it again") from None
    return bytes(content)


def read_groups(
    tumour: Annotated[GroupNames, Query(description="groups to read as tumour; `none`: outlines without one")] = None,
    hole: Annotated[GroupNames, Query(description="groups to read as holes in the tumour")] = None,
    ignore: Annotated[GroupNames, Query(description="groups that are neither; the answer lists their outlines")] = None,
) -> groups.Rule:
    """Returns the request's own readings of groups, which go before the usual ones. Raises Invalid."""
    return groups.own_rule(tumour or (), hole or (), ignore or ())


@router.put("/slides/{slide_id}/annotation")
def write_annotation(
    change: Change,
    slide_id: str,
    content: Annotated[bytes, Depends(read_annotation)],
    own: Annotated[groups.Rule, Depends(read_groups)],
    exhaustive: Annotated[bool, Query(description="false: there may be tumour that is not outlined")] = True,
    origin: Annotated[Origin | None, Query(description=ORIGIN)] = None,
) -> OutlinesOut:
    """Replaces a slide's outlines: XML of ASAP or ImageScope, GeoJSON of QuPath, or Camelyon16's polygon JSON, in
    level-0 pixels; none for no tumour. A file with an outline whose group has no reading is refused."""
    annotation = _parse(
        content, exhaustive, own, origin
    )  # before the transaction begins, so that others can write meanwhile
    digest = hashlib.sha256(content).hexdigest()
    change.begin(SentOutlines(sha256=digest, exhaustive=exhaustive, groups=dict(own), origin=origin))
    evaluations.outline(change.session, catalog.find(change.session, change.visitor, slide_id), annotation)
    change.audit(slide_id)
    return change.answer(OutlinesOut.from_annotation(annotation))


def _parse(content: bytes, exhaustive: bool, own: groups.Rule, origin: Origin | None) -> outlines.Annotation:
    """Raises Invalid, or TooMany while others are being parsed."""
    if not _parsers.acquire(timeout=PARSE_WAIT_SECONDS):
        raise TooMany("too-many-annotations", "other annotations are being parsed", "try again in a moment")
    try:
        return outlines.parse(content, exhaustive, own, origin)
    finally:
        _parsers.release()


@router.get("/slides/{slide_id}/annotation")
def get_annotation(session: Read, visitor: Visitor, slide_id: str, trail: Trail) -> AnnotationOut:
    """Returns the outlines: polygons in level-0 pixels."""
    annotation = evaluations.outlines_of(session, catalog.find(session, visitor, slide_id))
    trail.viewed(session, slide_id)
    return AnnotationOut(**annotation.to_dict())


@router.delete("/slides/{slide_id}/annotation", status_code=204)
def remove_annotation(change: Change, slide_id: str) -> None:
    """Removes the outlines. Evaluations that were made with them stay."""
    change.begin()
    evaluations.remove_outlines(change.session, catalog.find(change.session, change.visitor, slide_id))
    change.audit(slide_id)


@router.post("/evaluations", status_code=202)
def create_evaluation(change: Change, request: EvaluationRequest) -> EvaluationOut:
    """Requests an evaluation of analyses of one network against the outlines of their slides. Follow it by GET."""
    change.begin(request)
    row = evaluations.request(change.session, change.visitor, request.mode, request.analyses, request.threshold)
    change.audit(row.id, mode=request.mode)
    change.ring()
    return change.answer(EvaluationOut.from_row(row))


@router.get("/evaluations")
def list_evaluations(
    session: Read,
    visitor: Visitor,
    analysis: Annotated[str | None, Query(max_length=32, description="only those that include this analysis")] = None,
) -> list[EvaluationOut]:
    """Returns the newest hundred, without curves and lesions: GET an evaluation for those."""
    return [EvaluationOut.from_row(row).brief() for row in evaluations.listed(session, visitor, analysis)]


@router.get("/evaluations/{evaluation_id}")
def get_evaluation(session: Read, visitor: Visitor, evaluation_id: str, trail: Trail) -> EvaluationOut:
    """Returns an evaluation: its state and, once it has succeeded, its figure, misses and false positives."""
    row = evaluations.find(session, visitor, evaluation_id)
    trail.viewed(session, row.id)
    return EvaluationOut.from_row(row)
