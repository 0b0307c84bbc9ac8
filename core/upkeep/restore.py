"""Loads a backup into an instance that holds nothing yet (`python -m admin backup load FOLDER`).

The rest is derived again: this command unpacks zips, and a worker inspects again each slide whose tile index, thumbnail
or unpacked files are missing.
"""

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, update
from sqlalchemy.orm import Session

from core.database.analyses import Work
from core.database.migrations import migrate, revision
from core.database.people import Audit, Password, Principal
from core.database.slides import Slide
from core.database.transactions import get_engine
from core.errors import ArchiveRefused, Conflict
from core.slides import inspection, opening, storage
from core.upkeep.backup_format import BATCH_ROWS, from_json, read_index, saved_tables


def load(folder: Path) -> dict[str, Any]:
    """Loads a backup; returns its index.

    All files are checked before the first row is written, and all rows are written in one transaction.

    Raises:
        Invalid: it is no complete backup, or a file has other bytes than were saved.
        Conflict: the instance is not empty, or its schema is not the backup's.
        NoSpace: a zip cannot be unpacked on this disk.
    """
    index = read_index(folder)
    migrate()
    with get_engine().connect().execution_options(reading=True) as connection:
        _require_empty(connection, index)
    for relative in index["files"]:  # before the transaction, which must not stay open for as long as a copy takes
        target = storage.absolute(relative)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / relative, target)
        _unpack(target)
    with get_engine().begin() as connection:
        _require_empty(connection, index)  # a person may have signed in during the copy
        for table in reversed(saved_tables()):
            connection.execute(table.delete())  # `migrate` has created the default workspace and its administrator
        for table in saved_tables():
            _load_table(connection, table, folder)
        _release_claims(connection)
        _inspect_again(connection)
    return index


def _unpack(path: Path) -> None:
    """Unpacks a slide that came as a zip. A zip that is no slide was rejected already, or its inspection will do so."""
    if path.stem == "slide" and path.stat().st_size:
        with contextlib.suppress(ArchiveRefused):
            opening.file_to_inspect(path.parent.name, str(path))


def _require_empty(connection: Connection, index: dict[str, Any]) -> None:
    if revision(connection) != index["revision"]:
        detail = f"the backup is of schema {index['revision']}"
        raise Conflict("other-version", detail, "load it with the version that saved it")
    counts = [connection.scalar(select(func.count()).select_from(table)) for table in (Slide, Audit, Password)]
    principals = connection.scalar(select(func.count()).select_from(Principal))
    if any(counts) or (principals or 0) > 1:
        raise Conflict("instance-in-use", "this instance holds slides, people or an audit", "load into an empty one")


def _load_table(connection: Connection, table: Table, folder: Path) -> None:
    with (folder / "tables" / f"{table.name}.jsonl").open() as file:
        for batch in _batches(table, file):
            connection.execute(insert(table), batch)


def _batches(table: Table, lines: Iterable[str]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for line in lines:
        batch.append(from_json(table, json.loads(line)))
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _release_claims(connection: Connection) -> None:
    """Opens the rows that workers of the saved instance had claimed.

    The raised token fences off such a worker, should it still run against this database.
    """
    claimed = update(Work).where(Work.state == "claimed")
    connection.execute(claimed.values(state="open", lease_until=None, worker=None, token=Work.token + 1))


def _inspect_again(connection: Connection) -> None:
    """Opens an inspection for each slide that lacks what one derives, or whose file has another date here."""
    with Session(connection) as session:
        for slide in session.scalars(select(Slide).where(Slide.state.in_(inspection.INSPECTED))):
            if inspection.is_outdated(slide):
                inspection.inspect_again(session, slide)
        session.flush()
