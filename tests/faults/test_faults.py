"""Some faults on a service in use, on both engines; `make faults` does them all, and `make soak` goes on at random."""

import pytest

from faults import injections, soak

pytestmark = pytest.mark.services


def test_the_embedded_service_loses_nothing(capfd):
    wanted = [injections.pool_child_killed, injections.readers_killed, injections.disk_full]
    done = soak.run("embedded", 1, wanted, 0, 0)
    assert len(done) == len(wanted)


def test_the_production_service_loses_nothing(capfd):
    wanted = [injections.broker_killed, injections.database_stopped, injections.connections_cut]
    done = soak.run("production", 1, wanted, 0, 0)
    assert len(done) == len(wanted)
