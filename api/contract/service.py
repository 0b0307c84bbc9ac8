"""Answers about the service itself: the networks it can run, its health and its readiness."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.contract.analyses import Provenance
from api.contract.values import NOTICE, iso
from core.analyses.results import Calibration
from core.database.analyses import Worker


class Architecture(BaseModel):
    """The network's layers: family (group and convolution), blocks, growth and channels, normalisation of its input."""

    model_config = ConfigDict(extra="allow")
    family: str
    blocks: int
    growth: int
    n0: int
    views: str
    mean: list[float]
    std: list[float]


class ModelScope(BaseModel):
    """What the network was trained on, and is for."""

    model_config = ConfigDict(extra="allow")
    organ: str
    stain: str
    scanners: list[str]


class Metrics(BaseModel):
    """How the network does on one part of the data, with 95 % intervals. `interval_by`: what they resample."""

    model_config = ConfigDict(extra="allow")
    accuracy: float | None = None
    auc: float | None = None
    accuracy_interval: tuple[float, float] | None = None
    auc_interval: tuple[float, float] | None = None
    auc_within_slide_group: dict[str, float] = {}
    brier: float | None = None
    brier_interval: tuple[float, float] | None = None
    nll: float | None = None
    nll_interval: tuple[float, float] | None = None
    interval_by: str | None = Field(None, description="slide group, overlap cluster or patch")
    calibration_error: float | None = None
    calibration_slope: float | None = None
    calibration_intercept: float | None = None
    patches: int | None = None
    positive: int | None = None
    slide_groups: int | None = None


class Share(BaseModel):
    """A measured quantity with its 95 % interval."""

    value: float
    interval: tuple[float, float]


class ThresholdPreset(BaseModel):
    """A threshold for one use, and what it costs.

    `sensitivity` and `specificity`: of patches of PatchCamelyon's test. `detected`: the share of lesions that are
    found, by their size in cells, and the false regions per 10 mm² of tissue, on fields composed of labelled patches.
    `sham`: the same of places without tumour, which chance finds. Intervals do not vary slides, so they are too narrow.
    No annotated slides were used. A card of one's own may state the threshold alone.
    """

    threshold: float
    sensitivity: float | None = None
    sensitivity_interval: tuple[float, float] | None = None
    specificity: float | None = None
    specificity_interval: tuple[float, float] | None = None
    detected: dict[str, Share] = {}
    sham: dict[str, Share] = {}
    false_regions_per_10_mm2: Share | None = None


class ModelCard(BaseModel):
    """A network that live workers can run. `digest`: sha256 of its weights; `purpose`: empty, or `comparison`."""

    model_config = ConfigDict(extra="allow")
    name: str
    digest: str
    architecture: Architecture
    temperature: float
    bias: float = Field(0.0, description="scores are the logistic function of logit / temperature + bias")
    threshold: float = Field(description="score of a region's cells, where a request names none")
    presets: dict[str, ThresholdPreset] = Field({}, description="thresholds for other uses: screening, specific")
    scope: ModelScope
    data: dict[str, JsonValue]
    metrics: dict[str, Metrics] = Field(description="by part of the data: valid, test")
    purpose: str
    format: int
    calibration: Calibration | None
    reader_held_by: list[str] = Field(description="what confines the children that open slides")
    provenance: Provenance
    seen_at: str | None = Field(description="when a worker last offered it")

    @classmethod
    def from_worker(cls, worker: Worker) -> "ModelCard":
        return cls(**worker.card, provenance=Provenance(**worker.provenance), seen_at=iso(worker.seen_at))


class ModelsOut(BaseModel):
    models: list[ModelCard]
    default: str = Field(description="the model that runs when a request names none")
    notice: str = NOTICE


class Health(BaseModel):
    status: Literal["alive"] = "alive"


class Checks(BaseModel):
    database: bool
    broker: bool
    disk: bool = Field(description="whether the free space is above the configured floor")


class Readers(BaseModel):
    """What confines the children that open slides (core.reader.sandbox), here and where workers run."""

    here: list[str]
    workers: list[list[str]] = []


class Readiness(BaseModel):
    """Whether work can be accepted. Workers are reported and do not make the service unready."""

    ready: bool
    checks: Checks
    workers: int | None = Field(description="live worker processes; null without a database")
    heard_seconds: float | None = Field(None, description="since the last heartbeat of any worker")
    models: dict[str, str] = Field({}, description="digest of the weights, by model that live workers run")
    readers: Readers
