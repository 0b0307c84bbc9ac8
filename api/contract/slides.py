"""Slides as the API shows and takes them."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from api.contract.values import Reason, iso
from core.database.slides import Slide
from core.slides import catalog

IDENTIFIERS: dict[str, Any] = {
    "propertyNames": {"enum": list(catalog.IDENTIFIERS)},
    "additionalProperties": {"type": "string", "maxLength": 200},
    "description": "short printable texts",
}


class SlideOut(BaseModel):
    id: str
    state: str
    reason: Reason | None
    filename: str
    size_bytes: int
    sha256: str | None
    vendor: str | None
    width: int | None
    height: int | None
    mpp_x: float | None
    mpp_y: float | None
    mpp_source: str | None
    bounds_x: int
    bounds_y: int
    properties: dict[str, str]
    identifiers: dict[str, Any]
    created_at: str | None
    updated_at: str | None

    @classmethod
    def of(cls, slide: Slide) -> "SlideOut":
        info = slide.info or {}
        fields = {name: info.get(name) for name in ("vendor", "width", "height", "mpp_x", "mpp_y", "mpp_source")}
        return cls(
            id=slide.id,
            state=slide.state,
            reason=Reason(**slide.reason) if slide.reason else None,
            filename=slide.filename,
            size_bytes=slide.size_bytes,
            sha256=slide.sha256,
            bounds_x=info.get("bounds_x", 0),
            bounds_y=info.get("bounds_y", 0),
            properties=info.get("properties", {}),
            identifiers=slide.identifiers,
            created_at=iso(slide.created_at),
            updated_at=iso(slide.updated_at),
            **fields,
        )


class LatestAnalysis(BaseModel):
    """A slide's newest analysis that was not cancelled; GET /analyses/{id} says all."""

    id: str
    state: Literal["queued", "running", "succeeded", "failed"]
    withheld: bool


class ListedSlide(SlideOut):
    latest_analysis: LatestAnalysis | None = None


class SlidePage(BaseModel):
    slides: list[ListedSlide]
    next_cursor: str | None = Field(description="pass as `cursor` for the next page; null on the last")


class SlideReference(BaseModel):
    """A slide that lies on the server already."""

    model_config = {"extra": "forbid"}
    path: str = Field(min_length=1, max_length=300, description="relative to the service's import folder")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="refused when the file has another")
    identifiers: dict[str, Any] = Field({}, json_schema_extra=IDENTIFIERS)


class SlideChange(BaseModel):
    """mpp answers `needs_input`; identifiers may come at any time."""

    model_config = {"extra": "forbid"}
    mpp: float | None = Field(None, gt=0.01, lt=100, description="micrometres per pixel at level 0")
    identifiers: dict[str, Any] | None = Field(None, json_schema_extra=IDENTIFIERS)
