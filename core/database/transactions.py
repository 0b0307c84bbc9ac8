"""Engines, transactions and the database's clock, for SQLite (embedded mode) and PostgreSQL (production).

    with writing() as session: ...     committed at the end, rolled back on an exception
    with reading() as session: ...     one snapshot, no write lock

All times that are compared with each other come from the database's clock (`now`), never from a host's: workers on
hosts whose clocks differ agree on when a lease ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import CursorResult, Engine, UpdateBase, create_engine, event, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Float

from core.settings import get_settings

BUSY_MS = 20_000  # longest wait for a lock, on either engine
IDLE_MS = 60_000
SQLITE_ARGUMENTS = {"timeout": BUSY_MS / 1000, "check_same_thread": False}
# A host that is cut off sends no reset, so without keepalives and tcp_user_timeout a connection to it waits for hours.
# A client that stops inside a transaction keeps its locks: the server ends its session after IDLE_MS.
POSTGRESQL_ARGUMENTS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "options": f"-c idle_in_transaction_session_timeout={IDLE_MS} -c lock_timeout={BUSY_MS}",
}
# WAL: readers do not wait for the writer. FULL: a commit is on the disk before it returns, where WAL's usual NORMAL may
# lose the last ones in a power cut, after the client got its answer. SQLite checks foreign keys only on request.
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}")


class now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function that it is
    """SQL expression: seconds since 1970 by the database's clock, at the moment of its evaluation."""

    # A function, since SQLAlchemy caches the compiled form of statements with functions. A statement with a plain
    # ColumnElement is compiled at each execution, which takes longer than the claim of a work row.
    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"  # 2440587.5: the Julian day of 1970-01-01


@compiles(now, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    # Not now(), which is the start of the transaction: a lease must count from the claim, not from a wait before it.
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


def make_engine(url: str) -> Engine:
    """Returns an engine with the locking and timeouts that this module promises."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=10, connect_args=POSTGRESQL_ARGUMENTS)
    engine = create_engine(url, pool_size=20, max_overflow=20, connect_args=SQLITE_ARGUMENTS)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # else sqlite3 itself begins transactions, and only before some statements
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # IMMEDIATE takes the write lock at the start, so what the transaction reads stays true until it commits. A
        # plain BEGIN would take it at the first write and fail with SQLITE_BUSY, without a wait, if another transaction
        # has written since its first read.
        reading_only = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading_only else "BEGIN IMMEDIATE")

    return engine


@lru_cache
def get_engine() -> Engine:
    """Returns the engine that the whole process shares."""
    return make_engine(get_settings().database())


@contextmanager
def writing() -> Iterator[Session]:
    """Yields a session in one transaction: committed at the end, rolled back on an exception.

    Rows stay usable after the commit (`expire_on_commit=False`): reading an attribute must not open a new transaction.
    """
    with Session(get_engine(), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """Yields a session that reads one state of the database and takes no write lock."""
    with Session(get_engine().execution_options(reading=True), expire_on_commit=False) as session:
        yield session
        session.commit()  # a rollback would expire the rows that were read


def clock(session: Session) -> float:
    """Returns the database's time, in seconds since 1970."""
    return float(session.execute(select(now())).scalar_one())


def affected_rows(session: Session, statement: UpdateBase) -> int:
    """Executes an UPDATE or DELETE; returns how many rows it changed."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount


def insert_if_absent(session: Session, table: type[DeclarativeBase], **values: Any) -> bool:
    """Inserts a row unless one with its key exists; True for the one caller that inserted it.

    On PostgreSQL a second caller waits here until the first one's transaction has ended.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(table).values(**values).on_conflict_do_nothing().returning(literal(1))
    return session.execute(row).first() is not None
