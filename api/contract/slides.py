"""Requests and answers about slides."""

from typing import Any, Literal, cast
from urllib.parse import quote

from pydantic import BaseModel, Field

from api.contract.calls import NATIVE_TILE
from api.contract.values import Reason, iso
from core.database.slides import Slide, Upload
from core.errors import Invalid
from core.pixels.levels import SlideInfo
from core.pixels.scale import COARSEST_MPP, FINEST_MPP, Pair
from core.settings import get_settings
from core.slides import catalog

SlideState = Literal["uploading", "inspecting", "needs_input", "ready", "rejected", "deleted"]
LIMITS: dict[str, Any] = {"ge": FINEST_MPP, "le": COARSEST_MPP, "allow_inf_nan": False}
IDENTIFIERS: dict[str, Any] = {
    "propertyNames": {"enum": list(catalog.IDENTIFIERS)},
    "additionalProperties": {"type": "string", "maxLength": 200},
    "description": "short printable texts",
}


class SlideOut(BaseModel):
    """A slide. Sizes in level-0 pixels, `mpp_*` in micrometres per pixel at level 0; null before its inspection."""

    id: str
    state: SlideState
    reason: Reason | None
    filename: str
    size_bytes: int
    sha256: str | None = Field(description="of the file as it was inspected; null before")
    declared_sha256: str | None = Field(description="as the sender declared it; a rejected slide has it, too")
    vendor: str | None
    width: int | None
    height: int | None
    mpp_x: float | None
    mpp_y: float | None
    mpp_source: str | None
    bounds_x: int
    bounds_y: int
    properties: dict[str, str]
    not_analysable: Reason | None = Field(
        description="why the slide can be viewed and is not analysed; null where it is"
    )
    left_out_files: list[str] = Field(description="files of the slide's zip that are no part of it, fifty at most")
    identifiers: dict[str, str]
    created_at: str | None
    updated_at: str | None

    @classmethod
    def from_record(cls, slide: Slide) -> "SlideOut":
        return cls(**_fields(slide))


def _fields(slide: Slide) -> dict[str, Any]:
    info = slide.info or {}
    inspected = {name: info.get(name) for name in ("vendor", "width", "height", "mpp_x", "mpp_y", "mpp_source")}
    return {
        "id": slide.id,
        "state": slide.state,
        "reason": Reason(**slide.reason) if slide.reason else None,
        "filename": slide.filename,
        "size_bytes": slide.size_bytes,
        "sha256": slide.sha256,
        "declared_sha256": slide.declared_sha256,
        "bounds_x": info.get("bounds_x", 0),
        "bounds_y": info.get("bounds_y", 0),
        "properties": info.get("properties", {}),
        "not_analysable": Reason(**info["not_analysable"]) if info.get("not_analysable") else None,
        "left_out_files": info.get("left_out_files", []),
        "identifiers": slide.identifiers,
        "created_at": iso(slide.created_at),
        "updated_at": iso(slide.updated_at),
        **inspected,
    }


class LatestAnalysis(BaseModel):
    """A slide's newest analysis that was not cancelled; GET /analyses/{id} has the rest."""

    id: str
    state: Literal["queued", "running", "succeeded", "failed"]
    withheld: bool


class ListedSlide(SlideOut):
    latest_analysis: LatestAnalysis | None = None

    @classmethod
    def from_records(cls, slide: Slide, latest: catalog.LatestAnalysis | None) -> "ListedSlide":
        analysis = None if latest is None else LatestAnalysis(**latest.__dict__)
        return cls(**_fields(slide), latest_analysis=analysis)


class SlidePage(BaseModel):
    slides: list[ListedSlide]
    next_cursor: str | None = Field(description="pass as `cursor` for the next page; null on the last")


class SlideReference(BaseModel):
    """A slide whose file is on the server already."""

    model_config = {"extra": "forbid"}
    path: str = Field(min_length=1, max_length=300, description="relative to the service's import folder")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="the file is refused when it has another")
    identifiers: dict[str, object] = Field({}, json_schema_extra=IDENTIFIERS)


class SlideChange(BaseModel):
    """Identifiers, and mpp where the file states none or a wrong one. A correction needs a reason, which is audited."""

    model_config = {"extra": "forbid"}
    mpp: float | None = Field(None, strict=True, **LIMITS, description="micrometres per pixel at level 0")
    mpp_y: float | None = Field(None, strict=True, **LIMITS, description="along y, where pixels are not square")
    reason: str | None = Field(None, max_length=200, description="of the correction: why the file's mpp is wrong")
    identifiers: dict[str, object] | None = Field(None, json_schema_extra=IDENTIFIERS)

    def mpp_pair(self) -> Pair | None:
        """µm per pixel along x and y. Raises Invalid for y alone."""
        if self.mpp is None and self.mpp_y is not None:
            raise Invalid("mpp-missing", "mpp_y is stated without mpp", "send both, or mpp alone for square pixels")
        return None if self.mpp is None else (self.mpp, self.mpp_y or self.mpp)


class LevelOut(BaseModel):
    """A level of the pyramid. Sizes in its own pixels; `downsample_*`: level-0 pixels per pixel of this level."""

    width: int
    height: int
    downsample_x: float
    downsample_y: float
    tile_width: int
    tile_height: int
    native: bool = Field(description="whether the tiles are those of the file")
    made: bool = Field(description="whether the level is rendered for the viewer, because the file lacks it")


class TilesOut(BaseModel):
    """The description of a slide's tiles, finest level first."""

    width: int
    height: int
    mpp_x: float | None
    mpp_y: float | None
    levels: list[LevelOut]
    tile_url: str = Field(description="template of the tiles' addresses, with {level}, {col} and {row}")
    version: str = Field(description="changes with the content of the slide's file")

    @classmethod
    def from_record(cls, slide: Slide, info: SlideInfo) -> "TilesOut":
        return cls(
            width=info.width,
            height=info.height,
            mpp_x=info.mpp_x,
            mpp_y=info.mpp_y,
            levels=[LevelOut(**level.__dict__) for level in info.levels],
            tile_url=quote(get_settings().prefix()) + NATIVE_TILE.path.replace("{slide_id}", slide.id),
            version=(slide.sha256 or "")[:16],
        )


class UploadOut(BaseModel):
    id: str
    state: Literal["open", "finished"]
    offset: int = Field(description="bytes that are safe")
    length: int
    slide_id: str | None = Field(description="null until the upload is finished")
    expires_at: str | None

    @classmethod
    def from_record(cls, upload: Upload) -> "UploadOut":
        return cls(
            id=upload.id,
            state=cast(Any, upload.state),
            offset=upload.offset,
            length=upload.length,
            slide_id=upload.slide_id if upload.state == "finished" else None,
            expires_at=iso(upload.expires_at),
        )
