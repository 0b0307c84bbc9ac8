"""Saves an instance into a folder (`python -m admin backup save FOLDER`); core.upkeep.restore loads it.

The rows are those of one moment (one snapshot of the database). The files are copied after it while the service runs:
a slide's file never changes once it is complete, so a later copy has the same bytes.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select

from core.database.migrations import require_newest, revision
from core.database.slides import Slide, Upload, keeps_files
from core.database.transactions import get_engine
from core.errors import Conflict
from core.slides import durable, opening, storage
from core.upkeep.backup_format import BATCH_ROWS, INDEX, saved_tables, to_json

COPY_BYTES = 1 << 20


def save(folder: Path) -> dict[str, Any]:
    """Writes a backup into a folder that is empty or does not exist; returns its index.

    Raises:
        NotFound: there is no database.
        Conflict: the folder is not empty, or the database has another version's schema.
        OSError: the folder cannot be written, for example because the disk is full. What was written has no index
            then, and `load` refuses it.
    """
    require_newest()
    if folder.exists() and any(folder.iterdir()):
        raise Conflict("folder-in-use", f"{folder} is not empty", "name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # it will hold slides, and the hashes of keys and passwords
    (folder / "tables").mkdir()
    engine = get_engine()
    # One snapshot for all tables: on PostgreSQL, READ COMMITTED would show each SELECT a later state.
    level = "REPEATABLE READ" if engine.dialect.name == "postgresql" else "SERIALIZABLE"
    with engine.connect().execution_options(reading=True, isolation_level=level) as connection:
        index: dict[str, Any] = {"revision": revision(connection)}
        index["tables"] = {table.name: _save_table(connection, table, folder) for table in saved_tables()}
        originals, derived = list(_originals(connection)), list(_derived(connection))
    copies = {relative: _copy(storage.absolute(relative), folder / relative, limit) for relative, limit in originals}
    index["missing"] = [relative for relative, copy in copies.items() if copy is None]
    copies |= {relative: _copy(storage.absolute(relative), folder / relative, None) for relative in derived}
    index["files"] = {relative: copy for relative, copy in copies.items() if copy is not None}
    durable.write(folder / INDEX, json.dumps(index, indent=1).encode())  # last: it says that all else is there
    return index


def _save_table(connection: Connection, table: Table, folder: Path) -> dict[str, Any]:
    """Writes the rows of a table; returns their number, bytes and sha256."""
    count, path = 0, folder / "tables" / f"{table.name}.jsonl"
    with path.open("w") as file:
        # In batches: the values of all bands together may be larger than the memory.
        for row in connection.execute(select(table).execution_options(yield_per=BATCH_ROWS)):
            file.write(json.dumps(to_json(row)) + "\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return {"rows": count, "bytes": path.stat().st_size, "sha256": durable.sha256(path)}


def _originals(connection: Connection) -> Iterator[tuple[str, int | None]]:
    """Yields the uploaded file of each slide, relative to the data folder, and the bytes of it that count (None: all).

    Slides by reference are left out: their files belong to the import folder.
    """
    query = select(Slide.file, Upload.offset, Upload.state).outerjoin(Upload, Upload.slide_id == Slide.id)
    for file, offset, state in connection.execute(query.where(keeps_files())):
        if not Path(file).is_absolute():
            yield file, offset if state == "open" else None


def _derived(connection: Connection) -> Iterator[str]:
    """Yields what an inspection wrote beside each slide, those by reference included.

    Not the tile index of a zip by reference: its offsets lie in the unpacked files, which are not saved.
    """
    for slide_id, file in connection.execute(select(Slide.id, Slide.file).where(keeps_files())):
        yield f"slides/{slide_id}/{storage.THUMBNAIL}"
        if not (Path(file).is_absolute() and opening.is_unpacked(slide_id)):
            yield f"slides/{slide_id}/{storage.TILE_INDEX}"


def _copy(source: Path, target: Path, limit: int | None) -> dict[str, Any] | None:
    """Copies a file, or its first bytes; returns size and sha256, or None where there is no such file.

    A slide that is deleted while the backup runs has no file any more; one that was never inspected has none derived.
    """
    if not source.exists():
        return None
    digest, size = hashlib.sha256(), source.stat().st_size if limit is None else limit
    # An upload under way goes on: only the bytes that its row of the snapshot counts are copied.
    left = size
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as original, target.open("wb") as copy:
        while left and (part := original.read(min(left, COPY_BYTES))):
            digest.update(part)
            copy.write(part)
            left -= len(part)
        copy.flush()
        os.fsync(copy.fileno())
    return {"bytes": size - left, "sha256": digest.hexdigest()}
