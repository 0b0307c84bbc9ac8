"""python -m admin backup."""

import argparse
import sys
from pathlib import Path

from core.errors import Conflict, Invalid, NoSpace, NotFound
from core.upkeep.backup import save
from core.upkeep.restore import load


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m admin backup", description="Save an instance, or load one.")
    parser.add_argument("what", choices=("save", "load"))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        index = save(options.folder) if options.what == "save" else load(options.folder)
    except (Invalid, Conflict, NoSpace, NotFound) as error:
        print(f"{error.detail}: {error.action}.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{options.folder}: {error.strerror or error}; nothing of it counts.", file=sys.stderr)
        return 1
    for relative in index["missing"]:
        print(f"{relative} was not there to be saved.", file=sys.stderr)
    total = sum(one["bytes"] for one in index["files"].values())
    done = "saved" if options.what == "save" else "loaded"
    rows = sum(table["rows"] for table in index["tables"].values())
    print(f"{rows} rows, {len(index['files'])} files, {total:,} bytes {done}.")
    return 0
