"""python -m core.database.migrations: migrate, then make the administrator and adopt the operator's key when one is set."""

from core.access import credentials
from core.database.migrations import migrate
from core.database.transactions import writing
from core.settings import get_settings

if __name__ == "__main__":
    migrate()
    with writing() as session:
        credentials.ensure_administrator(session)
        if secret := get_settings().admin_secret():
            credentials.adopt_key(session, secret)
