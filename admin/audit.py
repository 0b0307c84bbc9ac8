"""python -m admin audit [--seal SEAL …]: verifies the hash chain of the audit of every workspace."""

import argparse

from sqlalchemy import select

from core.access.audit import contains_seal, newest_seal, verify
from core.database.migrations import require_newest
from core.database.record import Workspace
from core.database.transactions import reading


def main(arguments: list[str] | None = None) -> int:
    """Prints for every workspace whether its chain is whole, and its newest seal; returns 1 if one is broken."""
    parser = argparse.ArgumentParser(
        prog="python -m admin audit",
        description="Verify the audit of every workspace. Exit status 1: a row is missing or was changed.",
    )
    parser.add_argument(
        "--seal",
        nargs="+",
        default=[],
        help="seals that earlier runs printed: also check that no rows were cut off the end since",
    )
    seals, broken = set(parser.parse_args(arguments).seal), False
    require_newest()
    with reading() as session:
        for workspace_id in session.scalars(select(Workspace.id).order_by(Workspace.id)):
            break_ = verify(session, workspace_id)
            broken |= break_ is not None
            seals -= {seal for seal in seals if contains_seal(session, workspace_id, seal)}
            seal = newest_seal(session, workspace_id)
            state = f"holds; seal {seal}" if seal else "holds; no rows yet"
            print(f"{workspace_id}: {f'row {break_.number} is missing or was changed' if break_ else state}")
    for seal in sorted(seals):
        print(f"{seal}: no row has this seal; rows were cut off the end")
    return int(broken or bool(seals))
