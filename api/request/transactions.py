"""One transaction a request."""

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


# scope="function": the commit happens before the answer leaves. FastAPI's default commits after it, and a client would
# hold an answer that a failing commit takes back.
Write = Annotated[Session, Depends(_write, scope="function")]
Read = Annotated[Session, Depends(_read, scope="function")]


def ring(times: int = 1) -> None:
    """Wakes workers. Call it after the commit. A lost ring costs time only: the reconciler rings again."""
    doorbell.ring(doorbell.doorbell(), times)
