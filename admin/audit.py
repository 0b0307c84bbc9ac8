"""python -m admin audit."""

import argparse

from sqlalchemy import select

from core.access.audit import contains_seal, newest_seal, verify
from core.database.record import Workspace
from core.database.transactions import reading


def main(arguments: list[str] | None = None) -> int:
    """Walk every workspace's chain; 1 when a row is missing or was changed."""
    parser = argparse.ArgumentParser(prog="python -m admin audit", description=main.__doc__)
    parser.add_argument(
        "--seal", nargs="+", default=[], help="what an earlier run told: were rows cut off the end since?"
    )
    seals, broken = set(parser.parse_args(arguments).seal), False
    with reading() as session:
        for workspace_id in session.scalars(select(Workspace.id).order_by(Workspace.id)):
            found = verify(session, workspace_id)
            broken |= found is not None
            seals -= {seal for seal in seals if contains_seal(session, workspace_id, seal)}
            sealed = f"holds; seal {newest_seal(session, workspace_id)}"
            print(f"{workspace_id}: {f'row {found.number} is missing or was changed' if found else sealed}")
    for seal in seals:
        print(f"{seal}: no row has this seal; rows were cut off the end")
    return int(broken or bool(seals))
