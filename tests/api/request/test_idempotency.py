"""Mutating calls: keys and roles, referenced slides, and Idempotency-Key on each of them."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
import tifffile
from heat_maps import heat_map
from many_files import mrxs, zipped
from servers import PATIENCE, until
from slides import tissue, write_pyramid

from cli.client import Client, ServiceError

pytestmark = pytest.mark.services


@pytest.fixture
def slide(client, tmp_path):
    """A small slide in state ready."""
    path = write_pyramid(tmp_path / "slide.tiff", tissue(400, 500, [(150, 200, 90)]), 0.5)
    return client.wait_for_slide(client.upload(path, {}))


@pytest.fixture
def imports(service):
    return Path(service.environment["QUARTERTURN_IMPORT_DIR"])


def send(client, method, path, key, body=None):
    return client.http.request(method, path, json=body, headers={"Idempotency-Key": key})


def test_key_works_until_it_is_revoked(client, service):
    key = client.call("POST", "/api/v1/keys", json={"name": "lims", "role": "viewer", "expires_days": 1}).json()
    assert key["key"].startswith("qt_")
    own = Client(service.url, key["key"])
    assert own.call("GET", "/api/v1/session").json() == {
        "name": "lims", "role": "viewer", "scopes": None, "workspace": "default", "person_id": None,
        "notice": made_notice(own),
    }  # fmt: skip
    with pytest.raises(ServiceError, match="role analyst"):
        own.call("POST", f"/api/v1/slides/{'0' * 32}/analyses", json={})
    with pytest.raises(ServiceError, match="role admin"):
        own.call("GET", "/api/v1/keys")
    listed = {key["id"]: key for key in client.call("GET", "/api/v1/keys").json()}
    assert listed[key["id"]]["key"] is None
    assert key["key"] not in str(listed)
    client.call("DELETE", f"/api/v1/keys/{key['id']}")
    assert own.http.get("/api/v1/session").status_code == 401
    assert client.call("GET", "/api/v1/keys").json()[0]["revoked"]
    assert client.http.delete("/api/v1/keys/0123456789abcdef").status_code == 404


def test_key_expires(client, service):
    key = client.call("POST", "/api/v1/keys", json={"name": "guest", "role": "viewer", "expires_days": 1}).json()
    own = Client(service.url, key["key"])
    assert own.http.get("/api/v1/session").status_code == 200
    service.change(
        "UPDATE credentials SET expires_at = expires_at - 90000 WHERE substr(hash, 1, 16) = :id", id=key["id"]
    )
    assert own.http.get("/api/v1/session").status_code == 401
    assert key["key"] not in str(service.rows("SELECT * FROM credentials")), "only the hash is stored"
    assert key["key"] not in "".join(log.read_text() for log in service.data.glob("*.log"))


def test_session_ends_when_its_key_is_revoked(client, service):
    key = client.call("POST", "/api/v1/keys", json={"name": "nurse", "role": "viewer"}).json()
    browser = httpx.Client(base_url=service.url)
    assert browser.post("/api/v1/session", json={"key": key["key"]}).status_code == 201
    assert browser.get("/api/v1/session").json()["name"] == "nurse"
    client.call("DELETE", f"/api/v1/keys/{key['id']}")
    assert browser.get("/api/v1/session").status_code == 401


def made_notice(client):
    return client.call("GET", "/api/v1/models").json()["notice"]


def test_replayed_key_creation_returns_the_same_key_without_its_secret(client):
    first, second = (send(client, "POST", "/api/v1/keys", "once", {"name": "replayed"}).json() for _ in range(2))
    assert first["id"] == second["id"]
    assert (first["key"] is None, second["key"]) == (False, None)
    assert sum(key["name"] == "replayed" for key in client.call("GET", "/api/v1/keys").json()) == 1


def test_invalid_key_requests_are_rejected(client):
    for body in (
        {},
        {"name": ""},
        {"name": "x", "role": "god"},
        {"name": "x", "expires_days": -1},
        {"name": "x", "y": 1},
    ):
        assert client.http.post("/api/v1/keys", json=body).status_code == 422


def test_analysis_changes_are_idempotent(client, slide):
    start = f"/api/v1/slides/{slide['id']}/analyses"
    first, again = (send(client, "POST", start, "start-" + slide["id"], {}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    path = f"/api/v1/analyses/{first.json()['id']}"
    assert again.json()["id"] == first.json()["id"]
    assert send(client, "POST", start, "start-" + slide["id"], {"tissue": "all"}).status_code == 409
    client.poll(path, lambda a: a["state"] == "succeeded", PATIENCE)
    assert send(client, "POST", f"{path}/cancel", "cancel-" + slide["id"]).status_code == 409, "it has succeeded"
    assert send(client, "POST", f"{path}/cancel", "x" * 256).status_code == 422
    assert len(client.call("GET", start).json()) == 1


def test_concurrent_requests_with_one_idempotency_key_run_once(client, slide):
    start = f"/api/v1/slides/{slide['id']}/analyses"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(client, "POST", start, "race-" + slide["id"], {}), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(client.call("GET", start).json()) == 1


def test_concurrent_profile_requests_share_one_profile(client, slide):
    analysis = client.analyse(slide["id"])
    scores, _ = heat_map(client, analysis["id"])
    row, col = (int(place[0]) for place in np.nonzero(np.isfinite(scores)))
    path = f"/api/v1/analyses/{analysis['id']}/profiles"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.http.post(path, json={"row": row, "col": col}), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_mpp_and_identifiers_change_in_one_request(client, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "s.tiff", tissue(400, 500), None), {}))
    change = {"mpp": 0.5, "identifiers": {"accession": "A-1"}}
    client.call("PATCH", f"/api/v1/slides/{slide['id']}", json=change)
    slide = client.wait_for_slide(slide["id"])
    assert (slide["mpp_x"], slide["identifiers"]) == (0.5, {"accession": "A-1"})


def test_concurrent_changes_and_deletion_are_consistent(client, tmp_path):
    """Concurrent changes and deletion answer as in some order, and a deleted slide stays deleted."""
    for _ in range(4):
        slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "s.tiff", tissue(400, 500), None), {}))
        path = f"/api/v1/slides/{slide['id']}"
        calls = [("PATCH", path, {"mpp": 0.5}), ("DELETE", path, None), ("PATCH", path, {"mpp": 0.25})]
        calls += [("POST", f"{path}/analyses", {}), ("POST", f"{path}/inspect", None)]
        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda call: client.http.request(call[0], call[1], json=call[2]), calls))
        assert {answer.status_code for answer in answers} <= {200, 201, 204, 404, 409}, [a.text for a in answers]
        assert answers[1].status_code == 204
        assert client.http.get(path).status_code == 404


def test_a_corrected_mpp_leaves_the_results_of_before_as_they_are(client, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "s.tiff", tissue(400, 500), None), {}))
    path = f"/api/v1/slides/{slide['id']}"
    for mpp in (0.25, 0.5):  # a slip of the pen can be mended before anything stands on it
        client.call("PATCH", path, json={"mpp": mpp})
        assert client.wait_for_slide(slide["id"])["mpp_x"] == mpp
    analysis = client.analyse(slide["id"])
    before = heat_map(client, analysis["id"])
    answer = client.http.patch(path, json={"mpp": 0.25})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:quarterturn:problem:mpp-reason-missing")
    client.call("PATCH", path, json={"mpp": 0.25, "reason": "the objective was 40×"})
    assert client.wait_for_slide(slide["id"])["mpp_x"] == 0.25
    after = heat_map(client, analysis["id"])
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1] == after[1]
    made_at = client.call("GET", f"/api/v1/analyses/{analysis['id']}").json()["scale"]
    assert (made_at["mpp_x"], made_at["is_current"]) == (0.5, False)
    assert "0.5 µm per pixel" in made_at["statement"]["sentence"]
    assert client.call("GET", f"/api/v1/analyses/{analysis['id']}/regions").json()["scale"] == made_at
    again = client.analyse(slide["id"])
    assert again["scale"] == {**made_at, "mpp_x": 0.25, "mpp_y": 0.25, "is_current": True, "statement": None}
    assert heat_map(client, again["id"])[1] != before[1]
    row = client.call("GET", "/api/v1/audit").json()["rows"]
    corrected = next(one["detail"] for one in row if one["detail"].get("reason") == "the objective was 40×")
    assert (corrected["before"]["mpp_x"], corrected["after"]["mpp_x"]) == (0.5, 0.25)


@pytest.mark.parametrize("mpp", ["0", "-1", "1e9", "0.025", "NaN", "Infinity", '"abc"', '"0.25"', "true", "[0.25]"])
def test_an_mpp_that_no_scanner_has_is_no_request(client, tmp_path, mpp):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "s.tiff", tissue(60, 60), None), {}))
    request = {"content": f'{{"mpp": {mpp}}}', "headers": {"Content-Type": "application/json"}}
    answer = client.http.patch(f"/api/v1/slides/{slide['id']}", **request)
    assert (answer.status_code, slide["state"]) == (422, "needs_input")


@pytest.mark.parametrize(
    "path", ["slides/%00", "slides?query=%00", "analyses/a%00", "uploads/%00", "slides?cursor=%00"]
)
def test_zero_byte_in_a_path_is_no_server_error(client, path):
    answer = client.http.get(f"/api/v1/{path}")
    assert answer.status_code in (200, 404, 422)


def test_deeply_nested_identifiers_are_rejected(client):
    deep = base64.b64encode(b"[" * 2500).decode()
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": f"identifiers {deep}"}
    assert client.http.post("/api/v1/uploads", headers=headers).status_code == 422


def test_deleting_a_slide_ends_its_upload(client, service):
    tus = {"Tus-Resumable": "1.0.0"}
    location = client.call("POST", "/api/v1/uploads", headers={**tus, "Upload-Length": "10"}).headers["Location"]
    client.call("DELETE", f"/api/v1/slides/{location[-32:]}")
    patch = {**tus, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answer = client.http.patch(location, headers=patch, content=b"0123456789")
    assert answer.status_code == 410
    assert client.http.head(location, headers=tus).status_code == 410
    until(lambda: not (service.data / "slides" / location[-32:]).exists())


def test_missing_referenced_file_answers_410(client, imports):
    content = tissue(600, 700)
    tifffile.imwrite(imports / "moved.tiff", content, tile=(256, 256), compression="jpeg", photometric="rgb",
                     resolution=(2e4, 2e4), resolutionunit="CENTIMETER")  # fmt: skip
    reference = client.call("POST", "/api/v1/slides", json={"path": "moved.tiff"}).json()
    slide = client.wait_for_slide(reference["id"])
    assert slide["state"] == "ready"
    (imports / "moved.tiff").unlink()
    answer = client.http.get(f"/api/v1/slides/{slide['id']}/tiles/0/0_0.jpeg")
    assert (answer.status_code, answer.headers["content-type"]) == (410, "application/problem+json")


def test_slide_deletion_is_idempotent(client, service, slide):
    path, key = f"/api/v1/slides/{slide['id']}", "delete-" + slide["id"]
    assert [send(client, "DELETE", path, key).status_code for _ in range(2)] == [204, 204]
    assert client.http.delete(path).status_code == 404
    until(lambda: not (service.data / "slides" / slide["id"]).exists())


def test_referenced_slide_is_read_in_place(client, service, imports):
    path = write_pyramid(imports / "referred.tiff", tissue(400, 500, [(150, 200, 90)]), 0.5)
    body = {"path": "referred.tiff", "identifiers": {"organ": "lymph node", "accession": "A-1"}}
    reference = client.call("POST", "/api/v1/slides", json=body).json()
    slide = client.wait_for_slide(reference["id"])
    assert (slide["state"], slide["filename"], slide["size_bytes"]) == ("ready", "referred.tiff", path.stat().st_size)
    assert client.analyse(slide["id"])["state"] == "succeeded"
    assert client.call("GET", f"/api/v1/slides/{slide['id']}/tiles/0/0_0.jpeg").content[:2] == b"\xff\xd8"
    client.call("DELETE", f"/api/v1/slides/{slide['id']}")
    assert path.exists(), "a slide by reference stays in place"
    until(lambda: not (service.data / "slides" / slide["id"]).exists())


def test_changed_referenced_slide_is_neither_shown_nor_analysed(client, service, imports):
    path = write_pyramid(imports / "changing.tiff", tissue(400, 500), 0.5)
    slide = client.wait_for_slide(client.call("POST", "/api/v1/slides", json={"path": "changing.tiff"}).json()["id"])
    place = f"/api/v1/slides/{slide['id']}"
    assert client.http.get(f"{place}/tiles/0/0_0.jpeg").status_code == 200
    write_pyramid(path, tissue(400, 500, [(150, 200, 90)], seed=5), 0.5)
    until(lambda: client.http.get(f"{place}/tiles/0/0_0.jpeg").status_code == 410)
    problem = client.http.get(f"{place}/tiles/0/0_0.jpeg").json()
    assert problem["type"].endswith("slide-file-changed")
    ended = client.analyse(slide["id"], rotation_check=False)
    assert ended["state"] == "failed"
    assert "changed after its inspection" in ended["reason"]["detail"]
    client.call("DELETE", place)
    assert path.exists()


def test_missing_referenced_slide_is_reported_without_its_name(client, service, imports):
    """No reason and no log line contains the file's name or path, which the system's errors contain."""
    name = "ROE^RICHARD.tiff"
    path = write_pyramid(imports / name, tissue(400, 500), 0.5)
    slide = client.wait_for_slide(client.call("POST", "/api/v1/slides", json={"path": name}).json()["id"])
    path.unlink()
    ended = client.analyse(slide["id"], rotation_check=False)
    assert ended["state"] == "failed"
    again = write_pyramid(imports / name, tissue(400, 500), 0.5)
    reference = client.call("POST", "/api/v1/slides", json={"path": name}).json()
    again.unlink()
    inspected = client.poll(f"/api/v1/slides/{reference['id']}", lambda s: s["state"] != "inspecting", PATIENCE)
    for reason in (ended["reason"], inspected["reason"]):
        assert reason is None or ("ROE" not in str(reason) and str(imports) not in str(reason))
    for log in service.data.glob("*.log"):
        assert "ROE^RICHARD" not in log.read_text(), log.name


def test_event_stream_ends_when_its_key_is_revoked(client, service, imports):
    write_pyramid(imports / "long.tiff", tissue(400, 500), 0.5)
    slide = client.wait_for_slide(client.call("POST", "/api/v1/slides", json={"path": "long.tiff"}).json()["id"])
    (imports / "long.tiff").rename(imports / "elsewhere.tiff")  # so that the analysis stays under way
    analysis = client.call("POST", f"/api/v1/slides/{slide['id']}/analyses", json={}).json()
    key = client.call("POST", "/api/v1/keys", json={"name": "listener", "role": "viewer"}).json()
    own = Client(service.url, key["key"])
    with own.http.stream("GET", f"/api/v1/analyses/{analysis['id']}/events", timeout=PATIENCE) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("data:"))
        client.call("DELETE", f"/api/v1/keys/{key['id']}")
        assert not [line for line in lines if '"succeeded"' in line or '"failed"' in line], "it ended before"
    client.call("POST", f"/api/v1/analyses/{analysis['id']}/cancel")
    client.call("DELETE", f"/api/v1/slides/{slide['id']}")


def test_referenced_zip_is_unpacked_and_left_in_place(client, service, imports):
    (imports / "referred.zip").write_bytes(zipped(mrxs(tissue(512, 768), 0.5)))
    slide = client.wait_for_slide(client.call("POST", "/api/v1/slides", json={"path": "referred.zip"}).json()["id"])
    assert (slide["vendor"], slide["width"]) == ("mirax", 768)
    assert client.analyse(slide["id"], tissue="all", rotation_check=False)["state"] == "succeeded"
    client.call("DELETE", f"/api/v1/slides/{slide['id']}")
    until(lambda: not (service.data / "slides" / slide["id"]).exists())
    assert (imports / "referred.zip").exists()


def test_bad_referenced_file_is_rejected_and_left_in_place(client, imports):
    (imports / "text.svs").write_text("no slide")
    reference = client.call("POST", "/api/v1/slides", json={"path": "text.svs"}).json()
    slide = client.poll(f"/api/v1/slides/{reference['id']}", lambda s: s["state"] == "rejected", PATIENCE)
    assert slide["reason"]["code"] == "not-a-slide"
    assert (imports / "text.svs").exists()


@pytest.mark.parametrize(
    "path", ["../data/quarterturn.db", "/etc/passwd", "missing.svs", ".", "link.svs", "a\0b", "x" * 299]
)
def test_references_cannot_leave_the_import_folder(client, imports, path):
    if not (imports / "link.svs").is_symlink():
        (imports / "link.svs").symlink_to("/etc/passwd")
    answer = client.http.post("/api/v1/slides", json={"path": path})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:quarterturn:problem:no-such-file")


def test_every_mutating_call_documents_idempotency_key(service):
    paths = httpx.get(service.url + "/openapi.json").json()["paths"]
    assert {"/api/v1/keys", "/api/v1/keys/{key_id}"} <= set(paths)
    for path, calls in paths.items():
        for method, call in calls.items():
            takes = {p["name"] for p in call.get("parameters", []) if p["in"] == "header"}
            exempt = "uploads" in path or path.endswith("/session")
            assert method in ("get", "head", "options") or exempt or "Idempotency-Key" in takes, (method, path)
