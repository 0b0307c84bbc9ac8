"""Requests and answers about outlines and evaluations."""

from typing import Any, Literal, cast

from pydantic import BaseModel, Field

from api.contract.values import NOTICE, Reason, iso
from core.database.analyses import Work
from core.marks import evaluations
from core.marks.formats.mark import Origin
from core.marks.outlines import Annotation

Mode = Literal["camelyon16", "strict"]
OutlineFormat = Literal["asap", "imagescope", "geojson", "camelyon-json"]
Point = tuple[float, float]


class IgnoredOut(BaseModel):
    """A mark of the file that is no outline."""

    name: str
    group: str = Field(description="its group, and those around it; `none`: it has none")
    kind: str = Field(description="the file's own word for its shape")
    reason: str


class OutlinesOut(BaseModel):
    """What was read of a file: each of its marks is counted, or listed as ignored."""

    tumour: int = Field(description="number of tumour outlines")
    holes: int = Field(description="number of outlines inside them that are not tumour")
    exhaustive: bool
    format: OutlineFormat
    origin: Origin = Field(description="what the file's coordinates were read from; stored outlines count from level 0")
    ignored: list[IgnoredOut]

    @classmethod
    def from_annotation(cls, annotation: Annotation) -> "OutlinesOut":
        holes = sum(polygon.hole for polygon in annotation.polygons)
        return cls(
            tumour=len(annotation.polygons) - holes,
            holes=holes + sum(len(polygon.inner) for polygon in annotation.polygons),
            exhaustive=annotation.exhaustive,
            format=cast(Any, annotation.format),
            origin=annotation.origin,
            ignored=[IgnoredOut(**one.__dict__) for one in annotation.ignored],
        )


class PolygonOut(BaseModel):
    name: str
    hole: bool = Field(description="whether its inside is not tumour")
    vertices: list[Point] = Field(description="x, y in level-0 pixels; not closed")
    inner: list[list[Point]] = Field([], description="holes of this outline alone; a `hole` cuts all others")


class AnnotationOut(BaseModel):
    """A slide's outlines. `exhaustive`: all of its tumour is outlined."""

    polygons: list[PolygonOut]
    exhaustive: bool
    format: OutlineFormat | None = Field(description="of the file; null for outlines of version 0.2 and before")
    ignored: list[IgnoredOut]


class EvaluationRequest(BaseModel):
    model_config = {"extra": "forbid"}
    mode: Mode
    analyses: list[str] = Field(min_length=1, max_length=evaluations.MOST_SLIDES, description="one a slide")
    threshold: float | None = Field(None, gt=0, lt=1, description="of the regions; default: each analysis's own")


class Curve(BaseModel):
    """The FROC curve, one entry a threshold; the last threshold is null: above all scores."""

    thresholds: list[float | None]
    false_positives_per_slide: list[float]
    sensitivity: list[float]


class Figure(BaseModel):
    """The FROC score: the mean of the sensitivities at the agreed rates of false positives a slide."""

    mode: Mode
    score: float
    sensitivity_at: dict[str, float] = Field(description="by false positives a slide")
    curve: Curve | None = Field(None, description="left out of lists", exclude_if=lambda curve: curve is None)
    slides: int
    lesions: int
    ignored_lesions: int


class LesionOut(BaseModel):
    """An outlined lesion. `counted` unless it is too small; `score`: that of its best detection, 0 when missed."""

    label: int
    counted: bool
    major_axis_um: float
    area_um2: float
    centre_l0: Point
    bbox_l0: tuple[float, float, float, float]
    score: float
    found: bool


class DetectionOut(BaseModel):
    x_l0: float
    y_l0: float
    score: float


class EvaluatedSlide(BaseModel):
    slide_id: str
    analysis_id: str
    filename: str
    left_out: str | None = Field(None, description="why the slide is no part of the figure")
    lesions: list[LesionOut] = Field([], description="in level-0 pixels")
    misses: list[LesionOut] = Field([], description="the counted lesions without a detection")
    false_positives: list[DetectionOut] = []


class EvaluationOut(BaseModel):
    id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    reason: Reason | None
    mode: Mode
    threshold: float | None
    weights_sha256: str
    figure: Figure | None = Field(description="null until it has succeeded")
    slides: list[EvaluatedSlide]
    notice: str = NOTICE
    created_at: str | None

    @classmethod
    def from_row(cls, row: Work) -> "EvaluationOut":
        result, request = row.result or {}, row.payload
        refused = result.get("refused") or (row.reason if evaluations.state_of(row) == "failed" else None)
        return cls(
            id=row.id,
            state=cast(Any, evaluations.state_of(row)),
            reason=Reason(**refused) if refused else None,
            mode=request["mode"],
            threshold=request["threshold"],
            weights_sha256=request["weights_sha256"],
            figure=result.get("figure"),
            slides=result.get("slides", []),
            created_at=iso(row.created_at),
        )

    def brief(self) -> "EvaluationOut":
        """For lists: without the curve and the lesions."""
        figure = self.figure and self.figure.model_copy(update={"curve": None})
        return self.model_copy(update={"figure": figure, "slides": []})


class SentOutlines(BaseModel):
    """The request that an Idempotency-Key of outlines stands for: their digest in place of up to 64 MiB."""

    sha256: str
    exhaustive: bool
    groups: dict[str, str]
    origin: str | None
