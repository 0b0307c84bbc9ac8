"""Records of analyses, work and workers."""

from typing import Any

from sqlalchemy import Float, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.database.record import NULLABLE, Record, new_id


class Analysis(Record):
    """One run of one network over one slide.

    States: queued → running → succeeded, failed or cancelled. The results of a succeeded one may be withheld.
    """

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
    """A work row of one kind: inspect, band, check, finish, profile or evaluate. core.work.leases has its states."""

    __tablename__ = "work"
    # `work_to_claim` serves the workers' query for the next row, the others the gauges and retention. The unique
    # constraint lets a part of an analysis exist once, even when two workers both see the last band end.
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
    token: Mapped[int] = mapped_column(Integer, default=0)  # fencing token: raised by every claim and cancellation
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease_until: Mapped[float | None] = mapped_column(Float)  # of an open row: the end of its pause after a fault
    worker: Mapped[str | None] = mapped_column(String(100))
    payload: Mapped[dict[str, Any]] = mapped_column(NULLABLE, default=dict)
    result: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    values: Mapped[bytes | None] = mapped_column(LargeBinary)  # a band's logits, compressed float32
    strangeness: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    correlation: Mapped[str] = mapped_column(String(64), default="", server_default="")
    created_at: Mapped[float] = mapped_column(Float)
    done_at: Mapped[float | None] = mapped_column(Float)


class Worker(Record):
    """An offer: a model that a worker process can run, with its fingerprint and card, and the time of its heartbeat."""

    __tablename__ = "workers"
    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    model: Mapped[str] = mapped_column(String(100), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    provenance: Mapped[dict[str, Any]] = mapped_column(NULLABLE)
    card: Mapped[dict[str, Any]] = mapped_column(NULLABLE)
    seen_at: Mapped[float] = mapped_column(Float)
