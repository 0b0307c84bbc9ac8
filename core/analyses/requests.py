"""Requests for analyses and profiles: find, create, and queue the work that they need."""

from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access import quotas
from core.access.visitor import Visitor
from core.analyses import cards
from core.analyses.mask import MASK, cell_mask
from core.analyses.parts import plane
from core.analyses.results import require_results
from core.analyses.statements import Reason
from core.analyses.states import lock
from core.database.analyses import Analysis, Work
from core.database.slides import Slide
from core.database.transactions import clock
from core.errors import Conflict, Foreign, Invalid, NotFound
from core.heatmap import grid
from core.pixels.morphology import Mask
from core.settings import get_settings
from core.slides import catalog, scale
from core.work import leases

CHECKS = 3  # sampled regions of the rotation check


def find(session: Session, visitor: Visitor, analysis_id: str) -> Analysis:
    """An analysis of the visitor's workspace.

    Raises:
        NotFound: there is none of this id. Foreign: it is another workspace's, which answers alike and is audited.
    """
    analysis = session.get(Analysis, analysis_id)
    if analysis is None or analysis.workspace_id != visitor.workspace_id:
        message = ("no-such-analysis", "there is no such analysis here", "see GET /api/v1/slides/ID/analyses")
        raise (Foreign if analysis else NotFound)(*message)
    catalog.find(session, visitor, analysis.slide_id)
    return analysis


def of_slide(session: Session, slide: Slide) -> list[Analysis]:
    """All analyses of a slide, newest first."""
    query = select(Analysis).where(Analysis.slide_id == slide.id)
    return list(session.scalars(query.order_by(Analysis.created_at.desc(), Analysis.id)))


def create(
    session: Session, slide: Slide, model: str | None, settings: dict[str, Any], created_by: str = ""
) -> Analysis:
    """Queue an analysis and all its work, in one transaction.

    Args:
        settings: tissue ("auto" or "all"), threshold (None: the card's), preset (a name of the card's, in place of a
            threshold), rotation_check (bool).
        created_by: the principal whose quota it counts against.

    Raises:
        Conflict: the slide is not ready, or its scale is in doubt. Invalid: it is too coarse, or no bright-field
            image, or the model has no such preset. Unavailable: no worker.
        TooMany: the principal has as many active analyses as its quota allows.
    """
    quotas.require_analysis_quota(session, created_by)
    catalog.lock(session, slide)
    if slide.state == "needs_input":
        because = (slide.reason or {}).get("detail", "nobody stated them")
        detail = f"the slide needs its micrometres per pixel first: {because}"
        raise Conflict("mpp-missing", detail, "PATCH the slide with mpp")
    info = catalog.info_of(slide)
    if info.not_analysable is not None:
        refusal = Reason(**info.not_analysable)
        raise Invalid(refusal.code, refusal.detail, refusal.action)
    scale.require_plausible(info)
    frame = info.frame()
    settings = {**settings, scale.SCALE: scale.stored(info), MASK: info.mask_version}
    analysis = _new_analysis(session, slide, model or get_settings().model, settings, created_by)
    mask = cell_mask(slide, settings["tissue"])
    assert mask.shape == grid.grid_shape(frame)
    _add_work(session, analysis, mask)
    return analysis


def _new_analysis(session: Session, slide: Slide, model: str, settings: dict[str, Any], created_by: str) -> Analysis:
    card = cards.card_of(session, model)
    threshold = cards.threshold_of(card, settings.get("threshold"), settings.get("preset"))
    analysis = Analysis(
        workspace_id=slide.workspace_id,
        slide_id=slide.id,
        model=model,
        settings={**settings, "threshold": threshold},
        created_by=created_by,
        created_at=clock(session),
    )
    session.add(analysis)
    session.flush()
    return analysis


def _add_work(session: Session, analysis: Analysis, mask: Mask) -> None:
    """Bands that cover the tissue, and checks of regions spread over them; without tissue the finish alone."""
    bands = list(grid.bands(mask, get_settings().regions_per_band))
    ids = {"workspace_id": analysis.workspace_id, "slide_id": analysis.slide_id, "analysis_id": analysis.id}
    for ordinal, band in enumerate(bands):
        leases.add(session, "band", **ids, ordinal=ordinal, payload=band.to_dict())
    if not bands:
        leases.add(session, "finish", **ids)
    elif analysis.settings["rotation_check"]:
        regions = [region for band in bands for region in band.regions() if grid.has_tissue(mask, region)]
        # Spread over the slide, so that a fault of one part of the file does not escape all of them.
        sample = np.linspace(0, len(regions) - 1, min(CHECKS, len(regions))).astype(int)
        for ordinal, index in enumerate(sample):
            region = grid.Band(**regions[index].__dict__).to_dict()
            leases.add(session, "check", **ids, ordinal=ordinal, payload={**region, "seed": ordinal})


def add_profile(session: Session, analysis: Analysis, row: int, col: int) -> Work:
    """The work row of a profile (score against angle) at one cell: the one there is, opened again if it failed, or new.

    The analysis is locked, so that two requests for one cell cannot both add a row.

    Raises:
        Invalid: the cell is outside the grid or was not analysed.
    """
    require_results(lock(session, analysis.id))
    info = scale.info_of_analysis(analysis, session.get_one(Slide, analysis.slide_id))
    rows, cols = grid.grid_shape(info.frame())
    if not (0 <= row < rows and 0 <= col < cols) or not np.isfinite(plane(session, analysis, info)[row, col]):
        raise Invalid("no-such-cell", f"cell ({row}, {col}) was not analysed", "choose a cell with a score")
    ordinal = row * cols + col
    query = select(Work).where(Work.analysis_id == analysis.id, Work.kind == "profile", Work.ordinal == ordinal)
    profile = session.scalars(query).first()
    if profile is None:
        fields = {"analysis_id": analysis.id, "ordinal": ordinal, "payload": {"row": row, "col": col}}
        return leases.add(session, "profile", analysis.workspace_id, analysis.slide_id, **fields)
    if profile.state in ("failed", "cancelled"):
        profile.state, profile.attempts, profile.reason, profile.token = "open", 0, None, profile.token + 1
    return profile
