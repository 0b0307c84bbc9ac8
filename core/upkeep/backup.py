"""python -m admin backup save FOLDER | load FOLDER: everything that is kept, out of one instance and into an empty one.

    FOLDER/backup.json          revision of the schema, size and sha256 of each table and file; written last
    FOLDER/tables/NAME.jsonl    one row a line, bytes as base64
    FOLDER/slides/ID/…          the files of slides; of an unfinished upload as much as the database knows of

Rows are of one moment (one snapshot of the database); files never change once they are whole, so they may be copied
after it while the service runs. Neither half knows an engine: what was saved from SQLite can be loaded into PostgreSQL.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from sqlalchemy import Connection, LargeBinary, Table, func, insert, select, update

from core.database.analyses import Work
from core.database.migrations import migrate
from core.database.people import Audit, Password, Principal
from core.database.record import Record
from core.database.slides import Slide, Upload
from core.database.transactions import get_engine
from core.errors import ArchiveRefused, Conflict, Invalid, NotFound
from core.slides import archives, durable, storage

INDEX = "backup.json"
BATCH = 500
LEFT_OUT = ("workers",)  # who lives now
COPY_BYTES = 1 << 20
DERIVED = ("tiles.npz", "thumbnail.jpeg")  # not every slide has them
KEPT = re.compile(r"tables/[a-z_]+\.jsonl|slides/[0-9a-f]{32}/(slide(\.[a-z]+)?|tiles\.npz|thumbnail\.jpeg)")


def _tables() -> list[Table]:
    """In an order in which each row's references are there before it."""
    return [table for table in Record.metadata.sorted_tables if table.name not in LEFT_OUT]


def _plain(row: Any) -> dict[str, Any]:
    """Ready for JSON; bytes as base64."""
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in row._mapping.items()
    }


def _rich(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """The other way round: a column's type tells which strings were bytes."""
    for column in table.columns:
        if isinstance(column.type, LargeBinary) and row[column.name] is not None:
            row[column.name] = base64.b64decode(row[column.name])
    return row


def _revision(connection: Connection) -> str:
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        raise NotFound("no-instance", "this database holds no instance", "run python -m admin migrate first")
    return found


def save(folder: Path) -> dict[str, Any]:
    """Write a backup into a folder that is empty or not there; what was written.

    Raises:
        Conflict: the folder holds something. OSError: the disk is full, say; a backup without its index is none.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Conflict("folder-in-use", f"{folder} is not empty", "name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # hashes of keys and passwords, and slides
    (folder / "tables").mkdir()
    engine = get_engine()
    level = "REPEATABLE READ" if engine.dialect.name == "postgresql" else "SERIALIZABLE"
    with engine.connect().execution_options(reading=True, isolation_level=level) as connection:
        revision = _revision(connection)
        tables = {table.name: _save_table(connection, table, folder) for table in _tables()}
        wanted = list(_files(connection))
    files, missing = {}, []
    for relative, most in wanted:
        copied = _copy(storage.absolute(relative), folder / relative, most)
        if copied is not None:
            files[relative] = copied
        elif not relative.endswith(DERIVED):
            missing.append(relative)
    index = {"revision": revision, "tables": tables, "files": files, "missing": missing}
    durable.write(folder / INDEX, json.dumps(index, indent=1).encode())
    return index


def _save_table(connection: Connection, table: Table, folder: Path) -> dict[str, Any]:
    """Its rows, bytes and sha256."""
    count, path = 0, folder / "tables" / f"{table.name}.jsonl"
    with path.open("w") as file:
        for row in connection.execute(select(table).execution_options(yield_per=BATCH)):
            file.write(json.dumps(_plain(row)) + "\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return {"rows": count, "bytes": path.stat().st_size, "sha256": durable.sha256(path)}


def _files(connection: Connection) -> Iterator[tuple[str, int | None]]:
    """(path relative to the data folder, bytes that count) of every kept slide's files; by reference none."""
    found = select(Slide.id, Slide.file, Upload.offset, Upload.state).outerjoin(Upload, Upload.slide_id == Slide.id)
    for slide_id, file, offset, state in connection.execute(found.where(Slide.state != "deleted")):
        if Path(file).is_absolute():
            continue
        yield file, offset if state == "open" else None
        for name in DERIVED:
            yield f"slides/{slide_id}/{name}", None


def _copy(source: Path, target: Path, most: int | None) -> dict[str, Any] | None:
    """Size and sha256 of what was copied; None where there is nothing (deleted since, or never made)."""
    if not source.exists():
        return None
    digest, size = hashlib.sha256(), source.stat().st_size if most is None else most
    left = size
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as read, target.open("wb") as written:
        while left and (part := read.read(min(left, COPY_BYTES))):
            digest.update(part)
            written.write(part)
            left -= len(part)
        written.flush()
        os.fsync(written.fileno())
    return {"bytes": size - left, "sha256": digest.hexdigest()}


def load(folder: Path) -> dict[str, Any]:
    """Bring a backup back into an instance that holds nothing yet; its index.

    All files are checked before the first row is written, and rows are written in one transaction.

    Raises:
        Invalid: it is no whole backup, or a file is not as it was saved. Conflict: the instance is not empty, or of
            another version than the backup's.
    """
    index = _checked(folder)
    migrate()
    with get_engine().connect().execution_options(reading=True) as connection:
        _require_empty(connection, index)
    for relative in index["files"]:  # before the transaction: this takes its time
        target = storage.absolute(relative)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / relative, target)
        _unpack_again(target)
    with get_engine().begin() as connection:
        _require_empty(connection, index)
        for table in reversed(_tables()):
            connection.execute(table.delete())  # the administrator that migrating made
        for table in _tables():
            _load_table(connection, table, folder)
        _settle(connection)
    return index


def _unpack_again(path: Path) -> None:
    """What lay unpacked beside a zip is not saved with it. What is no slide's zip was refused, or will be."""
    if path.stem == "slide" and path.stat().st_size and archives.is_archive(path):
        with contextlib.suppress(ArchiveRefused):
            archives.unpack(path, path.parent, lambda: None)


def _require_empty(connection: Connection, index: dict[str, Any]) -> None:
    if _revision(connection) != index["revision"]:
        known = f"the backup is of schema {index['revision']}"
        raise Conflict("other-version", known, "load it with the version that saved it")
    held = {table: connection.scalar(select(func.count()).select_from(table)) for table in (Slide, Audit, Password)}
    principals = connection.scalar(select(func.count()).select_from(Principal))
    if any(held.values()) or (principals or 0) > 1:
        raise Conflict("instance-in-use", "this instance holds slides, people or an audit", "load into an empty one")


def _load_table(connection: Connection, table: Table, folder: Path) -> None:
    with (folder / "tables" / f"{table.name}.jsonl").open() as file:
        for batch in _batches(table, file):
            connection.execute(insert(table), batch)


def _batches(table: Table, lines: Iterable[str]) -> Iterator[list[dict[str, Any]]]:
    waiting: list[dict[str, Any]] = []
    for line in lines:
        waiting.append(_rich(table, json.loads(line)))
        if len(waiting) == BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _settle(connection: Connection) -> None:
    """Nobody here holds what somebody held there, and whoever still does writes nothing."""
    held = update(Work).where(Work.state == "claimed")
    connection.execute(held.values(state="open", lease_until=None, worker=None, token=Work.token + 1))


def _checked(folder: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text())
    except (OSError, ValueError):
        raise Invalid("no-backup", f"{folder} holds no whole backup ({INDEX} is missing)", "save it again") from None
    wanted = {f"tables/{table.name}.jsonl": index["tables"].get(table.name, {}) for table in _tables()}
    for relative, known in {**wanted, **index["files"]}.items():
        path = folder / relative
        if not KEPT.fullmatch(relative) or not path.is_file() or durable.sha256(path) != known.get("sha256"):
            raise Invalid("backup-damaged", f"{relative} is missing or not as it was saved", "use another backup")
    return index
