"""A migration that fails says why: another version's schema, or a fault of the migrations."""

import pytest
from alembic.util.exc import CommandError
from sqlalchemy import text

from core.database import migrations
from core.database.transactions import writing
from core.errors import Conflict

pytestmark = pytest.mark.services


@pytest.fixture
def revision_of_a_later_version(own_database):
    with writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    yield
    with writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :own"), {"own": migrations.newest_revision()})


@pytest.mark.usefixtures("revision_of_a_later_version")
def test_the_schema_of_a_later_version_is_named_with_its_cause():
    with pytest.raises(Conflict, match="9999") as raised:
        migrations.migrate()
    assert isinstance(raised.value.__cause__, CommandError)
    assert raised.value.parameters == {"revision": "9999"}


@pytest.mark.usefixtures("own_database")
def test_another_fault_of_the_migrations_is_not_taken_for_another_version(monkeypatch):
    def fail(*_):
        raise CommandError("a migration script cannot be loaded")

    monkeypatch.setattr(migrations.command, "upgrade", fail)
    with pytest.raises(CommandError, match="cannot be loaded"):
        migrations.migrate()
