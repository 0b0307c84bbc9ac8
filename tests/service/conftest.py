"""A running service on each engine: SQLite with the filesystem transport, and PostgreSQL with Redis."""

import shutil

import pytest

from servers import Postgres, Redis, Service

ENGINES = ("embedded", "production")


def settings_of(engine, folder, stop_later):
    """Environment of an engine; starts the servers that it needs."""
    if engine == "embedded":
        return {}
    postgres, redis = Postgres(folder / "postgres"), Redis(folder / "redis")
    stop_later(postgres.stop)
    stop_later(redis.stop)
    return {"QUARTERTURN_DATABASE_URL": postgres.url, "QUARTERTURN_BROKER_URL": redis.url}


@pytest.fixture(scope="session", params=ENGINES)
def service(request, tmp_path_factory):
    """API and one worker; shared by all tests of an engine."""
    folder = tmp_path_factory.mktemp(request.param)
    running = Service(folder / "data", settings_of(request.param, folder, request.addfinalizer))
    request.addfinalizer(lambda: shutil.rmtree(folder, ignore_errors=True))
    request.addfinalizer(running.stop)
    running.start_api()
    running.start_worker()
    running.wait_for_worker()
    return running


@pytest.fixture
def client(service):
    return service.client()
