"""Records of people, their credentials and the audit."""

from typing import Any

from sqlalchemy import Boolean, Float, ForeignKey, Integer, String, false
from sqlalchemy.orm import Mapped, mapped_column

from core.database.record import NULLABLE, Record, new_id


class Principal(Record):
    """A person or a program; `role` is viewer, analyst or admin."""

    __tablename__ = "principals"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))


class Password(Record):
    """A person's sign-in name and argon2id hash. A principal without one is a program."""

    __tablename__ = "passwords"
    principal_id: Mapped[str] = mapped_column(ForeignKey("principals.id"), primary_key=True)
    login: Mapped[str] = mapped_column(String(100), unique=True)
    hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[float] = mapped_column(Float)


class Credential(Record):
    """An API key, a browser session or a one-time link. Only the hash of its secret is stored."""

    __tablename__ = "credentials"
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))  # key, session, link
    principal_id: Mapped[str] = mapped_column(ForeignKey("principals.id"), index=True)
    created_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float | None] = mapped_column(Float)
    revoked: Mapped[bool] = mapped_column(Boolean, default=False)
    parent: Mapped[str | None] = mapped_column(String(64))  # the key that opened a session; the session ends with it
    used_at: Mapped[float | None] = mapped_column(Float)  # accurate to the minute, so that not every request writes
    scopes: Mapped[list[Any] | None] = mapped_column(NULLABLE)  # NULL: whatever the role allows
    adopted: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())  # the operator's own


class Idempotency(Record):
    """The first answer to a request that carried an Idempotency-Key."""

    __tablename__ = "idempotency"
    principal_id: Mapped[str] = mapped_column(ForeignKey("principals.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]] = mapped_column(NULLABLE)
    created_at: Mapped[float] = mapped_column(Float)


class Audit(Record):
    """One action of a visitor (core.access.audit). Rows are never changed and never removed."""

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
