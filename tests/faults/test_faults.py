"""Some faults on a service under load, on both engines; `make faults` runs all, `make soak` runs them at random."""

from pathlib import Path

import pytest
from servers import until, until_ended
from slides import tissue, write_pyramid

from faults import injections, soak
from faults.scene import Scene

pytestmark = pytest.mark.services


def test_the_embedded_service_loses_nothing(capfd):
    injected = (injections.pool_child_killed, injections.readers_killed, injections.disk_full)
    done = soak.run(soak.Plan("embedded", 1, injected))
    assert len(done) == len(injected)


def test_the_production_service_loses_nothing(capfd):
    injected = (injections.broker_killed, injections.database_stopped, injections.connections_cut)
    done = soak.run(soak.Plan("production", 1, injected))
    assert len(done) == len(injected)


@pytest.fixture
def scene(tmp_path_factory):
    scene = Scene("production", Path(tmp_path_factory.mktemp("scene")))
    yield scene
    scene.close()


def readiness(client):
    """The status of /readyz, and the names of the probes that failed."""
    answer = client.http.get("/readyz")
    checks = answer.json()["checks"]
    return answer.status_code, sorted(name for name, well in checks.items() if not well)


def ended(client, analysis):
    place = f"/api/v1/analyses/{analysis['id']}"
    return until_ended(client, place)["state"]


def test_readiness_names_missing_services_and_requests_work_without_a_broker(scene, tmp_path):
    client = scene.service.client()
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "s.tiff", tissue(600, 700), 0.5), {}))
    assert readiness(client) == (200, [])
    with scene.full_broker():
        full = client.call("POST", f"/api/v1/slides/{slide['id']}/analyses", json={"rotation_check": False}).json()
    assert ended(client, full) == "succeeded"
    scene.redis.stop()
    until(lambda: readiness(client) == (503, ["broker"]))
    answer = client.http.post(f"/api/v1/slides/{slide['id']}/analyses", json={"rotation_check": False})
    assert answer.status_code == 201, "the row is the job: it needs no message"
    scene.redis.start()
    assert ended(client, answer.json()) == "succeeded"
    scene.postgres.stop("immediate")
    until(lambda: readiness(client) == (503, ["database"]))
    scene.postgres.start()
    if scene.disk:
        scene.fill_disk()
        until(lambda: readiness(client) == (503, ["disk"]))
        scene.free_disk()
    until(lambda: readiness(client) == (200, []))
