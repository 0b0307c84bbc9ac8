"""python -m admin migrate: upgrades the database's schema, creates the administrator, adopts the operator's key."""

import argparse

from core.access import credentials
from core.database.migrations import migrate, newest_revision
from core.database.transactions import writing
from core.settings import get_settings


def main(arguments: list[str] | None = None) -> int:
    """Upgrades the database; running it again changes nothing. Returns 0.

    Raises:
        Invalid: QUARTERTURN_ADMIN_KEY is too short.
    """
    argparse.ArgumentParser(
        prog="python -m admin migrate",
        description="Upgrade the schema of the database that the settings name, create the administrator, and make "
        "QUARTERTURN_ADMIN_KEY the administrator's key if it is set. Running it again changes nothing.",
    ).parse_args(arguments)
    migrate()
    with writing() as session:
        credentials.ensure_administrator(session)
        if secret := get_settings().admin_secret():
            credentials.adopt_key(session, secret)
    print(f"The database has schema {newest_revision()}.")
    return 0
