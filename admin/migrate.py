"""python -m admin migrate: bring the database to this version.

Then create the administrator, and adopt the operator's key when one is set.
"""

import argparse

from core.access import credentials
from core.database.migrations import migrate
from core.database.transactions import writing
from core.settings import get_settings


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(prog="python -m admin migrate", description="Migrate the database.").parse_args(arguments)
    migrate()
    with writing() as session:
        credentials.ensure_administrator(session)
        if secret := get_settings().admin_secret():
            credentials.adopt_key(session, secret)
    return 0
