"""A key may be limited to a part of what its role permits; calls without a rule require `manage`."""

import pytest
from slides import tissue, write_pyramid

from api.contract.calls import UNLISTED, find
from cli.client import TUS, Client

NOTHING = "0" * 32
pytestmark = pytest.mark.services
NEEDED = {
    "GET /api/v1/slides": "read",
    f"GET /api/v1/slides/{NOTHING}/macro": "read",
    f"GET /api/v1/analyses/{NOTHING}/heatmap": "read",
    "GET /metrics": "read",
    f"HEAD /api/v1/uploads/{NOTHING}": "upload",
    "POST /api/v1/uploads": "upload",
    "POST /api/v1/slides": "upload",
    f"PATCH /api/v1/slides/{NOTHING}": "upload",
    f"POST /api/v1/slides/{NOTHING}/inspect": "upload",
    f"POST /api/v1/slides/{NOTHING}/analyses": "analyse",
    f"POST /api/v1/analyses/{NOTHING}/cancel": "analyse",
    f"POST /api/v1/analyses/{NOTHING}/profiles": "analyse",
    f"DELETE /api/v1/slides/{NOTHING}/annotation": "analyse",
    "POST /api/v1/evaluations": "analyse",
    "GET /api/v1/audit": "manage",
    "GET /api/v1/audit/check": "manage",
    f"GET /api/v1/slides/{NOTHING}/label": "manage",
    f"DELETE /api/v1/slides/{NOTHING}": "manage",
    "POST /api/v1/keys": "manage",
    f"PUT /api/v1/people/{NOTHING}/password": "manage",
    "POST /api/v1/whatever/comes": "manage",
    f"POST /api/v1/slides/{NOTHING}/annotation/x": "manage",
    "GET /api/v1/session": None,
    "POST /api/v1/session/x": "manage",
}


@pytest.mark.parametrize("call", NEEDED)
def test_calls_require_their_scope(call):
    assert (find(*call.split()) or UNLISTED).scope == NEEDED[call]


@pytest.mark.parametrize("scope", ["read", "upload", "analyse", "manage"])
def test_key_is_limited_to_its_scopes(client, service, scope):
    key = client.call("POST", "/api/v1/keys", json={"name": f"for {scope}", "role": "admin", "scopes": [scope]}).json()
    assert key["scopes"] == [scope]
    own = Client(service.url, key["key"])
    assert own.call("GET", "/api/v1/session").json()["scopes"] == [scope]
    for call, needed in NEEDED.items():
        method, path = call.split()
        answer = own.http.request(method, path, headers={**TUS, "Idempotency-Key": "x"} if "uploads" in path else {})
        refused = answer.status_code == 403
        assert refused == (needed not in (None, scope)), call
        if refused and method != "HEAD":
            assert answer.json()["type"].endswith("scope-needed")
            assert needed in answer.json()["detail"]
    refusals = [row for row in client.call("GET", "/api/v1/audit").json()["rows"] if row["who"] == f"for {scope}"]
    assert {row["detail"].get("code") for row in refusals} >= {"scope-needed"}


def test_key_cannot_create_a_key_with_more_scopes(client, service):
    request = {"name": "a manager", "role": "admin", "scopes": ["manage"]}
    manager = Client(service.url, client.call("POST", "/api/v1/keys", json=request).json()["key"])
    for scopes, status in ((["manage"], 201), (["read", "manage"], 403), (None, 403)):
        assert manager.http.post("/api/v1/keys", json={"name": "another", "scopes": scopes}).status_code == status
    person = {"login": "noa", "password": "four mild turnips"}
    assert manager.http.post("/api/v1/people", json=person).status_code == 403
    assert manager.http.get("/api/v1/keys").status_code == 200


def test_session_and_tiles_enforce_the_scopes_of_the_key(client, service, tmp_path):
    key = client.call("POST", "/api/v1/keys", json={"name": "in and out", "scopes": ["upload", "upload"]}).json()
    own = Client(service.url, key["key"])
    path = write_pyramid(tmp_path / "slide.tiff", tissue(300, 400), 0.5)
    slide = client.wait_for_slide(own.upload(path, {}))
    tile = f"/api/v1/slides/{slide['id']}/tiles/0/0_0.jpeg"
    assert client.http.get(tile).status_code == 200
    assert own.http.get(tile).status_code == 403
    browser = Client(service.url, "")
    browser.http.headers.pop("Authorization")
    assert browser.call("POST", "/api/v1/session", json={"key": key["key"]}).json()["scopes"] == ["upload"]
    assert browser.http.get("/api/v1/slides").status_code == 403
    assert browser.http.get(tile).status_code == 403
    assert client.http.post("/api/v1/keys", json={"name": "none", "scopes": []}).status_code == 422
    assert client.http.post("/api/v1/keys", json={"name": "odd", "scopes": ["all"]}).status_code == 422
