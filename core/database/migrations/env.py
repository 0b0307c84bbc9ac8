"""Alembic's entry point: runs all migrations in one transaction. SQLite, which cannot alter columns, copies tables."""

from alembic import context

from core.database.tables import METADATA
from core.database.transactions import make_engine

engine = make_engine(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
