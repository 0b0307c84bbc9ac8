"""Analyses as the API shows and takes them."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from api.contract.values import NOTICE, Reason, iso
from core.analyses.parts import Progress as Done
from core.analyses.results import Results, failure_of, results_of, withheld_of
from core.database.analyses import Analysis, Work


class AnalysisRequest(BaseModel):
    model_config = {"extra": "forbid"}
    model: str | None = Field(None, max_length=100, description="a name from GET /models; default: the shipped network")
    threshold: float | None = Field(None, gt=0, lt=1, description="score of a region's cells; default: the card's")
    tissue: Literal["auto", "all"] = "auto"
    rotation_check: bool = True


class Progress(BaseModel):
    done: int
    total: int
    seconds_left: float | None


class AnalysisOut(BaseModel):
    id: str
    slide_id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    reason: Reason | None
    withheld: Reason | None = Field(description="why the results must not be shown")
    model: str
    settings: dict[str, Any]
    provenance: dict[str, Any] | None
    progress: Progress
    results: dict[str, Any] | None = Field(
        description="grid, coverage, summary, self-test; regions have their own call"
    )
    preliminary: Literal[True] = True
    notice: str = NOTICE
    created_at: str | None
    started_at: str | None
    ended_at: str | None

    @classmethod
    def of(cls, analysis: Analysis, progress: Done) -> "AnalysisOut":
        results, withheld, failure = results_of(analysis), withheld_of(analysis), failure_of(analysis)
        return cls(
            id=analysis.id,
            slide_id=analysis.slide_id,
            state=analysis.state,
            reason=Reason(**failure.model_dump()) if failure else None,
            withheld=Reason(**withheld.model_dump()) if withheld else None,
            model=analysis.model,
            settings=analysis.settings,
            provenance=analysis.provenance,
            progress=Progress(**progress.model_dump()),
            results=_shown(results, withheld is not None) if results else None,
            created_at=iso(analysis.created_at),
            started_at=iso(analysis.started_at),
            ended_at=iso(analysis.ended_at),
        )


def _shown(results: Results, withheld: bool) -> dict[str, Any]:
    """What an analysis says beside its regions; of withheld results only what explains why."""
    if withheld:
        return results.model_dump(mode="json", include={"coverage", "rotation_check", "scope_notes", "unread"})
    content = results.model_dump(mode="json", exclude={"regions", "version"})
    content["summary_statement"], content["summary"] = content["summary"], results.summary.sentence
    return {**content, "region_count": len(results.regions)}


class ProfileRequest(BaseModel):
    model_config = {"extra": "forbid"}
    row: int = Field(ge=0)
    col: int = Field(ge=0)


class ProfileOut(BaseModel):
    id: str
    state: str
    result: dict[str, Any] | None
    reason: Reason | None

    @classmethod
    def of(cls, row: Work) -> "ProfileOut":
        reason = Reason(**row.reason) if row.reason and row.state == "failed" else None
        return cls(id=row.id, state=row.state, result=row.result, reason=reason)
