"""Outlines that people drew on slides, and analyses held against them."""

import asyncio
import hashlib
import threading
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request, Response

from api.contract.evaluations import EvaluationOut, EvaluationRequest, OutlinesOut, SentOutlines
from api.edge.gate import BODY_SECONDS
from api.request.once import OnlyOnce
from api.request.trail import Told
from api.request.transactions import Read, Write, ring
from api.request.visitor import Analyst, Who
from core.access.idempotency import Answer
from core.errors import Invalid, TooLarge, TooMany
from core.marks import evaluations
from core.marks import outlines as annotations
from core.slides import catalog

router = APIRouter(tags=["evaluations"])
PARSE_WAIT_SECONDS = 10.0
_parsing = threading.BoundedSemaphore(2)


async def body_of(request: Request) -> bytes:
    """The whole body, never more than an annotation may have. Raises TooLarge, or Invalid when it comes too slowly."""
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > annotations.MOST_BYTES:
                    most = annotations.MOST_BYTES >> 20
                    raise TooLarge(
                        "annotation-too-large", f"an annotation may have {most} MiB", "simplify the outlines"
                    )
    except TimeoutError:
        raise Invalid("body-too-slow", "the annotation did not arrive in time", "send it again") from None
    return bytes(content)


@router.put("/slides/{slide_id}/annotation")
def outline(
    visitor: Analyst,
    slide_id: str,
    content: Annotated[bytes, Depends(body_of)],
    session: Write,
    once: OnlyOnce,
    told: Told,
    exhaustive: Annotated[bool, Query(description="false: there may be tumour that is not outlined")] = True,
) -> OutlinesOut:
    """ASAP's XML or Camelyon16's polygon JSON, in level-0 pixels; without outlines for a slide without tumour."""
    if not _parsing.acquire(timeout=PARSE_WAIT_SECONDS):  # a large one takes a gibibyte
        raise TooMany("too-many-annotations", "many send outlines at this moment", "try again in a moment")
    try:
        found = annotations.parse(content, exhaustive)  # before the transaction: others write meanwhile
    finally:
        _parsing.release()

    def produce() -> Answer:
        evaluations.outline(session, catalog.find(session, visitor, slide_id), found)
        told.changed(session, "annotation.write", slide_id)
        holes = sum(polygon.hole for polygon in found.polygons)
        return {"tumour": len(found.polygons) - holes, "holes": holes, "exhaustive": found.exhaustive}

    asked = SentOutlines(sha256=hashlib.sha256(content).hexdigest(), exhaustive=exhaustive)
    return OutlinesOut(**once(asked, produce))


@router.get("/slides/{slide_id}/annotation")
def outlines(session: Read, visitor: Who, slide_id: str, told: Told) -> dict[str, Any]:
    """The outlines as they are kept: polygons in level-0 pixels."""
    found = evaluations.outlines_of(session, catalog.find(session, visitor, slide_id))
    told.viewed(session, "annotation.view", slide_id)
    return found.to_dict()


@router.delete("/slides/{slide_id}/annotation", status_code=204)
def remove(session: Write, visitor: Analyst, slide_id: str, once: OnlyOnce, told: Told) -> Response:
    """The outlines go; evaluations that were made with them stay."""

    def produce() -> Answer:
        evaluations.remove_outlines(session, catalog.find(session, visitor, slide_id))
        told.changed(session, "annotation.remove", slide_id)
        return {}

    once(None, produce)
    return Response(status_code=204)


@router.post("/evaluations", status_code=202)
def evaluate(
    session: Write, visitor: Analyst, wanted: EvaluationRequest, later: BackgroundTasks, once: OnlyOnce, told: Told
) -> EvaluationOut:
    """Hold analyses of one network against the outlines of their slides; follow it by GET."""

    def produce() -> Answer:
        row = evaluations.request(session, visitor, wanted.mode, wanted.analyses, wanted.threshold)
        told.changed(session, "evaluation.create", row.id, mode=wanted.mode)
        later.add_task(ring)
        return EvaluationOut.of(row).model_dump()

    return EvaluationOut(**once(wanted, produce))


@router.get("/evaluations")
def listed(
    session: Read,
    visitor: Who,
    analysis: Annotated[str | None, Query(max_length=32, description="only those that it is part of")] = None,
) -> list[EvaluationOut]:
    """Of the newest hundred, without their curves and lesions: those are each evaluation's own."""
    return [EvaluationOut.of(row).brief() for row in evaluations.listed(session, visitor, analysis)]


@router.get("/evaluations/{evaluation_id}")
def look(session: Read, visitor: Who, evaluation_id: str, told: Told) -> EvaluationOut:
    found = evaluations.find(session, visitor, evaluation_id)
    told.viewed(session, "evaluation.view", found.id)
    return EvaluationOut.of(found)
