"""Compares analyses with the tumour that people outlined: FROC figures, and the lesions that were missed.

An evaluation is one row of work over many slides: the row's state is its state, the row's result its figures. The
detections of a slide are the regions of its analysis, each at its highest cell. Another threshold draws them again.
"""

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.access.visitor import Visitor
from core.analyses import parts, requests, results
from core.database.analyses import Analysis, Work
from core.database.slides import Outlines, Slide
from core.database.transactions import clock
from core.errors import Conflict, Foreign, Invalid, NotFound
from core.heatmap import planes
from core.heatmap.regions import find_regions
from core.marks import froc
from core.marks.outlines import Annotation
from core.slides import catalog, scale
from core.work import leases

MOST_SLIDES = 1000
STATES = {"open": "queued", "claimed": "running", "done": "succeeded"}


def outline(session: Session, slide: Slide, annotation: Annotation) -> None:
    """Stores a slide's outlines in place of those that it has.

    Raises:
        Invalid: an outline lies off the slide. NotFound: the slide was deleted meanwhile.
    """
    catalog.lock(session, slide)
    info = catalog.info_of(slide)
    annotation = annotation.in_level0((info.bounds_x, info.bounds_y))
    for polygon in annotation.polygons:
        low, high = polygon.vertices.min(0), polygon.vertices.max(0)
        if (high < 0).any() or low[0] > info.width or low[1] > info.height:
            detail = f"the outline {polygon.name} lies off the slide, which has {info.width}×{info.height} px"
            raise Invalid(
                "bad-annotation",
                detail,
                "send coordinates in level-0 pixels of this very slide, and name what they count from with ?origin=",
            )
    slide.updated_at = clock(session)
    session.merge(Outlines(slide_id=slide.id, content=annotation.to_dict(), created_at=slide.updated_at))


def outlines_of(session: Session, slide: Slide) -> Annotation:
    """Returns a slide's outlines. Raises NotFound when it has none."""
    row = session.get(Outlines, slide.id)
    if row is None:
        raise NotFound(
            "no-annotation", f"the slide {slide.id} has no annotation", "PUT one, empty for a slide without tumour"
        )
    return Annotation.from_dict(row.content)


def remove_outlines(session: Session, slide: Slide) -> None:
    """Removes a slide's outlines. Raises NotFound when the slide was deleted meanwhile."""
    catalog.lock(session, slide)
    slide.updated_at = clock(session)
    session.execute(delete(Outlines).where(Outlines.slide_id == slide.id))


def request(
    session: Session, visitor: Visitor, mode: froc.Mode, analysis_ids: list[str], threshold: float | None
) -> Work:
    """Opens the work of an evaluation.

    Raises:
        NotFound: there is no such analysis, or its slide has no outlines. Conflict: an analysis has no results, or
            they are of different weights. Invalid: two analyses of one slide, or no slide is exhaustively annotated.
    """
    analyses = [requests.find(session, visitor, analysis_id) for analysis_id in analysis_ids]
    for analysis in analyses:
        results.require_results(analysis)
    if len({analysis.slide_id for analysis in analyses}) < len(analyses):
        raise Invalid("slide-twice", "two of the analyses are of one slide", "name one analysis a slide")
    digests = {str((analysis.provenance or {}).get("weights_sha256")) for analysis in analyses}
    if len(digests) > 1:
        raise Conflict("different-weights", "the analyses were made with different weights", "evaluate each by itself")
    slides = [session.get_one(Slide, analysis.slide_id) for analysis in sorted(analyses, key=lambda one: one.slide_id)]
    for slide in slides:  # in the order of ids: two requests that lock the same slides do not deadlock
        catalog.lock(session, slide)
        slide.updated_at = clock(session)  # retention counts from here
    if not any(outlines_of(session, slide).exhaustive for slide in slides):
        detail = (
            "none of the slides is exhaustively annotated: tissue beyond their outlines is unknown, not free of tumour"
        )
        raise Invalid("nothing-to-evaluate", detail, "PUT an annotation with exhaustive=true")
    payload = {"mode": mode, "analyses": analysis_ids, "threshold": threshold, "weights_sha256": digests.pop()}
    return leases.add(session, "evaluate", visitor.workspace_id, analyses[0].slide_id, payload=payload)


def find(session: Session, visitor: Visitor, evaluation_id: str) -> Work:
    """Returns an evaluation's row. Raises NotFound."""
    row = session.get(Work, evaluation_id)
    if row is None or row.kind != "evaluate" or row.workspace_id != visitor.workspace_id:
        foreign = row is not None and row.workspace_id != visitor.workspace_id
        raise (Foreign if foreign else NotFound)(
            "no-such-evaluation", "there is no such evaluation here", "ask for one with POST /api/v1/evaluations"
        )
    return row


def listed(session: Session, visitor: Visitor, analysis_id: str | None = None, limit: int = 100) -> list[Work]:
    """Returns evaluations, newest first; only those that include an analysis, where one is named."""
    mine = select(Work).where(Work.kind == "evaluate", Work.workspace_id == visitor.workspace_id)
    newest = session.scalars(mine.order_by(Work.created_at.desc(), Work.id).limit(limit))
    return [row for row in newest if analysis_id is None or analysis_id in row.payload["analyses"]]


def state_of(row: Work) -> str:
    """Returns queued, running, succeeded, failed or cancelled."""
    return "failed" if "refused" in (row.result or {}) else STATES.get(row.state, row.state)


def measure(session: Session, analysis_id: str, request: dict[str, Any]) -> dict[str, Any]:
    """Compares one slide with its outlines: lesions, hits and false positives.

    A slide that is not exhaustively annotated is `left_out`. `request`: the payload of the evaluation's row.

    Raises:
        NotFound, Conflict: the analysis, its results or the outlines were removed since the request.
    """
    analysis = session.get(Analysis, analysis_id)
    slide = None if analysis is None else session.get(Slide, analysis.slide_id)
    if analysis is None or slide is None or slide.state == "deleted":
        raise NotFound("no-such-analysis", "a slide was deleted meanwhile", "evaluate the others")
    outlines, info = outlines_of(session, slide), catalog.info_of(slide)
    names = {"slide_id": slide.id, "analysis_id": analysis.id, "filename": slide.filename}
    if not outlines.exhaustive:
        return {**names, "left_out": "not exhaustively annotated"}
    assert info.mpp_x is not None
    assert info.mpp_y is not None
    place = froc.Place(info.width, info.height, info.mpp_x, info.mpp_y)
    detections = _detections(session, analysis, request["threshold"])
    session.commit()  # the comparison takes long and reads nothing, so no transaction stays open for it
    result = froc.evaluate_slide(outlines, place, detections, request["mode"])
    return {**names, "result": result}


def _detections(session: Session, analysis: Analysis, threshold: float | None) -> list[froc.Detection]:
    peaks = [(*region.peak_l0, region.max_score) for region in results.require_results(analysis).regions]
    if threshold is not None:
        info = scale.info_of_analysis(analysis, session.get_one(Slide, analysis.slide_id))
        scores = planes.to_scores(parts.plane(session, analysis, info))
        peaks = [(*region.peak_l0, region.max_score) for region in find_regions(scores, threshold, info.frame())]
    return [froc.Detection(float(x), float(y), float(score)) for x, y, score in peaks]


def sum_up(slides: list[dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    """Returns the figure over all slides, JSON-ready; `refused` with the reason where no lesion counts."""
    measured = [slide for slide in slides if "result" in slide]
    summaries = [
        {**{k: v for k, v in slide.items() if k != "result"}, **_summary(slide.get("result"))} for slide in slides
    ]
    try:
        figure = froc.froc([slide["result"] for slide in measured], request["mode"])
    except ValueError as error:
        reason = {"code": "no-lesions", "detail": str(error), "action": "add slides with tumour"}
        return {"refused": reason, "slides": summaries}
    return {"figure": figure, "slides": summaries, "weights_sha256": request["weights_sha256"]}


def _summary(result: froc.SlideResult | None) -> dict[str, Any]:
    if result is None:
        return {}
    return {**result.to_dict(), "misses": [lesion.__dict__ for lesion in result.misses]}
