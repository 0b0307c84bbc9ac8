"""Each fault once, on a service in use, on both engines; `make soak` goes on at random."""

import pytest

from faults import injections, soak

pytestmark = pytest.mark.services


def test_the_embedded_service_loses_nothing(capfd):
    wanted = [*injections.EVERYWHERE, injections.disk_full]
    done = soak.run("embedded", 1, wanted, 0, 0)
    assert len(done) == len(wanted)


def test_the_production_service_loses_nothing(capfd):
    wanted = [*injections.ON_SERVERS, injections.worker_killed, injections.zombie, injections.api_killed]
    done = soak.run("production", 1, wanted, 0, 0)
    assert len(done) == len(wanted)
