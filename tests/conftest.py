"""Shared fixtures. Data that lies beside a checkout is found through QUARTERTURN_TEST_DATA, and nowhere else."""

import functools
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from servers import Service
from service_engines import ENGINES, remove_shared, settings_of

REPOSITORY = Path(__file__).resolve().parent.parent
# Hypothesis fails an example that takes more than 200 ms: a busy machine is no fault of the code.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start most services first, quick ones last: files are dealt out one by one, and the last is short."""
    costs: Counter[Path] = Counter()
    for item in items:
        is_service = item.get_closest_marker("services") is not None
        costs[item.path] += 10 if "own" in getattr(item, "fixturenames", ()) else 3 * is_service
    items.sort(key=lambda item: (-costs[item.path], item.path))


def pytest_sessionfinish() -> None:
    remove_shared()


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real slides and patches; tests that need it skip where there is none."""
    named = os.environ.get("QUARTERTURN_TEST_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("QUARTERTURN_TEST_DATA names no folder: no real slides and patches here")
    return Path(named).resolve()


@pytest.fixture(params=ENGINES)
def own(request, tmp_path_factory):
    """A service for one test alone, without a worker yet."""
    folder = tmp_path_factory.mktemp(f"own-{request.param}")
    request.addfinalizer(lambda: shutil.rmtree(folder, ignore_errors=True))
    running = Service(folder / "data", settings_of(request.param, folder, request.addfinalizer))
    request.addfinalizer(running.stop)
    running.start_api()
    return running


@pytest.fixture(scope="session")
def shared_service(request, tmp_path_factory):
    """Returns the service of an engine, API and one worker. It starts at its first use and runs until the session ends.

    pytest keeps one parameter of a session's fixture alive, and would start a service again at each change of engine.
    """

    @functools.cache
    def start(engine):
        folder = tmp_path_factory.mktemp(engine)
        request.addfinalizer(lambda: shutil.rmtree(folder, ignore_errors=True))
        (folder / "import").mkdir()
        chosen = {"QUARTERTURN_IMPORT_DIR": str(folder / "import"), "QUARTERTURN_RETRY_SECONDS": "0.2"}
        running = Service(folder / "data", {**settings_of(engine, folder, request.addfinalizer), **chosen})
        request.addfinalizer(running.stop)
        running.start_all()
        return running

    return start


@pytest.fixture(scope="session", params=ENGINES)
def service(request, shared_service):
    """API and one worker; shared by all tests of an engine."""
    return shared_service(request.param)


@pytest.fixture
def client(service):
    return service.client()
