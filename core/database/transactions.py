"""Engines, sessions and the database's clock, for SQLite (embedded) and PostgreSQL (production).

SQLite runs with WAL, synchronous=FULL and BEGIN IMMEDIATE: a transaction takes the write lock when it begins, so what
it reads stays true until it commits. Reads that only look use `reading`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import CursorResult, Engine, UpdateBase, create_engine, event, literal, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import Float

from core.settings import get_settings

BUSY_MS = 20_000
SQLITE = {"timeout": BUSY_MS / 1000, "check_same_thread": False}
IDLE_MS = 60_000
# A host that is cut off answers nothing, not even "no"; one that is stopped holds its locks: neither may last.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "options": f"-c idle_in_transaction_session_timeout={IDLE_MS} -c lock_timeout={BUSY_MS}",
}


class now(ColumnElement[float]):  # noqa: N801 - reads as the SQL function that it is
    """Seconds since 1970 by the database's clock."""

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


def make_engine(url: str) -> Engine:
    """An engine with the house's settings."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=10, connect_args=PATIENCE)
    engine = create_engine(url, pool_size=20, max_overflow=20, connect_args=SQLITE)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        reading_only = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading_only else "BEGIN IMMEDIATE")

    return engine


@lru_cache
def get_engine() -> Engine:
    """The process's one engine."""
    return make_engine(get_settings().database())


@contextmanager
def writing() -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on any error."""
    with Session(get_engine(), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """A look at one state of the database, which takes no write lock."""
    with Session(get_engine().execution_options(reading=True), expire_on_commit=False) as session:
        yield session
        session.commit()  # nothing is written; what was read stays usable


def clock(session: Session) -> float:
    """The database's time."""
    return float(session.execute(select(now())).scalar_one())


def affected_rows(session: Session, statement: UpdateBase) -> int:
    """Run an UPDATE or DELETE; how many rows it touched."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount


def insert_if_absent(session: Session, table: type[DeclarativeBase], **values: Any) -> bool:
    """Insert a row unless one of its key is there; True for the one caller who did.

    On PostgreSQL a second caller waits here until the first one's transaction has ended.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    mine = insert(table).values(**values).on_conflict_do_nothing().returning(literal(1))
    return session.execute(mine).first() is not None


def is_reachable() -> bool:
    """Whether a query comes back."""
    with reading() as session:
        return bool(session.execute(text("SELECT 1")).scalar_one() == 1)
