"""The files of a backup, and the check that all of them are as they were saved.

    FOLDER/backup.json          schema revision, size and sha256 of each table and file; written last
    FOLDER/tables/NAME.jsonl    one row a line, bytes as base64
    FOLDER/slides/ID/…          the files of slides; of an unfinished upload, the bytes that its row counts

The format names no database engine: a backup of SQLite loads into PostgreSQL, and the other way round.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

from sqlalchemy import LargeBinary, Table

from core.database.tables import METADATA
from core.errors import Invalid
from core.slides import durable

INDEX = "backup.json"
BATCH_ROWS = 500
LEFT_OUT = ("workers",)  # rows of processes that run now; those of another instance renew their own
# The index is data: a path in it must not lead out of the folder that a backup is loaded into.
ALLOWED_PATH = re.compile(r"tables/[a-z_]+\.jsonl|slides/[0-9a-f]{32}/(slide(\.[a-z]+)?|tiles\.npz|thumbnail\.jpeg)")


def saved_tables() -> list[Table]:
    """Returns the tables of a backup, each after those that its foreign keys refer to."""
    return [table for table in METADATA.sorted_tables if table.name not in LEFT_OUT]


def to_json(row: Any) -> dict[str, Any]:
    """Returns a row as JSON-ready values, bytes as base64."""
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in row._mapping.items()
    }


def from_json(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """Reverses `to_json`: the type of a column says which strings are bytes."""
    for column in table.columns:
        if isinstance(column.type, LargeBinary) and row[column.name] is not None:
            row[column.name] = base64.b64decode(row[column.name])
    return row


def read_index(folder: Path) -> dict[str, Any]:
    """Returns the index of a backup after checking the digest of every table and file that it names.

    Raises:
        Invalid: the folder is no complete backup, a path is not one that `save` writes, or a file has other bytes.
    """
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text())
    except (OSError, ValueError):
        raise Invalid("no-backup", f"{folder} holds no whole backup ({INDEX} is missing)", "save it again") from None
    tables = {f"tables/{table.name}.jsonl": index["tables"].get(table.name, {}) for table in saved_tables()}
    for relative, entry in {**tables, **index["files"]}.items():
        path = folder / relative
        allowed = ALLOWED_PATH.fullmatch(relative) and path.is_file()
        if not allowed or durable.sha256(path) != entry.get("sha256"):
            raise Invalid("backup-damaged", f"{relative} is missing or not as it was saved", "use another backup")
    return index
