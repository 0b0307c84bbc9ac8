"""A database of its own for each test, on SQLite and on PostgreSQL."""

import pytest
from servers import migrated_file
from service_engines import shared_postgres
from sqlalchemy import text
from tables import TABLES

from core.database import transactions
from core.database.migrations import migrate
from core.database.record import DEFAULT_WORKSPACE, Workspace
from core.settings import get_settings

ENGINES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_url():
    return shared_postgres().create_database("core")


@pytest.fixture(params=ENGINES)
def own_database(request, tmp_path, monkeypatch):
    """An empty database of this version's schema with the default workspace; settings are read anew."""
    monkeypatch.setenv("QUARTERTURN_DATA", str(tmp_path))
    if request.param == "postgresql":
        monkeypatch.setenv("QUARTERTURN_DATABASE_URL", request.getfixturevalue("postgres_url"))
    else:
        (tmp_path / "quarterturn.db").write_bytes(migrated_file())
    forget()
    migrate()
    with transactions.writing() as session:
        for table in reversed(TABLES):
            session.execute(text(f'DELETE FROM "{table.name}"'))
        session.add(Workspace(id=DEFAULT_WORKSPACE, name="Default"))
    yield tmp_path
    transactions.get_engine().dispose()
    forget()


@pytest.fixture
def imported(own_database):
    """A file that slides by reference name."""
    path = own_database / "import" / "s.svs"
    path.parent.mkdir()
    path.write_bytes(b"a slide by reference")
    return path


def forget():
    get_settings.cache_clear()
    transactions.get_engine.cache_clear()
