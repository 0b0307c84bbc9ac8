"""The two engines of the service tests. One PostgreSQL serves a test process, with one database per service."""

import functools
import itertools
import os

import pytest
from servers import MIGRATED, Postgres, Redis, migrate

ENGINES = ("embedded", "production")
# For a test whose law is the same on both engines, and stands in rows that tests of the lease check on both.
ON_PRODUCTION = pytest.mark.parametrize("own", ["production"], indirect=True)
_numbers = itertools.count()


@functools.cache
def shared_postgres():
    return Postgres()


def remove_shared():
    """Stops the servers at the end of the test process."""
    if shared_postgres.cache_info().currsize:
        shared_postgres().remove()


@functools.cache
def _template():
    """The name of a database with this version's schema, the administrator and the tests' key."""
    name = "migrated"
    migrate({**os.environ, "QUARTERTURN_DATABASE_URL": shared_postgres().create_database(name)})
    return name


def migrated_database():
    """The URL of a copy of the template, for one service."""
    url = shared_postgres().create_database(f"service{next(_numbers)}", _template())
    MIGRATED.add(url)
    return url


def settings_of(engine, folder, stop_later):
    """Environment of an engine; starts the servers that it needs."""
    if engine == "embedded":
        return {}
    redis = Redis(folder / "redis")
    stop_later(redis.stop)
    return {"QUARTERTURN_DATABASE_URL": migrated_database(), "QUARTERTURN_BROKER_URL": redis.url}
