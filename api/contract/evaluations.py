"""Outlines and evaluations as the API shows and takes them."""

from typing import Any, Literal, cast

from pydantic import BaseModel, Field

from api.contract.values import NOTICE, Reason, iso
from core.database.analyses import Work
from core.marks import evaluations


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


class SentOutlines(BaseModel):
    """What an Idempotency-Key stands for when outlines were sent."""

    sha256: str
    exhaustive: bool
