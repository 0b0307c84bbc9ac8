"""The tables. Every row belongs to a workspace; times are seconds since 1970 by the database's clock."""

import uuid
from typing import Any

from sqlalchemy import (
    JSON,
    String,
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
