"""The base of all records, and the workspace, which owns every row. Times are seconds since 1970, database clock."""

import uuid
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DEFAULT_WORKSPACE = "default"
# None is stored as SQL NULL. SQLAlchemy's default stores the JSON text "null", which IS NULL does not match.
NULLABLE = JSON(none_as_null=True)


def new_id() -> str:
    """Returns a random id of 32 hexadecimal digits: ids appear in URLs and must not be guessable."""
    return uuid.uuid4().hex


class Record(DeclarativeBase):
    """Base class of all records."""

    type_annotation_map = {dict[str, Any]: NULLABLE, list[Any]: NULLABLE}  # noqa: RUF012 - SQLAlchemy reads it so


class Workspace(Record):
    """The owner of slides, analyses and people. The embedded mode has one."""

    __tablename__ = "workspaces"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
