"""python -m admin backup save FOLDER | load FOLDER: saves an instance, or loads a backup into an empty one."""

import argparse
import sys
from pathlib import Path

from core.upkeep.backup import save
from core.upkeep.restore import load


def main(arguments: list[str] | None = None) -> int:
    """Saves or loads, and prints what; returns 0.

    Raises:
        QuarterturnError: see `save` and `load`.
        OSError: the folder cannot be read or written. A backup without its index is refused by `load`.
    """
    parser = argparse.ArgumentParser(
        prog="python -m admin backup",
        description="Save an instance while it runs, or load a backup into an empty instance while nothing runs. "
        "A backup of SQLite can be loaded into PostgreSQL, and the other way round.",
    )
    parser.add_argument("direction", choices=("save", "load"))
    parser.add_argument("folder", type=Path, help="save: a new or empty folder; load: the folder of a backup")
    options = parser.parse_args(arguments)
    index = save(options.folder) if options.direction == "save" else load(options.folder)
    for relative in index["missing"]:
        print(f"{relative} was missing when the backup was saved.", file=sys.stderr)
    rows = sum(table["rows"] for table in index["tables"].values())
    size = sum(file["bytes"] for file in index["files"].values())
    verb = "saved" if options.direction == "save" else "loaded"
    print(f"{rows} rows, {len(index['files'])} files, {size:,} bytes {verb}.")
    return 0
