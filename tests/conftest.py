"""Shared fixtures. Data that lies beside a checkout is found through QUARTERTURN_TEST_DATA, and nowhere else."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Run side by side, a file's tests of one engine stay together: they share a running service."""
    for item in items:
        values = item.callspec.params.values() if hasattr(item, "callspec") else ()
        engine = next((value for value in values if value in ("embedded", "production")), "")
        item.add_marker(pytest.mark.xdist_group(f"{item.path.name}-{engine}"))


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
