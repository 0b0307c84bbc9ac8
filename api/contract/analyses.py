"""Requests and answers about analyses."""

from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from api.contract.values import NOTICE, Reason, iso
from core.analyses.parts import Profile, Progress
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
    failure_of,
    results_of,
    withheld_of,
)
from core.analyses.statements import Statement, Withheld, state
from core.database.analyses import Analysis, Work
from core.database.slides import Slide
from core.slides import scale

AnalysisState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
WorkState = Literal["open", "claimed", "done", "failed", "cancelled"]
Tissue = Literal["auto", "all"]
Preset = Literal["screening", "default", "specific"]


class AnalysisRequest(BaseModel):
    model_config = {"extra": "forbid"}
    model: str | None = Field(None, max_length=100, description="a name from GET /models; default: the shipped network")
    threshold: float | None = Field(None, gt=0, lt=1, description="score of a region's cells; default: the card's")
    preset: Preset | None = Field(None, description="one of the model's presets, in place of a threshold")
    tissue: Tissue = "auto"
    rotation_check: bool = True


class AnalysisSettings(BaseModel):
    threshold: float
    preset: Preset | None = Field(None, description="the preset that gave the threshold")
    tissue: Tissue
    rotation_check: bool


class Provenance(BaseModel):
    """All that a cell's bits depend on. Other backends may have fields of their own."""

    model_config = ConfigDict(extra="allow")
    model: str
    weights_sha256: str
    card_sha256: str | None = None
    familiarity_sha256: str | None = None
    code_sha256: str | None = None
    backend: str | None = None
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    reader: str | None = None
    reading: str | None = None
    region_px: int | None = None


class ShownResults(BaseModel):
    """The results without their regions, which have a call of their own."""

    preliminary: Literal[True] = True
    threshold: float
    grid: Grid
    coverage: Coverage
    left_out: tuple[LeftOut, ...]
    max_score: float | None
    slide_score: SlideScore | None = Field(description="null where nothing was analysed, or by an earlier version")
    region_count: int
    summary: str
    summary_statement: Statement
    rotation_check: RotationCheck | None
    calibration: Calibration | None
    familiarity: Familiarity | None
    scope_notes: tuple[Statement, ...]
    unread: Unread | None

    @classmethod
    def from_results(cls, results: Results) -> "ShownResults":
        shared = {name: getattr(results, name) for name in cls.model_fields if hasattr(results, name)}
        extra = {"region_count": len(results.regions), "summary_statement": results.summary}
        return cls(**{**shared, **extra, "summary": results.summary.sentence})


class WithheldResults(BaseModel):
    """Of withheld results only what explains why."""

    coverage: Coverage
    left_out: tuple[LeftOut, ...]
    rotation_check: RotationCheck | None
    scope_notes: tuple[Statement, ...]
    unread: Unread | None

    @classmethod
    def from_results(cls, results: Results) -> "WithheldResults":
        return cls(**{name: getattr(results, name) for name in cls.model_fields})


class AnalysisScale(BaseModel):
    """µm per level-0 pixel that an analysis was made at. Its heat map and regions are placed by it, whatever the slide
    was corrected to since."""

    mpp_x: float | None
    mpp_y: float | None
    mpp_source: str | None
    is_current: bool = Field(description="whether the slide still has this scale")
    statement: Statement | None = Field(description="says so where it has another")

    @classmethod
    def from_records(cls, analysis: Analysis, slide: Slide) -> "AnalysisScale":
        current = {name: (slide.info or {}).get(name) for name in ("mpp_x", "mpp_y", "mpp_source")}
        own, is_current = {**current, **analysis.settings.get(scale.SCALE, {})}, scale.is_current(analysis, slide)
        mark = None
        if not is_current:
            mark = state("made-at-another-mpp", mpp=own["mpp_x"] or 0.0, slide_mpp=current["mpp_x"] or 0.0)
        return cls(**own, is_current=is_current, statement=mark)


class AnalysisOut(BaseModel):
    id: str
    slide_id: str
    state: AnalysisState
    reason: Failure | None = Field(description="why the analysis failed")
    withheld: Withheld | None = Field(description="why the results must not be shown")
    model: str
    settings: AnalysisSettings
    provenance: Provenance | None
    progress: Progress
    scale: AnalysisScale
    results: ShownResults | WithheldResults | None
    preliminary: Literal[True] = True
    notice: str = NOTICE
    created_at: str | None
    started_at: str | None
    ended_at: str | None

    @classmethod
    def from_records(cls, analysis: Analysis, slide: Slide, progress: Progress) -> "AnalysisOut":
        results, withheld = results_of(analysis), withheld_of(analysis)
        shape = WithheldResults if withheld else ShownResults
        return cls(
            id=analysis.id,
            slide_id=analysis.slide_id,
            state=cast(AnalysisState, analysis.state),
            reason=failure_of(analysis),
            withheld=withheld,
            model=analysis.model,
            settings=AnalysisSettings(**analysis.settings),
            provenance=None if analysis.provenance is None else Provenance(**analysis.provenance),
            progress=progress,
            scale=AnalysisScale.from_records(analysis, slide),
            results=shape.from_results(results) if results else None,
            created_at=iso(analysis.created_at),
            started_at=iso(analysis.started_at),
            ended_at=iso(analysis.ended_at),
        )


class RegionsOut(BaseModel):
    threshold: float
    summary: str
    summary_statement: Statement
    preliminary: Literal[True] = True
    notice: str = NOTICE
    scale: AnalysisScale
    regions: tuple[Region, ...]

    @classmethod
    def from_results(cls, results: Results, made_at: AnalysisScale) -> "RegionsOut":
        return cls(
            scale=made_at,
            threshold=results.threshold,
            summary=results.summary.sentence,
            summary_statement=results.summary,
            regions=results.regions,
        )


class ProfileRequest(BaseModel):
    """A cell of the grid."""

    model_config = {"extra": "forbid"}
    row: int = Field(ge=0)
    col: int = Field(ge=0)


class ProfileOut(BaseModel):
    id: str
    state: WorkState
    result: Profile | None
    reason: Reason | None

    @classmethod
    def from_row(cls, row: Work) -> "ProfileOut":
        reason = Reason(**row.reason) if row.reason and row.state == "failed" else None
        result = Profile(**row.result) if row.result else None
        return cls(id=row.id, state=cast(WorkState, row.state), result=result, reason=reason)
