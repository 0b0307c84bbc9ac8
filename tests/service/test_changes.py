"""Calls that change something: keys and roles, slides by reference, and Idempotency-Key on every one of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest
from servers import until
from slides import tissue, write_pyramid

from cli.client import Client, ServiceError

pytestmark = pytest.mark.services


@pytest.fixture
def slide(client, tmp_path):
    """A small slide, ready."""
    path = write_pyramid(tmp_path / "slide.tiff", tissue(400, 500, [(150, 200, 90)]), 0.5)
    return client.wait_for_slide(client.upload(path, {}))


@pytest.fixture
def imports(service):
    return Path(service.environment["QUARTERTURN_IMPORT_DIR"])


def send(client, method, path, key, body=None):
    return client.http.request(method, path, json=body, headers={"Idempotency-Key": key})


def test_a_key_lives_until_it_is_revoked(client, service):
    made = client.call("POST", "/api/v1/keys", json={"name": "lims", "role": "viewer", "expires_days": 1}).json()
    assert made["key"].startswith("qt_")
    own = Client(service.url, made["key"])
    assert own.call("GET", "/api/v1/session").json() == {
        "name": "lims", "role": "viewer", "workspace": "default", "notice": made_notice(own)
    }  # fmt: skip
    with pytest.raises(ServiceError, match="role analyst"):
        own.call("POST", f"/api/v1/slides/{'0' * 32}/analyses", json={})
    with pytest.raises(ServiceError, match="role admin"):
        own.call("GET", "/api/v1/keys")
    listed = {key["id"]: key for key in client.call("GET", "/api/v1/keys").json()}
    assert listed[made["id"]]["key"] is None
    assert made["key"] not in str(listed)
    client.call("DELETE", f"/api/v1/keys/{made['id']}")
    assert own.http.get("/api/v1/session").status_code == 401
    assert client.call("GET", "/api/v1/keys").json()[0]["revoked"]
    assert client.http.delete("/api/v1/keys/0123456789abcdef").status_code == 404


def made_notice(client):
    return client.call("GET", "/api/v1/models").json()["notice"]


def test_a_replayed_key_request_makes_no_second_key_and_repeats_no_secret(client):
    first, second = (send(client, "POST", "/api/v1/keys", "once", {"name": "replayed"}).json() for _ in range(2))
    assert first["id"] == second["id"]
    assert (first["key"] is None, second["key"]) == (False, None)
    assert sum(key["name"] == "replayed" for key in client.call("GET", "/api/v1/keys").json()) == 1


def test_wrong_key_requests(client):
    for body in (
        {},
        {"name": ""},
        {"name": "x", "role": "god"},
        {"name": "x", "expires_days": -1},
        {"name": "x", "y": 1},
    ):
        assert client.http.post("/api/v1/keys", json=body).status_code == 422


def test_every_change_of_an_analysis_is_done_once_per_key(client, slide):
    start = f"/api/v1/slides/{slide['id']}/analyses"
    first, again = (send(client, "POST", start, "start-" + slide["id"], {}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    where = f"/api/v1/analyses/{first.json()['id']}"
    assert again.json()["id"] == first.json()["id"]
    assert send(client, "POST", start, "start-" + slide["id"], {"tissue": "all"}).status_code == 409
    client.poll(where, lambda a: a["state"] == "succeeded", 60)
    assert send(client, "POST", f"{where}/cancel", "cancel-" + slide["id"]).status_code == 409, "it has succeeded"
    assert send(client, "POST", f"{where}/cancel", "x" * 256).status_code == 422
    assert len(client.call("GET", start).json()) == 1


def test_of_many_at_once_with_one_key_one_is_done(client, slide):
    start = f"/api/v1/slides/{slide['id']}/analyses"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(client, "POST", start, "race-" + slide["id"], {}), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(client.call("GET", start).json()) == 1


def test_a_deleted_slide_is_deleted_once_per_key(client, service, slide):
    where, key = f"/api/v1/slides/{slide['id']}", "delete-" + slide["id"]
    assert [send(client, "DELETE", where, key).status_code for _ in range(2)] == [204, 204]
    assert client.http.delete(where).status_code == 404
    until(lambda: not (service.data / "slides" / slide["id"]).exists(), 10)


def test_a_slide_by_reference_is_read_where_it_lies(client, service, imports):
    path = write_pyramid(imports / "referred.tiff", tissue(400, 500, [(150, 200, 90)]), 0.5)
    body = {"path": "referred.tiff", "identifiers": {"organ": "lymph node", "accession": "A-1"}}
    made = client.call("POST", "/api/v1/slides", json=body).json()
    slide = client.wait_for_slide(made["id"])
    assert (slide["state"], slide["filename"], slide["size_bytes"]) == ("ready", "referred.tiff", path.stat().st_size)
    assert client.analyse(slide["id"])["state"] == "succeeded"
    assert client.call("GET", f"/api/v1/slides/{slide['id']}/tiles/0/0_0.jpeg").content[:2] == b"\xff\xd8"
    client.call("DELETE", f"/api/v1/slides/{slide['id']}")
    assert path.exists(), "what was named by reference is not ours to remove"
    until(lambda: not (service.data / "slides" / slide["id"]).exists(), 10)


def test_a_bad_file_by_reference_is_rejected_and_stays(client, imports):
    (imports / "text.svs").write_text("no slide")
    made = client.call("POST", "/api/v1/slides", json={"path": "text.svs"}).json()
    slide = client.poll(f"/api/v1/slides/{made['id']}", lambda s: s["state"] == "rejected", 60)
    assert slide["reason"]["code"] == "not-a-slide"
    assert (imports / "text.svs").exists()


@pytest.mark.parametrize(
    "path", ["../data/quarterturn.db", "/etc/passwd", "missing.svs", ".", "link.svs", "a\0b", "x" * 299]
)
def test_nothing_outside_the_import_folder_can_be_named(client, imports, path):
    if not (imports / "link.svs").is_symlink():
        (imports / "link.svs").symlink_to("/etc/passwd")
    answer = client.http.post("/api/v1/slides", json={"path": path})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:quarterturn:problem:no-such-file")


def test_the_documentation_offers_the_key_on_every_change(service):
    paths = httpx.get(service.url + "/openapi.json").json()["paths"]
    assert {"/api/v1/keys", "/api/v1/keys/{key_id}"} <= set(paths)
    for path, calls in paths.items():
        for method, call in calls.items():
            takes = {p["name"] for p in call.get("parameters", []) if p["in"] == "header"}
            exempt = "uploads" in path or path.endswith("/session")
            assert method in ("get", "head", "options") or exempt or "Idempotency-Key" in takes, (method, path)
