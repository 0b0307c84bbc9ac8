"""What the API takes and gives."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.access import credentials
from core.database.record import Analysis, Audit, Slide, Work
from core.slides import catalog

IDENTIFIERS: dict[str, Any] = {
    "propertyNames": {"enum": list(catalog.IDENTIFIERS)},
    "additionalProperties": {"type": "string", "maxLength": 200},
    "description": "short printable texts",
}
NOTICE = "For research use only. Not a medical device. Results are preliminary."


def iso(seconds: float | None) -> str | None:
    """UTC, ISO 8601."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Reason(BaseModel):
    code: str
    detail: str
    action: str = ""


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
    def of(cls, analysis: Analysis, progress: dict[str, Any]) -> "AnalysisOut":
        shown = None
        if analysis.results is not None and analysis.withheld is None:
            shown = {key: value for key, value in analysis.results.items() if key != "regions"}
            shown["region_count"] = len(analysis.results["regions"])
        elif analysis.results is not None:
            shown = {key: analysis.results[key] for key in ("coverage", "rotation_check", "scope_notes")}
        return cls(
            id=analysis.id,
            slide_id=analysis.slide_id,
            state=analysis.state,
            reason=Reason(**analysis.reason) if analysis.reason else None,
            withheld=Reason(**analysis.withheld) if analysis.withheld else None,
            model=analysis.model,
            settings=analysis.settings,
            provenance=analysis.provenance,
            progress=Progress(**progress),
            results=shown,
            created_at=iso(analysis.created_at),
            started_at=iso(analysis.started_at),
            ended_at=iso(analysis.ended_at),
        )


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


class KeyRequest(BaseModel):
    """An API key for a program or a person."""

    model_config = {"extra": "forbid"}
    name: str = Field(min_length=1, max_length=100, description="what it is for, shown in the list of keys")
    role: Literal["viewer", "analyst", "admin"] = "analyst"
    scopes: list[credentials.Scope] | None = Field(
        None,
        min_length=1,
        max_length=len(credentials.SCOPES),
        description="a part of what the role may do; null: all of it",
    )
    expires_days: float | None = Field(None, gt=0, le=3650, description="null: until it is revoked")


class KeyOut(BaseModel):
    id: str
    name: str
    role: str
    scopes: list[str] | None
    revoked: bool
    created_at: str | None
    expires_at: str | None
    used_at: str | None = Field(None, description="to the minute; null: never")
    key: str | None = Field(None, description="the secret, in the answer that made it and nowhere else")

    @classmethod
    def of(cls, known: credentials.KnownKey, secret: str | None = None) -> "KeyOut":
        return cls(
            id=known.id,
            name=known.name,
            role=known.role,
            scopes=None if known.scopes is None else list(known.scopes),
            revoked=known.revoked,
            created_at=iso(known.created_at),
            expires_at=iso(known.expires_at),
            used_at=iso(known.used_at),
            key=secret,
        )


def _sent(*names: str) -> dict[str, Any]:
    return {"required": list(names), "properties": {name: {"type": "string", "minLength": 1} for name in names}}


class SignIn(BaseModel):
    """One of: a one-time link's token; an API key; a name and its password."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"anyOf": [_sent("token"), _sent("key"), _sent("login", "password")]}
    )
    token: str | None = Field(None, max_length=200, description="of a one-time sign-in link")
    key: str | None = Field(None, max_length=200, description="an API key")
    login: str | None = Field(None, max_length=100, description="a person's name, with a password")
    password: str | None = Field(None, max_length=200)


class Me(BaseModel):
    name: str
    role: str
    scopes: list[str] | None = Field(description="of the key that was signed in with; null: all that the role may do")
    workspace: str
    person_id: str | None = Field(description="of who signed in with a name and a password; null: a key")
    notice: str = NOTICE


class AuditRow(BaseModel):
    """`hash` seals the row and, through the one before it, all rows before."""

    number: int
    at: str | None
    who: str
    principal_id: str
    action: str
    subject: str
    origin: str
    detail: dict[str, Any]
    hash: str

    @classmethod
    def of(cls, row: Audit) -> "AuditRow":
        same = ("number", "who", "principal_id", "action", "subject", "origin", "detail", "hash")
        return cls(at=iso(row.at), **{name: getattr(row, name) for name in same})


class AuditPage(BaseModel):
    rows: list[AuditRow]
    next_cursor: int | None = Field(description="pass as `cursor` for the next page; null on the last")


class AuditCheck(BaseModel):
    holds: bool
    broken_at: int | None = Field(description="the number of the first row that is missing or was changed")
