"""Outlines that people drew on slides, and analyses held against them."""

import asyncio
import hashlib
import threading
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from api.contract.values import NOTICE, Reason, iso
from api.edge.gate import BODY_SECONDS
from api.request.trail import Told
from api.request.visitor import Analyst, OnlyOnce, Read, Who, Write, ring
from core.access.idempotency import Answer
from core.database.record import Work
from core.errors import Invalid, TooLarge, TooMany
from core.marks import evaluations
from core.marks import outlines as annotations
from core.slides import catalog

router = APIRouter(tags=["evaluations"])
PARSE_WAIT_SECONDS = 10.0
_parsing = threading.BoundedSemaphore(2)


class OutlinesOut(BaseModel):
    tumour: int = Field(description="outlines of tumour")
    holes: int = Field(description="outlines of what is not tumour inside them")
    exhaustive: bool


class EvaluationRequest(BaseModel):
    model_config = {"extra": "forbid"}
    mode: Literal["camelyon16", "strict"]
    analyses: list[str] = Field(min_length=1, max_length=evaluations.MOST_SLIDES, description="one a slide")
    threshold: float | None = Field(None, gt=0, lt=1, description="of the regions; default: each analysis's own")


class EvaluationOut(BaseModel):
    id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    reason: Reason | None
    mode: Literal["camelyon16", "strict"]
    threshold: float | None
    weights_sha256: str
    figure: dict[str, Any] | None = Field(description="score, sensitivity_at, curve; null until it has succeeded")
    slides: list[dict[str, Any]] = Field(description="lesions, misses and false positives of each, in level-0 px")
    notice: str = NOTICE
    created_at: str | None

    @classmethod
    def of(cls, row: Work) -> "EvaluationOut":
        result, asked = row.result or {}, row.payload
        refused = result.get("refused") or (row.reason if evaluations.state_of(row) == "failed" else None)
        return cls(
            id=row.id,
            state=cast(Any, evaluations.state_of(row)),
            reason=Reason(**refused) if refused else None,
            mode=asked["mode"],
            threshold=asked["threshold"],
            weights_sha256=asked["weights_sha256"],
            figure=result.get("figure"),
            slides=result.get("slides", []),
            created_at=iso(row.created_at),
        )

    def brief(self) -> "EvaluationOut":
        """For lists: the figure without its curve, no lesions."""
        figure = {key: value for key, value in (self.figure or {}).items() if key != "curve"} or None
        return self.model_copy(update={"figure": figure, "slides": []})


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


class SentOutlines(BaseModel):
    """What an Idempotency-Key stands for when outlines were sent."""

    sha256: str
    exhaustive: bool


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
