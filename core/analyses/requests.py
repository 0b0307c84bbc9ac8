"""Requests for analyses: find, create, and the work that they need."""

from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access import quotas
from core.access.visitor import Visitor
from core.analyses import cards
from core.analyses.mask import cell_mask
from core.analyses.parts import plane
from core.analyses.results import require_results
from core.analyses.states import lock
from core.database.analyses import Analysis, Work
from core.database.slides import Slide
from core.database.transactions import clock
from core.errors import Conflict, Foreign, Invalid, NotFound
from core.heatmap import grid
from core.pixels import tissue
from core.settings import get_settings
from core.slides import catalog
from core.work import leases

CHECKS = 3  # sampled regions of the rotation check


def find(session: Session, visitor: Visitor, analysis_id: str) -> Analysis:
    """An analysis of the visitor's workspace. Raises NotFound."""
    analysis = session.get(Analysis, analysis_id)
    if analysis is None or analysis.workspace_id != visitor.workspace_id:
        told = ("no-such-analysis", "there is no such analysis here", "see GET /api/v1/slides/ID/analyses")
        raise (Foreign if analysis else NotFound)(*told)
    catalog.find(session, visitor, analysis.slide_id)
    return analysis


def of_slide(session: Session, slide: Slide) -> list[Analysis]:
    """All analyses of a slide, newest first."""
    found = select(Analysis).where(Analysis.slide_id == slide.id)
    return list(session.scalars(found.order_by(Analysis.created_at.desc(), Analysis.id)))


def create(
    session: Session, slide: Slide, model: str | None, settings: dict[str, Any], created_by: str = ""
) -> Analysis:
    """Queue an analysis and all its work, in one transaction.

    Args:
        settings: tissue ("auto" or "all"), threshold (None: the card's), rotation_check (bool).
        created_by: the principal whose quota it counts against.

    Raises:
        Conflict: the slide is not ready. Invalid: it is coarser than the network. Unavailable: no worker.
        TooMany: the principal has as many under way as it may.
    """
    quotas.require_analysis_quota(session, created_by)
    catalog.lock(session, slide)
    if slide.state == "needs_input":
        raise Conflict("mpp-missing", "the slide needs its micrometres per pixel first", "PATCH the slide with mpp")
    frame = catalog.info_of(slide).frame()
    name = model or get_settings().model
    card = cards.card_of(session, name)
    threshold = card["threshold"] if settings.get("threshold") is None else settings["threshold"]
    analysis = Analysis(
        workspace_id=slide.workspace_id,
        slide_id=slide.id,
        model=name,
        settings={**settings, "threshold": threshold},
        created_by=created_by,
        created_at=clock(session),
    )
    session.add(analysis)
    session.flush()
    mask = cell_mask(slide, settings["tissue"])
    assert mask.shape == grid.grid_shape(frame)
    _add_work(session, analysis, mask)
    return analysis


def _add_work(session: Session, analysis: Analysis, mask: tissue.Mask) -> None:
    pieces = list(grid.bands(mask, get_settings().regions_per_band))
    where = {"workspace_id": analysis.workspace_id, "slide_id": analysis.slide_id, "analysis_id": analysis.id}
    for ordinal, band in enumerate(pieces):
        leases.add(session, "band", **where, ordinal=ordinal, payload=band.to_dict())
    if pieces and analysis.settings["rotation_check"]:
        regions = [region for band in pieces for region in band.regions() if grid.has_tissue(mask, region)]
        for ordinal, place in enumerate(np.linspace(0, len(regions) - 1, min(CHECKS, len(regions))).astype(int)):
            region = grid.Band(**regions[place].__dict__).to_dict()
            leases.add(session, "check", **where, ordinal=ordinal, payload={**region, "seed": ordinal})
    if not pieces:
        leases.add(session, "finish", **where)


def add_profile(session: Session, analysis: Analysis, row: int, col: int) -> Work:
    """Score against angle at one cell: the row that is there already, or a new one.

    Raises:
        Invalid: the cell is outside the grid or was not analysed.
    """
    require_results(lock(session, analysis.id))
    info = catalog.info_of(session.get_one(Slide, analysis.slide_id))
    rows, cols = grid.grid_shape(info.frame())
    if not (0 <= row < rows and 0 <= col < cols) or not np.isfinite(plane(session, analysis, info)[row, col]):
        raise Invalid("no-such-cell", f"cell ({row}, {col}) was not analysed", "choose a cell with a score")
    ordinal = row * cols + col
    known = select(Work).where(Work.analysis_id == analysis.id, Work.kind == "profile", Work.ordinal == ordinal)
    where = {"analysis_id": analysis.id, "ordinal": ordinal, "payload": {"row": row, "col": col}}
    found = session.scalars(known).first()
    if found is None:
        return leases.add(session, "profile", analysis.workspace_id, analysis.slide_id, **where)
    if found.state in ("failed", "cancelled"):
        found.state, found.attempts, found.reason, found.token = "open", 0, None, found.token + 1
    return found
