"""Workers that share, stop, return and differ: an analysis stays consistent."""

import os
import signal

import numpy as np
import pytest
from heat_maps import NETWORK, planes
from processes import stop_inside_claim
from servers import PATIENCE, until, until_ended
from service_engines import ON_PRODUCTION
from slides import tissue, write_pyramid

pytestmark = pytest.mark.services
BANDS = "SELECT worker, state FROM work WHERE analysis_id = :id AND kind = 'band'"


def big_slide(client, tmp_path, side=1300):
    path = write_pyramid(tmp_path / "slide.tiff", tissue(side, side, [(400, 500, 251)]), 0.5)
    return client.wait_for_slide(client.upload(path, {}))


def ask(client, slide, **settings):
    analysis = client.call(
        "POST", f"/api/v1/slides/{slide['id']}/analyses", json={"rotation_check": False, **settings}
    ).json()
    return analysis["id"], f"/api/v1/analyses/{analysis['id']}"


@ON_PRODUCTION
def test_two_workers_share_a_slide_with_identical_results(own, tmp_path):
    client = own.client()
    own.start_worker("one", QUARTERTURN_THREADS="1")
    own.wait_for_worker()
    slide = big_slide(client, tmp_path, side=1700)
    alone, place = ask(client, slide, model=NETWORK)
    client.poll(place, lambda a: a["state"] == "succeeded", PATIENCE)
    own.start_worker("two", QUARTERTURN_THREADS="1")
    until(lambda: client.http.get("/readyz").json()["workers"] == 2)
    shared, place = ask(client, slide, model=NETWORK)
    let_each_do_a_band(own, shared)
    client.poll(place, lambda a: a["state"] == "succeeded", PATIENCE)
    assert len({worker for worker, _ in own.rows(BANDS, id=shared)}) == 2, "both workers computed bands"
    assert len({worker for worker, _ in own.rows(BANDS, id=alone)}) == 1
    np.testing.assert_array_equal(planes(client, shared), planes(client, alone))


def let_each_do_a_band(own, analysis_id):
    """Stops the worker that first completes a band until the other has completed one."""
    done = "SELECT DISTINCT worker FROM work WHERE analysis_id = :id AND kind = 'band' AND state = 'done'"
    ((first,), *_) = until(lambda: own.rows(done, id=analysis_id), every=0.02)
    group = os.getpgid(int(first.rsplit(":", 1)[1]))
    stop_inside_claim(own, next(name for name, process in own.processes.items() if process.pid == group))
    until(lambda: len(own.rows(done, id=analysis_id)) == 2)
    os.killpg(group, signal.SIGCONT)


@ON_PRODUCTION
def test_analysis_restarts_when_no_worker_has_its_fingerprint(own, tmp_path):
    """No analysis mixes values of two fingerprints: the new worker computes all, and provenance names it."""
    client = own.client()
    own.start_worker("old", QUARTERTURN_THREADS="1")
    own.wait_for_worker()
    analysis_id, place = ask(client, big_slide(client, tmp_path))
    until(lambda: client.call("GET", place).json()["progress"]["done"] >= 1, every=0.02)
    stop_inside_claim(own, "old")
    assert client.call("GET", place).json()["provenance"]["threads"] == 1
    own.kill("old")
    own.start_worker("new", QUARTERTURN_THREADS="2")
    ended = until_ended(client, place)
    assert ended["state"] == "succeeded"
    assert ended["provenance"]["threads"] == 2
    assert len({worker for worker, _ in own.rows(BANDS, id=analysis_id)}) == 1


@ON_PRODUCTION
def test_stopping_worker_releases_its_claims(own, tmp_path):
    """SIGTERM in the middle of a long band: no lease has to run out, no attempt is lost."""
    own.environment |= {"QUARTERTURN_LEASE_SECONDS": "300", "QUARTERTURN_REGIONS_PER_BAND": "60"}
    own.kill("api")
    own.start_api()
    client = own.client()
    own.start_worker("one", QUARTERTURN_STOP_SECONDS="0")
    own.wait_for_worker()
    analysis, place = ask(client, big_slide(client, tmp_path, side=1500))
    claimed = "SELECT 1 FROM work WHERE state = 'claimed' AND kind = 'band' AND analysis_id = :id"
    until(lambda: own.rows(claimed, id=analysis), every=0.02)
    ending = own.processes.pop("one")
    ending.terminate()
    assert ending.wait(PATIENCE) == 0
    assert own.rows("SELECT DISTINCT state, attempts FROM work WHERE analysis_id = :id", id=analysis) == [("open", 0)]
    own.start_worker("two")
    assert until_ended(client, place)["state"] == "succeeded"
    assert own.rows("SELECT DISTINCT attempts FROM work WHERE analysis_id = :id", id=analysis) == [(1,)]


@ON_PRODUCTION
def test_worker_stops_although_its_pool_hangs(own, tmp_path):
    """SIGTERM while the process that computes is stopped: Celery alone would wait for its task for ever."""
    client = own.client()
    own.start_worker("one", QUARTERTURN_STOP_SECONDS="0")
    own.wait_for_worker()
    analysis, place = ask(client, big_slide(client, tmp_path, side=1500))
    until(lambda: own.rows("SELECT 1 FROM work WHERE state = 'claimed' AND analysis_id = :id", id=analysis))
    ((holder,),) = own.rows("SELECT worker FROM work WHERE state = 'claimed' AND analysis_id = :id", id=analysis)
    os.kill(int(holder.rsplit(":", 1)[1]), signal.SIGSTOP)
    ending = own.processes.pop("one")
    ending.terminate()
    assert ending.wait(PATIENCE) == 0
    own.start_worker("two")
    assert until_ended(client, place)["state"] == "succeeded"


def test_cancel_takes_effect_at_once_and_the_worker_stops(own, tmp_path):
    client = own.client()
    own.start_worker("worker")
    own.wait_for_worker()
    analysis_id, place = ask(client, big_slide(client, tmp_path, 2200), tissue="all")
    until(lambda: client.call("GET", place).json()["progress"]["done"] >= 1, every=0.02)
    stop_inside_claim(own, "worker")
    states = [{"claimed": "cancelled", "open": "cancelled"}.get(s, s) for _, s in own.rows(BANDS, id=analysis_id)]
    cancelled = client.call("POST", f"{place}/cancel").json()
    assert cancelled["state"] == "cancelled"
    assert sorted(state for _, state in own.rows(BANDS, id=analysis_id)) == sorted(states), "at once"
    os.killpg(own.processes["worker"].pid, signal.SIGCONT)
    client.wait_for_slide(client.upload(write_pyramid(tmp_path / "next.tiff", tissue(300, 300), 0.5), {}))
    assert client.call("GET", place).json()["state"] == "cancelled"
    assert sorted(state for _, state in own.rows(BANDS, id=analysis_id)) == sorted(states), "the rest will not be"
    assert set(states) == {"done", "cancelled"}
    assert client.http.get(f"{place}/heatmap").status_code == 409


def test_abandoned_upload_expires(own):
    own.environment["QUARTERTURN_UPLOAD_EXPIRES_HOURS"] = str(3 / 3600)
    own.kill("api")
    own.start_api()
    client, tus = own.client(), {"Tus-Resumable": "1.0.0"}
    created = client.call("POST", "/api/v1/uploads", headers={**tus, "Upload-Length": "10"})
    assert created.headers["Upload-Expires"].endswith("GMT")
    location = created.headers["Location"]
    folder = own.data / "slides" / location.rsplit("/", 1)[-1]
    assert folder.exists()
    own.start_worker()
    until(lambda: client.http.head(location, headers=tus).status_code == 410)
    until(lambda: not folder.exists())


@ON_PRODUCTION
def test_files_of_deleted_slides_are_removed(own, tmp_path):
    """The API dies after a deletion's commit and before it removes the files: a worker removes them."""
    client = own.client()
    own.start_worker("first")
    own.wait_for_worker()
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "slide.tiff", tissue(400, 500), 0.5), {}))
    folder = own.data / "slides" / slide["id"]
    own.kill("first")
    own.change("UPDATE slides SET state = 'deleted' WHERE id = :id", id=slide["id"])  # as far as the commit
    own.kill("api")
    assert folder.exists()
    own.start_worker("second")
    until(lambda: not folder.exists())
