"""What a finished analysis says: coverage, regions, self-test, familiarity, notes, and whether results are withheld."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.analyses import cards
from core.analyses.parts import BandResult, CheckResult
from core.analyses.results import (
    Calibration,
    Coverage,
    Failure,
    Familiarity,
    Grid,
    LeftOut,
    Region,
    Results,
    RotationCheck,
    SlideScore,
    Unread,
)
from core.analyses.statements import Statement, Withheld, reason, state, summarise, withhold
from core.heatmap.grid import affine_to_l0
from core.heatmap.planes import Values, to_scores
from core.heatmap.regions import find_regions
from core.pixels.frame import NETWORK_MPP
from core.pixels.levels import SlideInfo
from core.pixels.tissue import MASK_VERSION, Kind, Kinds
from model.checks.familiarity import Familiarity as FamiliarityModel
from model.checks.slide_score import slide_score
from model.weights.card import COMPARISON, Card
from worker.offers import Served

MOST_UNREADABLE = 0.02  # of the tissue cells: above it an analysis fails
MOST_UNSURE = 0.05  # of the tissue and unsure cells, or ink: above it a note says so
MASK_NOTES = {"unsure": "tissue-unsure", "ink": "tissue-ink"}
MOST_LISTED = 20  # unread region images that are listed one by one
CONSTANT_LOGITS = 1e-6
NOT_A_NUMBER = 1e30  # stands for a residual that is not finite: JSON has no infinity


@dataclass(frozen=True)
class Assembled:
    """The parts of an analysis put together. Planes are (rows, cols) of the grid, NaN where not analysed.

    `kinds`: what each cell shows. `every_cell`: all are analysed, not tissue alone.
    """

    logits: Values
    strangeness: Values
    kinds: Kinds
    every_cell: bool
    bands: Sequence[BandResult]
    checks: Sequence[CheckResult]


def gather(parts: Assembled, info: SlideInfo, identifiers: dict[str, Any], threshold: float, served: Served) -> Results:
    """The results of an analysis. `threshold`: the score above which cells form regions."""
    frame, scores, card = info.frame(), to_scores(parts.logits), served.card
    cell_mm2 = frame.cell_area_um2() / 1e6
    covered = coverage(parts, cell_mm2)
    excluded = () if parts.every_cell else left_out(parts.kinds, cell_mm2)
    regions = [Region(**region.to_dict()) for region in find_regions(scores, threshold, frame)]
    unusual = familiarity(parts.strangeness, served.familiarity)
    calibration = card.calibration()
    rows, cols = parts.logits.shape
    return Results(
        threshold=threshold,
        grid=Grid(rows=rows, cols=cols, affine_l0=affine_to_l0(frame), network_mpp=NETWORK_MPP),
        coverage=covered,
        left_out=excluded,
        max_score=float(np.nanmax(scores)) if covered.analysed_cells else None,
        slide_score=summed(scores, threshold, frame.cell_area_um2()) if covered.analysed_cells else None,
        regions=tuple(regions),
        summary=_summary(len(regions), covered, unusual),
        rotation_check=rotation_summary(parts.checks),
        calibration=None if calibration is None else Calibration(**calibration),
        familiarity=unusual,
        scope_notes=(
            *purpose_notes(card),
            *cards.scope_notes(card.scope, info, identifiers),
            *unfamiliar_notes(unusual),
            *mask_notes(covered.wanted_cells, excluded, info),
        ),
        unread=unread(parts.bands, covered.wanted_cells),
    )


def summed(scores: Values, threshold: float, cell_um2: float) -> SlideScore:
    """The heat map summed up. `cell_um2`: the area of one cell's square."""
    score = slide_score(scores, threshold)
    return SlideScore(**asdict(score), area_um2=score.area_cells * cell_um2)


def coverage(parts: Assembled, cell_mm2: float) -> Coverage:
    """How much of the tissue and of the slide has a score. `cell_mm2`: the area of one cell's square."""
    analysed, slide_cells = int(np.isfinite(parts.logits).sum()), parts.kinds.size
    tissue_cells = slide_cells if parts.every_cell else int((parts.kinds == Kind.TISSUE).sum())
    return Coverage(
        analysed_cells=analysed,
        wanted_cells=tissue_cells,
        slide_cells=slide_cells,
        share=analysed / tissue_cells if tissue_cells else 0.0,
        slide_share=analysed / slide_cells,
        analysed_mm2=analysed * cell_mm2,
        tissue_mm2=tissue_cells * cell_mm2,
        slide_mm2=slide_cells * cell_mm2,
        unreadable_cells=sum(band.unreadable for band in parts.bands),
    )


def left_out(kinds: Kinds, cell_mm2: float) -> tuple[LeftOut, ...]:
    """The cells that are no tissue, by what they show; kinds that no cell has are not listed."""
    counts = np.bincount(kinds.ravel(), minlength=len(Kind))
    return tuple(
        LeftOut(
            cells=int(counts[kind]),
            mm2=float(counts[kind] * cell_mm2),
            share=float(counts[kind] / kinds.size),
            reason=state(kind.name.lower(), share=float(counts[kind] / kinds.size)),
        )
        for kind in (Kind.GLASS, Kind.INK, Kind.UNSURE)
        if counts[kind]
    )


def mask_notes(tissue_cells: int, excluded: Sequence[LeftOut], info: SlideInfo) -> list[Statement]:
    """Notes where much lies near the limit between glass and tissue, and where an earlier version made the mask."""
    if not excluded:
        return []  # the mask decided nothing
    notes = [] if info.mask_version >= MASK_VERSION else [state("tissue-outdated")]
    for part in excluded:
        if part.reason.code in MASK_NOTES and part.cells > MOST_UNSURE * (part.cells + tissue_cells):
            notes.append(state(MASK_NOTES[part.reason.code], share=part.share))
    return notes


def _summary(region_count: int, covered: Coverage, measured: Familiarity | None) -> Statement:
    unusual = measured.unfamiliar_share if measured is not None and measured.unusual else None
    return summarise(region_count, covered.share, covered.slide_share, unusual)


def unread(bands: Iterable[BandResult], tissue_cells: int) -> Unread | None:
    """The region images that were not read, with the reason that cost most cells; None when all were read."""
    images = [image for band in bands for image in band.unread]
    if not images:
        return None
    cells_by_code = Counter[str]()
    for image in images:
        cells_by_code[image.reason.code] += image.cells
    main_code = cells_by_code.most_common(1)[0][0]
    cause = next(image.reason for image in images if image.reason.code == main_code)
    cells = cells_by_code.total()
    statement = state(
        "unread",
        cells=cells,
        wanted=tissue_cells,
        region_images=len(images),
        cause=cause.detail,
        cause_code=cause.code,
        remedy=cause.action,
    )
    listed = tuple(images[:MOST_LISTED])
    return Unread(cells=cells, image_count=len(images), region_images=listed, statement=statement)


def purpose_notes(card: Card) -> list[Statement]:
    """A note where a network is shipped for comparison only."""
    return [state("comparison", model=card.name)] if card.purpose == COMPARISON else []


def rotation_summary(checks: Sequence[CheckResult]) -> RotationCheck | None:
    """The worst residual of the sampled regions; None when no check was requested.

    A check without elements and views outside the group is of a region that could not be read.
    """
    if not checks:
        return None
    residual = float(np.max([check.residual for check in checks]))
    tolerance, elements = checks[0].tolerance, _union(check.elements for check in checks)
    spreads = [check.spread for check in checks if check.spread is not None]
    return RotationCheck(
        residual_logits=residual if elements and residual < NOT_A_NUMBER else None,
        tolerance_logits=tolerance,
        passed=bool(residual <= tolerance) if elements else None,
        regions=sum(bool(check.elements or check.outside) for check in checks),
        elements=elements,
        spread_logits=max(spreads, default=None),
        outside=_union(check.outside for check in checks),
        drift_logits=min(NOT_A_NUMBER, max(check.drift for check in checks)),
    )


def familiarity(strange: Values, model: FamiliarityModel | None) -> Familiarity | None:
    """The share of analysed tissue that looks unlike the training patches; None where the network has no such model.

    `unusual`: the share is above that of every reference slide of PatchCamelyon, which the density was not fitted to.
    """
    distances = strange[np.isfinite(strange)]
    if model is None or not distances.size:
        return None
    share = float((distances > model.threshold).mean())
    return Familiarity(
        unfamiliar_share=share,
        usual_share=model.usual_share,
        unusual=share > model.usual_share,
        threshold=model.threshold,
    )


def unfamiliar_notes(measured: Familiarity | None) -> list[Statement]:
    """A note where more of the tissue is unfamiliar than on any reference slide."""
    if measured is None or not measured.unusual:
        return []
    return [state("unfamiliar", share=measured.unfamiliar_share)]


def _union(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({name for several in names for name in several}))


def why_withheld(logits: Values, results: Results, most_unfamiliar: float, scope: str) -> Withheld | None:
    """Why the results must not be shown, or None.

    Args:
        most_unfamiliar: share of unfamiliar tissue above which they are withheld.
        scope: what the network was trained on.
    """
    check, values = results.rotation_check, logits[np.isfinite(logits)]
    if not results.coverage.wanted_cells:
        shares = {part.reason.code: part.share for part in results.left_out}
        return withhold("no-tissue", **{code: shares.get(code, 0.0) for code in ("glass", "ink", "unsure")})
    if check is not None and check.passed is False:
        return withhold("rotation-check", tolerance=check.tolerance_logits)
    if values.size > 1 and np.ptp(values) < CONSTANT_LOGITS:
        return withhold("constant-output")
    unfamiliar = results.familiarity
    if unfamiliar is not None and unfamiliar.unfamiliar_share > most_unfamiliar:
        return withhold("unfamiliar", share=unfamiliar.unfamiliar_share, limit=most_unfamiliar, scope=scope)
    return None


def why_failed(results: Results) -> Failure | None:
    """Why the analysis fails: too many unread cells, or cells that are neither scored nor listed as unread."""
    covered, missed = results.coverage, results.unread
    tissue_cells, unreadable = covered.wanted_cells, covered.unreadable_cells
    unexplained = tissue_cells - covered.analysed_cells - unreadable
    if unexplained:
        return Failure(**reason("no-finite-score", cells=unexplained, wanted=tissue_cells).model_dump())
    if unreadable <= MOST_UNREADABLE * tissue_cells:
        return None
    words = missed.statement.parameters if missed else {"cause": "no reason was recorded", "remedy": "try again"}
    parameters = {**words, "cells": unreadable, "wanted": tissue_cells}
    return Failure(**reason("unreadable", **parameters).model_dump(), unread=missed)
