"""The tables. Every row belongs to a workspace; times are seconds since 1970 by the database's clock."""

import uuid
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DEFAULT_WORKSPACE = "default"
NULLABLE = JSON(none_as_null=True)  # nothing is NULL, never the JSON text null


def new_id() -> str:
    return uuid.uuid4().hex


class Record(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: NULLABLE, list[Any]: NULLABLE}  # noqa: RUF012 - SQLAlchemy reads it so


class Workspace(Record):
    __tablename__ = "workspaces"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))


class Principal(Record):
    """A person or a program; `role` is viewer, analyst or admin."""

    __tablename__ = "principals"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))


class Password(Record):
    """How a person signs in; `hash` is argon2id's."""

    __tablename__ = "passwords"
    principal_id: Mapped[str] = mapped_column(ForeignKey("principals.id"), primary_key=True)
    login: Mapped[str] = mapped_column(String(100), unique=True)
    hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[float] = mapped_column(Float)


class Credential(Record):
    """What proves a principal: an API key, a browser session or a one-time link. Only the hash of it is kept."""

    __tablename__ = "credentials"
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))  # key, session, link
    principal_id: Mapped[str] = mapped_column(ForeignKey("principals.id"), index=True)
    created_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float | None] = mapped_column(Float)
    revoked: Mapped[bool] = mapped_column(Boolean, default=False)
    parent: Mapped[str | None] = mapped_column(String(64))  # the key that opened a session: it ends with it
    used_at: Mapped[float | None] = mapped_column(Float)  # to the minute
    scopes: Mapped[list[Any] | None] = mapped_column(NULLABLE)  # nothing: all that the role may do
    adopted: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())  # the operator's own key


NOT_INSPECTED = "inspect-failed"  # the reason of a rejected slide that is not known to be at fault: its bytes stay


class Slide(Record):
    """States: uploading, inspecting, needs_input, ready, rejected, deleted."""

    __tablename__ = "slides"
    __table_args__ = (Index("slides_by_age", "workspace_id", "created_at"),)
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    state: Mapped[str] = mapped_column(String(16), default="uploading")
    reason: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    filename: Mapped[str] = mapped_column(String(255))
    file: Mapped[str] = mapped_column(String(300))  # relative to the data folder
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    sha256: Mapped[str | None] = mapped_column(String(64))
    declared_sha256: Mapped[str | None] = mapped_column(String(64))
    identifiers: Mapped[dict[str, Any]] = mapped_column(NULLABLE, default=dict)
    info: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    tissue: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_by: Mapped[str] = mapped_column(String(32), default="", server_default="")  # a principal
    created_at: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[float] = mapped_column(Float)


class Upload(Record):
    """A tus upload. `offset` counts bytes that are durably on disk and, where a checksum came, verified."""

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), default="open")  # open, finished, terminated, expired
    offset: Mapped[int] = mapped_column(BigInteger, default=0)
    length: Mapped[int] = mapped_column(BigInteger)
    upload_metadata: Mapped[str] = mapped_column(String(4096), default="")
    expires_at: Mapped[float] = mapped_column(Float, index=True)


class Analysis(Record):
    """queued → running → succeeded, failed or cancelled; a succeeded one may be withheld."""

    __tablename__ = "analyses"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    reason: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    withheld: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    model: Mapped[str] = mapped_column(String(100))
    settings: Mapped[dict[str, Any]] = mapped_column(NULLABLE)
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    provenance: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    results: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    created_by: Mapped[str] = mapped_column(String(32), default="", server_default="")  # a principal
    created_at: Mapped[float] = mapped_column(Float)
    started_at: Mapped[float | None] = mapped_column(Float)
    ended_at: Mapped[float | None] = mapped_column(Float)


class Work(Record):
    """One piece of work under a lease: inspect, band, check, finish, profile or evaluate. The law is in core.work.leases."""

    __tablename__ = "work"
    __table_args__ = (
        Index("work_to_claim", "state", "lane", "created_at"),
        Index("work_by_end", "kind", "done_at"),
        Index("work_by_attempts", "attempts"),
        UniqueConstraint("analysis_id", "kind", "ordinal"),
    )
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    kind: Mapped[str] = mapped_column(String(16))
    lane: Mapped[int] = mapped_column(Integer)
    ordinal: Mapped[int] = mapped_column(Integer, default=0)
    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"), index=True)
    analysis_id: Mapped[str | None] = mapped_column(ForeignKey("analyses.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), default="open")  # open, claimed, done, failed, cancelled
    token: Mapped[int] = mapped_column(Integer, default=0)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease_until: Mapped[float | None] = mapped_column(Float)
    worker: Mapped[str | None] = mapped_column(String(100))
    payload: Mapped[dict[str, Any]] = mapped_column(NULLABLE, default=dict)
    result: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    values: Mapped[bytes | None] = mapped_column(LargeBinary)
    strangeness: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    correlation: Mapped[str] = mapped_column(String(64), default="", server_default="")
    created_at: Mapped[float] = mapped_column(Float)
    done_at: Mapped[float | None] = mapped_column(Float)


class Outlines(Record):
    """The tumour that people outlined on a slide (core.marks.outlines)."""

    __tablename__ = "outlines"
    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"), primary_key=True)
    content: Mapped[dict[str, Any]] = mapped_column(NULLABLE)
    created_at: Mapped[float] = mapped_column(Float)


class Worker(Record):
    """What a worker process says of one model that it can run: fingerprint, card, when it was last heard."""

    __tablename__ = "workers"
    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    model: Mapped[str] = mapped_column(String(100), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    provenance: Mapped[dict[str, Any]] = mapped_column(NULLABLE)
    card: Mapped[dict[str, Any]] = mapped_column(NULLABLE)
    seen_at: Mapped[float] = mapped_column(Float)


class Idempotency(Record):
    """The first answer to a request that carried an Idempotency-Key."""

    __tablename__ = "idempotency"
    principal_id: Mapped[str] = mapped_column(ForeignKey("principals.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]] = mapped_column(NULLABLE)
    created_at: Mapped[float] = mapped_column(Float)


class Audit(Record):
    """One thing that somebody did (core.access.audit): never changed, never removed."""

    __tablename__ = "audit"
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[float] = mapped_column(Float)
    principal_id: Mapped[str] = mapped_column(String(32))
    who: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(64), index=True)
    origin: Mapped[str] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]] = mapped_column(NULLABLE)
    hash: Mapped[str] = mapped_column(String(64))
