"""kill -9 at the critical points: between a commit and its message, and at every step of a worker."""

import contextlib
import os
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from heat_maps import NETWORK, planes
from servers import KEY, PATCH, PATIENCE, until
from slides import tissue, write_pyramid

from cli.client import TUS

pytestmark = pytest.mark.services
CRASH = Path(__file__).parent / "crash"
ENDED = ("succeeded", "failed", "cancelled")
POINTS = {
    "after a claim": "gives core/work/leases.py claim_next",
    "within a band": "return model/inference/dense.py infer_with_features",
    "before a part's commit": "return core/analyses/states.py complete_part",
    "when a part is committed": "return worker/kinds/band.py band",
    "while parts are put together": "return worker/compute/findings.py gather",
    "before the answer's commit": "return core/analyses/states.py succeed",
    "when the answer is committed": "return worker/kinds/finish.py finish",
}


def crashing(own, point):
    """Environment of a process that dies at this point, and the file that arms it."""
    armed = own.data.parent / "armed"
    more = {"CRASH_AT": point, "CRASH_ARMED": str(armed), "PYTHONPATH": str(CRASH)}
    return more, armed


def wait_until_dead(own, name):
    until(lambda: own.processes[name].poll() is not None)
    own.processes.pop(name)


ALL = os.environ.get("QUARTERTURN_FAULTS") == "all"
STALLS = pytest.param("stalls", "inspect-failed", marks=pytest.mark.skipif(not ALL, reason="make faults runs it"))


@pytest.mark.parametrize(("how", "code"), [("dies", "reader-crashed"), STALLS])
def test_slide_that_kills_every_reader_is_rejected_and_the_next_is_not(own, tmp_path, how, code):
    """It is tried several times, since another fault might be the cause, then rejected with the reason."""
    more, armed = crashing(own, "call core/reader/operations.py do_inspect")
    armed.touch()
    own.start_worker(CRASH_ALONE=how, QUARTERTURN_INSPECT_SECONDS="4", **more)
    client, path = own.client(), write_pyramid(tmp_path / "slide.tiff", tissue(600, 700), 0.5)
    place = f"/api/v1/slides/{client.upload(path, {})}"
    poison = client.poll(place, lambda s: s["state"] not in ("uploading", "inspecting"), PATIENCE)
    assert (poison["state"], poison["reason"]["code"]) == ("rejected", code)
    assert poison["reason"]["action"]
    ((attempts,),) = own.rows("SELECT attempts FROM work WHERE kind = 'inspect'")
    assert attempts == 3
    armed.unlink()
    good = client.wait_for_slide(client.upload(path, {}))
    assert good["state"] == "ready"
    assert client.analyse(good["id"], rotation_check=False)["state"] == "succeeded"


def start_crashing_api(own):
    """An API that dies between its next commit and the message, once the arming file exists."""
    own.kill("api")
    more, armed = crashing(own, "call core/work/doorbell.py ring")
    # Nothing is requested of a network that no worker offers, and here the only worker was killed: it counts as alive.
    own.start("api", "api", QUARTERTURN_WORKER_SILENT_SECONDS="3600", **more)
    until(lambda: httpx.get(f"{own.url}/healthz").status_code == 200)
    return armed


def dies_of(own, armed, method, path, **arguments):
    """Sends a request that ends the API, which may have answered before."""
    armed.touch()
    with contextlib.suppress(httpx.HTTPError):
        httpx.request(method, own.url + path, timeout=PATIENCE, **arguments)
    wait_until_dead(own, "api")
    own.start_api()


def test_crash_between_commit_and_message_loses_nothing(own, tmp_path):
    """Both rows are committed and no message was sent: workers claim them without one."""
    content = write_pyramid(tmp_path / "slide.tiff", tissue(600, 700), 0.5).read_bytes()
    armed, client = start_crashing_api(own), own.client()
    headers = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": "filename eC50aWZm"}
    location = client.call("POST", "/api/v1/uploads", headers=headers).headers["Location"]
    key = {"Authorization": f"Bearer {KEY}"}
    dies_of(own, armed, "PATCH", location, headers={**key, **PATCH, "Upload-Offset": "0"}, content=content)
    assert own.rows("SELECT kind, state FROM work") == [("inspect", "open")]
    own.start_worker()
    slide_id = location.rsplit("/", 1)[-1]
    assert client.wait_for_slide(slide_id)["state"] == "ready"
    own.kill("worker")
    armed, key_headers = start_crashing_api(own), {**key, "Idempotency-Key": "asked-for-once"}
    place = f"/api/v1/slides/{slide_id}/analyses"
    dies_of(own, armed, "POST", place, headers=key_headers, json={})
    ((analysis_id, state),) = own.rows("SELECT id, state FROM analyses")
    assert state == "queued"
    own.start_worker()
    until(lambda: own.rows("SELECT state FROM analyses") == [("succeeded",)])
    again = httpx.post(own.url + place, headers=key_headers, json={})
    assert again.json()["id"] == analysis_id, "a repeated request gets the same analysis"


@pytest.mark.skipif(not ALL, reason="two minutes: make faults runs it")
@pytest.mark.timeout(900)
def test_worker_crash_at_any_point_changes_no_value(own, tmp_path):
    client = own.client()
    own.kill("api")
    own.start("api", "api", QUARTERTURN_WORKER_SILENT_SECONDS="3600")  # analyses are requested while no worker lives
    until(lambda: httpx.get(f"{own.url}/healthz").status_code == 200)
    own.start_worker("calm")
    path = write_pyramid(tmp_path / "slide.tiff", tissue(1100, 1300, [(200, 250, 151)]), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    expected = client.analyse(slide["id"], model=NETWORK)
    assert expected["state"] == "succeeded"
    own.kill("calm")
    for name, point in POINTS.items():
        created = client.call("POST", f"/api/v1/slides/{slide['id']}/analyses", json={"model": NETWORK})
        analysis_id = created.json()["id"]
        more, armed = crashing(own, point)
        armed.touch()
        own.start_worker("dying", **more)
        wait_until_dead(own, "dying")
        assert not armed.exists()
        own.start_worker("next")
        ended = client.poll(f"/api/v1/analyses/{analysis_id}", lambda a: a["state"] in ENDED, PATIENCE)
        own.kill("next")
        assert ended["state"] == "succeeded", (name, ended)
        assert ended["results"] == expected["results"], name
        np.testing.assert_array_equal(planes(client, analysis_id), planes(client, expected["id"]), err_msg=name)
        rows = own.rows("SELECT kind, ordinal, state, attempts FROM work WHERE analysis_id = :id", id=analysis_id)
        assert len({row[:2] for row in rows}) == len(rows), "each part once"
        assert {row[2] for row in rows} == {"done"}
        tried = sum(row[3] for row in rows) - len(rows)
        assert tried == (0 if "is committed" in name else 1), (name, rows)
        print(f"kill -9 {name}: {len(rows)} parts done once, {tried} begun twice, the same bits")
