"""A running service on each engine: SQLite with the filesystem transport, and PostgreSQL with Redis."""

import shutil

import pytest
from servers import Service
from service_engines import ENGINES, settings_of


@pytest.fixture(scope="session", params=ENGINES)
def service(request, tmp_path_factory):
    """API and one worker; shared by all tests of an engine."""
    folder = tmp_path_factory.mktemp(request.param)
    request.addfinalizer(lambda: shutil.rmtree(folder, ignore_errors=True))
    (folder / "import").mkdir()
    chosen = {"QUARTERTURN_IMPORT_DIR": str(folder / "import"), "QUARTERTURN_RETRY_SECONDS": "0.2"}
    running = Service(folder / "data", {**settings_of(request.param, folder, request.addfinalizer), **chosen})
    request.addfinalizer(running.stop)
    running.start_all()
    return running


@pytest.fixture
def client(service):
    return service.client()
