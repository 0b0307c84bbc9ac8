"""Analyses: request, follow, cancel, retry, and what came of them."""

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Literal

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, BackgroundTasks, Request, Response
from PIL import Image
from sqlalchemy.orm import Session
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.contract.analyses import AnalysisOut, AnalysisRequest, ProfileOut, ProfileRequest
from api.contract.media import Csv, GeoJson, Npy, Png
from api.contract.values import NOTICE
from api.request.once import OnlyOnce
from api.request.trail import Told
from api.request.transactions import Read, Write, ring
from api.request.visitor import Analyst, Who, is_still_known
from core.access.idempotency import Answer
from core.analyses import requests, states
from core.analyses.parts import plane, progress
from core.analyses.results import Results, require_results
from core.database.analyses import Analysis, Work
from core.database.slides import Slide
from core.database.transactions import reading
from core.errors import NotFound, TooMany
from core.exports import geojson
from core.heatmap import planes
from core.pixels.levels import SlideInfo
from core.slides import catalog

router = APIRouter(tags=["analyses"])
EVENT_SECONDS = 0.5
RINGS = 4
MOST_STREAMS = 32  # of one principal, in this process
_streams = Counter[str]()


def _out(session: Session, analysis: Analysis) -> AnalysisOut:
    return AnalysisOut.of(analysis, progress(session, analysis))


@router.post("/slides/{slide_id}/analyses", status_code=201)
def create(
    session: Write,
    visitor: Analyst,
    slide_id: str,
    wanted: AnalysisRequest,
    later: BackgroundTasks,
    once: OnlyOnce,
    told: Told,
) -> AnalysisOut:
    """Analyse a slide. Answers at once; follow it by GET or by its events."""
    slide = catalog.find(session, visitor, slide_id)
    settings = wanted.model_dump(exclude={"model"})

    def produce() -> Answer:
        analysis = requests.create(session, slide, wanted.model, settings, visitor.principal_id)
        told.changed(session, "analysis.create", analysis.id, slide=slide.id)
        later.add_task(ring, RINGS)
        return _out(session, analysis).model_dump()

    return AnalysisOut(**once(wanted, produce))


@router.get("/slides/{slide_id}/analyses")
def of_slide(session: Read, visitor: Who, slide_id: str) -> list[AnalysisOut]:
    """All analyses of a slide, newest first."""
    slide = catalog.find(session, visitor, slide_id)
    return [_out(session, analysis) for analysis in requests.of_slide(session, slide)]


@router.get("/analyses/{analysis_id}")
def look(session: Read, visitor: Who, analysis_id: str) -> AnalysisOut:
    return _out(session, requests.find(session, visitor, analysis_id))


@router.post("/analyses/{analysis_id}/cancel")
def cancel(session: Write, visitor: Analyst, analysis_id: str, once: OnlyOnce, told: Told) -> AnalysisOut:
    """Cancelled when this answers; workers stop within two seconds and write nothing more."""
    requests.find(session, visitor, analysis_id)

    def produce() -> Answer:
        ended = states.lock(session, analysis_id).state not in states.ACTIVE
        cancelled = states.cancel(session, analysis_id)
        if not ended:
            told.changed(session, "analysis.cancel", analysis_id)
        return _out(session, cancelled).model_dump()

    return AnalysisOut(**once(None, produce))


@router.post("/analyses/{analysis_id}/retry")
def retry(
    session: Write, visitor: Analyst, analysis_id: str, later: BackgroundTasks, once: OnlyOnce, told: Told
) -> AnalysisOut:
    """Start a failed or cancelled analysis again; what was done stays done."""
    requests.find(session, visitor, analysis_id)

    def produce() -> Answer:
        analysis = states.retry(session, analysis_id)
        told.changed(session, "analysis.retry", analysis_id)
        later.add_task(ring, RINGS)
        return _out(session, analysis).model_dump()

    return AnalysisOut(**once(None, produce))


@router.get("/analyses/{analysis_id}/events", response_class=EventSourceResponse)
def events(visitor: Who, analysis_id: str, request: Request) -> EventSourceResponse:
    """Server-sent events: `analysis` with the analysis as JSON at every change, the last when it has ended."""
    with reading() as session:
        requests.find(session, visitor, analysis_id)
    if _streams[visitor.principal_id] >= MOST_STREAMS:
        raise TooMany("too-many-streams", f"{MOST_STREAMS} streams of yours are open", "close some of them")

    def state() -> AnalysisOut | None:
        """None to whom is known no more: a key that is revoked ends its streams, too."""
        if not is_still_known(request):
            return None
        with reading() as session:
            return _out(session, requests.find(session, visitor, analysis_id))

    async def changes() -> AsyncIterator[ServerSentEvent]:
        last = ""
        _streams[visitor.principal_id] += 1
        try:
            while (analysis := await to_thread.run_sync(state)) is not None:
                shown = json.dumps(analysis.model_dump(exclude={"progress": {"seconds_left"}}))
                if shown != last:
                    yield ServerSentEvent(analysis.model_dump_json(), event="analysis")
                if analysis.state not in states.ACTIVE:
                    return
                last = shown
                await asyncio.sleep(EVENT_SECONDS)
        finally:
            _streams[visitor.principal_id] -= 1

    return EventSourceResponse(changes())


def _results(session: Session, visitor: Who, analysis_id: str) -> tuple[Analysis, SlideInfo, Results]:
    analysis = requests.find(session, visitor, analysis_id)
    results = require_results(analysis)
    return analysis, catalog.info_of(session.get_one(Slide, analysis.slide_id)), results


@router.get("/analyses/{analysis_id}/heatmap", response_class=Npy)
def heat_map(
    session: Read,
    visitor: Who,
    analysis_id: str,
    told: Told,
    dtype: Literal["float32", "uint8"] = "float32",
    quantity: Literal["score", "logit", "strangeness"] = "score",
) -> Response:
    """The grid as NumPy .npy. float32 is the record, NaN where nothing was analysed; uint8 is for showing, 255 there.

    `strangeness` tells how unlike the network's training patches a cell is; as uint8, 127 stands for the threshold.

    Quarterturn-Affine holds a, b, c, d, e, f: the centre of cell (row, col) is at level-0 pixel
    x = a·col + b·row + c, y = d·col + e·row + f.
    """
    analysis, info, results = _results(session, visitor, analysis_id)
    if dtype == "uint8":
        told.viewed(session, "analysis.view", analysis.id)
    else:
        told.sent(session, "analysis.export", analysis.id, what=f"heatmap.{quantity}")
    if quantity == "strangeness":
        values = _strangeness(session, analysis, info, results, dtype)
    else:
        logits = plane(session, analysis, info)
        values = logits if quantity == "logit" and dtype == "float32" else planes.to_scores(logits)
    array = planes.to_uint8(values) if dtype == "uint8" else values
    affine = ", ".join(repr(value) for value in info.frame().affine_to_l0())
    headers = {"Quarterturn-Affine": affine, "Cache-Control": "private, max-age=3600"}
    return Npy(planes.to_npy(array), headers=headers)


def _strangeness(session: Session, analysis: Analysis, info: SlideInfo, results: Results, dtype: str) -> planes.Values:
    """The second plane; as uint8 in 0..1, the threshold in the middle."""
    known = results.familiarity
    if known is None:
        raise NotFound("no-strangeness", "nobody knows what is familiar to this network", "ask for the score")
    distances = plane(session, analysis, info, "strangeness")
    if dtype == "float32":
        return distances
    scaled: planes.Values = np.clip(distances / np.float32(2 * known.threshold), 0, 1)
    return scaled


@router.get("/analyses/{analysis_id}/heatmap.png", response_class=Png)
def picture(session: Read, visitor: Who, analysis_id: str, told: Told) -> Response:
    """One grey pixel a cell (0 to 254 for scores 0 to 1), transparent where nothing was analysed."""
    analysis, info, _ = _results(session, visitor, analysis_id)
    told.sent(session, "analysis.export", analysis.id, what="heatmap.png")
    grey = planes.to_uint8(planes.to_scores(plane(session, analysis, info)))
    alpha = np.where(grey == planes.NOT_ANALYSED, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.stack([grey, alpha], -1), "LA").save(buffer, "PNG")
    return Png(buffer.getvalue())


@router.get("/analyses/{analysis_id}/regions")
def regions(session: Read, visitor: Who, analysis_id: str, told: Told) -> dict[str, Any]:
    """Ranked regions in level-0 pixels: highest cell first, then area."""
    _, _, results = _results(session, visitor, analysis_id)
    told.viewed(session, "analysis.view", analysis_id)
    known = {"threshold": results.threshold, "summary": results.summary.sentence, "preliminary": True, "notice": NOTICE}
    return {**known, "regions": [region.model_dump(mode="json") for region in results.regions]}


@router.get("/analyses/{analysis_id}/regions.geojson", response_class=GeoJson)
def regions_geojson(
    session: Read, visitor: Who, analysis_id: str, told: Told, origin: Literal["level0", "bounds"] = "level0"
) -> Response:
    """GeoJSON polygons. `origin=bounds` counts from the scanned area's corner, as QuPath does."""
    _, info, results = _results(session, visitor, analysis_id)
    told.sent(session, "analysis.export", analysis_id, what="regions.geojson")
    shift = (info.bounds_x, info.bounds_y) if origin == "bounds" else (0, 0)
    content = json.dumps(geojson.feature_collection(results.regions, shift))
    return GeoJson(content)


@router.get("/analyses/{analysis_id}/regions.csv", response_class=Csv)
def regions_csv(session: Read, visitor: Who, analysis_id: str, told: Told) -> Response:
    """One line a region; lengths in level-0 pixels, areas in µm²."""
    _, _, results = _results(session, visitor, analysis_id)
    told.sent(session, "analysis.export", analysis_id, what="regions.csv")
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    numbers = ("rank", "cells", "max_score", "mean_score", "area_um2", "area_corrected_um2")
    writer.writerow([*numbers, "peak_x_l0", "peak_y_l0", "left_l0", "top_l0", "right_l0", "bottom_l0", "preliminary"])
    for region in results.regions:
        writer.writerow([*(getattr(region, name) for name in numbers), *region.peak_l0, *region.bbox_l0, "yes"])
    disposition = f'attachment; filename="regions-{analysis_id}.csv"'
    return Csv(buffer.getvalue(), headers={"Content-Disposition": disposition})


@router.post("/analyses/{analysis_id}/profiles", status_code=202)
def profile(
    session: Write,
    visitor: Analyst,
    analysis_id: str,
    wanted: ProfileRequest,
    later: BackgroundTasks,
    once: OnlyOnce,
    told: Told,
) -> ProfileOut:
    """Score against angle at a cell: asked for here, fetched from profiles/{id}; asking again costs nothing."""
    analysis = requests.find(session, visitor, analysis_id)

    def produce() -> Answer:
        row = requests.add_profile(session, analysis, wanted.row, wanted.col)
        told.changed(session, "analysis.profile", analysis.id, row=wanted.row, col=wanted.col)
        later.add_task(ring)
        return ProfileOut.of(row).model_dump()

    return ProfileOut(**once(wanted, produce))


@router.get("/analyses/{analysis_id}/profiles/{profile_id}")
def profile_state(session: Read, visitor: Who, analysis_id: str, profile_id: str) -> ProfileOut:
    analysis = requests.find(session, visitor, analysis_id)
    row = session.get(Work, profile_id)
    if row is None or row.analysis_id != analysis.id or row.kind != "profile":
        raise NotFound("no-such-profile", "there is no such profile here", "POST to profiles first")
    return ProfileOut.of(row)
