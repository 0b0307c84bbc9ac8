"""Records of slides, uploads and outlines."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Float, ForeignKey, Index, LargeBinary, String, Text, event, or_
from sqlalchemy.orm import Mapped, mapped_column

from core.database.record import NULLABLE, Record, new_id
from core.database.search import searchable

# Reason code of a slide that was rejected because the inspection failed in the worker. Its file is not known to be at
# fault, so its bytes are kept and it can be inspected again.
NOT_INSPECTED = "inspect-failed"
# Reason code of a slide of a kind that this version does not read. A later one may, so its bytes are kept too.
UNSUPPORTED = "unsupported"
KEPT = (NOT_INSPECTED, UNSUPPORTED)


class Slide(Record):
    """A whole-slide image. States: uploading, inspecting, needs_input, ready, rejected, deleted."""

    __tablename__ = "slides"
    __table_args__ = (Index("slides_by_age", "workspace_id", "created_at"),)
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    state: Mapped[str] = mapped_column(String(16), default="uploading")
    reason: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    filename: Mapped[str] = mapped_column(String(255))
    file: Mapped[str] = mapped_column(String(300))  # relative to the data folder; absolute: a slide by reference
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    sha256: Mapped[str | None] = mapped_column(String(64))
    declared_sha256: Mapped[str | None] = mapped_column(String(64))
    identifiers: Mapped[dict[str, Any]] = mapped_column(NULLABLE, default=dict)
    info: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE)
    tissue: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_by: Mapped[str] = mapped_column(String(32), default="", server_default="")  # a principal
    created_at: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[float] = mapped_column(Float)
    search_text: Mapped[str] = mapped_column(Text, default="", server_default="")  # derived: see `_derive_search_text`


@event.listens_for(Slide, "before_insert")
@event.listens_for(Slide, "before_update")
def _derive_search_text(_mapper: object, _connection: object, slide: Slide) -> None:
    """Keeps the text that searches compare in step with the file name and the identifiers, whoever writes them."""
    slide.search_text = searchable([slide.filename, *(slide.identifiers or {}).values()])


class Upload(Record):
    """A tus upload. `offset` counts the bytes that are durably on disk and, if a checksum was given, verified."""

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), default="open")  # open, finished, terminated, expired
    offset: Mapped[int] = mapped_column(BigInteger, default=0)
    length: Mapped[int] = mapped_column(BigInteger)
    upload_metadata: Mapped[str] = mapped_column(String(4096), default="")
    expires_at: Mapped[float] = mapped_column(Float, index=True)


class Outlines(Record):
    """The outlines of tumour that people drew on a slide (core.marks.outlines)."""

    __tablename__ = "outlines"
    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id"), primary_key=True)
    content: Mapped[dict[str, Any]] = mapped_column(NULLABLE)
    created_at: Mapped[float] = mapped_column(Float)


def keeps_files() -> ColumnElement[bool]:
    """Returns the condition for slides whose files are kept: not deleted, and not rejected for a fault of the file."""
    return or_(Slide.state.notin_(("deleted", "rejected")), Slide.reason["code"].as_string().in_(KEPT))
