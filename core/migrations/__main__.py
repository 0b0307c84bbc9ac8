"""python -m core.migrations: migrate, then make the administrator and adopt the operator's key when one is set."""

from core import access
from core.database import writing
from core.migrations import migrate
from core.settings import get_settings

if __name__ == "__main__":
    migrate()
    with writing() as session:
        access.ensure_administrator(session)
        if secret := get_settings().admin_secret():
            access.adopt_key(session, secret)
