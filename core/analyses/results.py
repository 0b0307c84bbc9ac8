"""What an analysis says, as frozen values. Stored as JSON with a version and read back with `from_stored`.

Coordinates ending in `_l0` are level-0 pixels; rows and columns are cells of the grid.
"""

from typing import Any, Literal

from pydantic import field_validator

from core.analyses.statements import SELF_TEST, SLIDE_SCORE, Reason, Statement, Value, Withheld
from core.database.analyses import Analysis
from core.errors import Conflict
from core.errors import Withheld as ResultsWithheld
from core.heatmap.outlines import mended
from core.pixels.frame import STRIDE_PX

VERSION = 4  # of the stored form; also the default of Results.version
Point = tuple[float, float]


class Grid(Value):
    """The cell lattice. The centre of cell (row, col) is at x = a·col + b·row + c, y = d·col + e·row + f.

    `affine_l0`: a, b, c, d, e, f in level-0 pixels. `network_mpp`: µm per pixel that the network reads.
    """

    rows: int
    cols: int
    affine_l0: tuple[float, float, float, float, float, float]
    network_mpp: float


class LeftOut(Value):
    """Cells that were left out of the analysis for what they show; `share` of the slide's area, 0..1."""

    cells: int
    mm2: float
    share: float
    reason: Statement


class Coverage(Value):
    """How much of the tissue and of the slide was analysed.

    `wanted_cells`: tissue cells. `share`: of them that have a score, 0..1. `slide_share`: analysed cells of all cells
    of the slide.
    """

    analysed_cells: int
    wanted_cells: int
    slide_cells: int
    share: float
    slide_share: float
    analysed_mm2: float
    tissue_mm2: float
    slide_mm2: float
    unreadable_cells: int = 0


class Region(Value):
    """Connected cells above the threshold.

    `rings`: closed and valid by the OGC's rules, the outline first, then its holes. In (x, y) the outline is
    counter-clockwise and a hole clockwise, as RFC 7946 counts; on a screen, where y points down, the reverse.
    """

    rank: int
    cells: int
    max_score: float
    mean_score: float
    peak_l0: Point
    bbox_l0: tuple[float, float, float, float]
    area_um2: float
    area_corrected_um2: float
    rings: tuple[tuple[Point, ...], ...]

    @field_validator("rings")
    @classmethod
    def _valid(cls, rings: tuple[tuple[Point, ...], ...]) -> tuple[tuple[Point, ...], ...]:
        """Results of version 0.1 store rings that touch themselves: one place mends them for all uses."""
        return mended(rings)


class RotationCheck(Value):
    """The self-test over the sampled region images: the worst difference between turned answers, in logits.

    `residual_logits`: None where no region was read, or where it is not finite. `passed`: None for a network that
    promises no symmetry, or where no sampled region could be read. `spread_logits`: under views outside the network's
    own group, as information. `drift_logits`: the engine's distance from torch in float32. `regions`: region images
    that were read.
    """

    residual_logits: float | None
    tolerance_logits: float
    passed: bool | None
    regions: int
    elements: tuple[str, ...]
    spread_logits: float | None = None
    outside: tuple[str, ...] = ()
    drift_logits: float | None = None
    meaning: str = SELF_TEST


class SlideScore(Value):
    """The heat map summed up, for sorting slides.

    `peak`: the highest mean score of 2×2 neighbouring cells, 0..1. `area_um2`: of the cells whose score reaches the
    threshold, `area_cells` of them, those of no region included.
    """

    peak: float
    area_cells: int
    area_um2: float
    meaning: str = SLIDE_SCORE


class Calibration(Value):
    """The prevalence (0..1) that scores are calibrated for, and what some scores mean at `rare_prevalence`."""

    prevalence: float
    rare_prevalence: float
    worth_where_rare: dict[str, float]


class Familiarity(Value):
    """The share of analysed tissue that looks unlike the training patches; `unusual` above `usual_share`."""

    unfamiliar_share: float
    usual_share: float
    unusual: bool
    threshold: float


class UnreadRegionImage(Value):
    """A window of cells [row, row_end) × [col, col_end) whose pixels were not read. `cells` of them are tissue."""

    row: int
    col: int
    row_end: int
    col_end: int
    cells: int
    reason: Reason


class Unread(Value):
    """Region images that were not read: the first of them, how many there are, and a sentence with the main cause."""

    cells: int
    image_count: int
    region_images: tuple[UnreadRegionImage, ...]
    statement: Statement


class Failure(Reason):
    """Why an analysis failed, with the region images that were not read where that is the reason."""

    unread: Unread | None = None


class Results(Value):
    """All that a finished analysis says.

    `left_out`: what the cells show that were not to be analysed. `summary` and `scope_notes` are statements: code,
    parameters, sentence.
    """

    version: Literal[4] = 4
    preliminary: Literal[True] = True
    threshold: float
    grid: Grid
    coverage: Coverage
    left_out: tuple[LeftOut, ...] = ()
    max_score: float | None
    slide_score: SlideScore | None = None
    regions: tuple[Region, ...]
    summary: Statement
    rotation_check: RotationCheck | None = None
    calibration: Calibration | None = None
    familiarity: Familiarity | None = None
    scope_notes: tuple[Statement, ...] = ()
    unread: Unread | None = None


def to_stored(value: Value) -> dict[str, Any]:
    """The JSON form that the database keeps."""
    return value.model_dump(mode="json")


def from_stored(content: dict[str, Any]) -> Results:
    """Results from their stored form, of this version or of an earlier one; version 1 named no version.

    Raises:
        Conflict: they were stored by a later version of the service.
    """
    version = content.get("version", 1)
    if version > VERSION:
        detail = f"the results were stored in form {version}, this service knows forms up to {VERSION}"
        raise Conflict("results-of-a-later-version", detail, "upgrade the service")
    if version == 1:
        content = _from_version_1(content)
    if version <= 2:
        content = _from_version_2(content)
    return Results.model_validate({**content, "version": VERSION})  # version 3 has no slide score


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """Version 2's form. The summary's parameters are known from other fields; notes keep their sentence alone."""
    # The stored sentence stays: what a person read then must not change under them.
    count = len(content["regions"])
    code = {0: "no-region", 1: "one-region"}.get(count, "regions")
    parameters = {"share": content["coverage"]["share"]} | ({"count": count} if count > 1 else {})
    return {**content, "summary": {"code": code, "parameters": parameters, "sentence": content["summary"]}}


def _from_version_2(content: dict[str, Any]) -> dict[str, Any]:
    """Version 3's form. The slide's area is known from the grid; what was left out was not recorded."""
    coverage, grid = content["coverage"], content["grid"]
    cells = grid["rows"] * grid["cols"]
    cell_mm2 = (STRIDE_PX * grid["network_mpp"]) ** 2 / 1e6
    derived = {
        "slide_cells": cells,
        "slide_share": coverage["analysed_cells"] / cells,
        "slide_mm2": cells * cell_mm2,
    }
    return {**content, "coverage": {**coverage, **derived}}


def results_of(analysis: Analysis) -> Results | None:
    """The stored results, withheld or not; None before there are any and after the slide's deletion."""
    return None if analysis.results is None else from_stored(analysis.results)


def withheld_of(analysis: Analysis) -> Withheld | None:
    """Why the analysis's results must not be shown."""
    return None if analysis.withheld is None else Withheld.model_validate(analysis.withheld)


def failure_of(analysis: Analysis) -> Failure | None:
    """Why the analysis failed."""
    return None if analysis.reason is None else Failure.model_validate(analysis.reason)


def require_results(analysis: Analysis) -> Results:
    """The results of a succeeded analysis.

    Raises:
        Conflict: it has not succeeded, or its results went with its slide. Withheld: they must not be shown.
    """
    if analysis.state != "succeeded":
        raise Conflict("no-results-yet", f"the analysis is {analysis.state}", "wait until it has succeeded")
    withheld = withheld_of(analysis)
    if withheld is not None:
        raise ResultsWithheld("withheld", f"the results are withheld: {withheld.detail}", "see the analysis")
    results = results_of(analysis)
    if results is None:
        raise Conflict("no-results", "the results were deleted with the slide", "analyse another slide")
    return results
