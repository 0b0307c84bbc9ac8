"""One request, one transaction; the doorbell rings after the commit."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy.orm import Session

from core.database.transactions import reading, writing
from core.work import doorbell


def _write() -> Iterator[Session]:
    with writing() as session:
        yield session


def _read() -> Iterator[Session]:
    with reading() as session:
        yield session


# scope="function": the commit happens before the answer leaves, not after.
Write = Annotated[Session, Depends(_write, scope="function")]
Read = Annotated[Session, Depends(_read, scope="function")]


def ring(times: int = 1) -> None:
    """After the commit: wake the workers (the reconciler does, should this be lost)."""
    doorbell.ring(doorbell.doorbell(), times)
