"""The audit trail: a change commits with its row, a view or an export follows its row, refusals count once a minute."""

import base64
import contextlib
import time
from datetime import datetime
from itertools import pairwise

import pytest
from servers import PATCH
from slides import tissue, write_pyramid

from cli.client import TUS, Client

pytestmark = pytest.mark.services
SQUARE = b'{"positive": [{"name": "one", "vertices": [[10, 10], [200, 10], [200, 200], [10, 200]]}], "negative": []}'


@pytest.fixture
def slide(client, tmp_path):
    path = write_pyramid(tmp_path / "slide.tiff", tissue(400, 500, [(150, 200, 101)]), 0.5)
    return client.wait_for_slide(client.upload(path, {}))


def told_of(client, *subjects):
    """(action, who) of rows about these subjects, oldest first."""
    rows = client.call("GET", "/api/v1/audit", params={"limit": 500}).json()["rows"]
    return [(row["action"], row["who"]) for row in reversed(rows) if row["subject"] in subjects]


def key_of(client, service, name, role):
    key = client.call("POST", "/api/v1/keys", json={"name": name, "role": role}).json()
    return Client(service.url, key["key"]), key["id"]


def test_audit_records_the_life_of_a_slide_in_order(client, service, slide):
    ann, key_id = key_of(client, service, "ann", "analyst")
    place = f"/api/v1/slides/{slide['id']}"
    ann.call("PATCH", place, json={"identifiers": {"accession": "S26-1"}})
    ann.call("PUT", f"{place}/annotation", content=SQUARE)
    for _ in range(2):  # a view has one row in a quarter of an hour
        ann.call("GET", f"{place}/tiles")
        ann.call("GET", f"{place}.dzi")
    ann.call("GET", f"{place}/annotation")
    analysis = ann.analyse(slide["id"], rotation_check=False)
    base = f"/api/v1/analyses/{analysis['id']}"
    for name in ("heatmap?dtype=uint8", "regions", "heatmap", "heatmap.png", "regions.geojson", "regions.csv"):
        ann.call("GET", f"{base}/{name}")
    ann.call("DELETE", f"{place}/annotation")
    ann.call("DELETE", place)
    client.call("DELETE", f"/api/v1/keys/{key_id}")
    mine = ("slide.change", "annotation.write", "slide.view", "annotation.view", "annotation.remove", "slide.delete")
    assert told_of(client, slide["id"]) == [
        ("upload.create", "administrator"), ("upload.finish", "administrator"), *((action, "ann") for action in mine),
    ]  # fmt: skip
    actions = ["analysis.create", "analysis.view", *4 * ["analysis.export"]]
    assert [action for action, _ in told_of(client, analysis["id"])] == actions
    assert told_of(client, key_id) == [("key.create", "administrator"), ("key.revoke", "administrator")]
    assert client.call("GET", "/api/v1/audit/check").json() == {"holds": True, "broken_at": None}


def test_replayed_request_is_audited_once(client, slide):
    headers = {"Idempotency-Key": f"again-{slide['id']}"}
    for _ in range(2):
        client.call("PATCH", f"/api/v1/slides/{slide['id']}", json={"identifiers": {"block": "A1"}}, headers=headers)
    assert [action for action, _ in told_of(client, slide["id"])].count("slide.change") == 1


def test_terminated_upload_is_audited_without_its_file_name(client):
    name = base64.b64encode(b"DOE^JOHN.svs").decode()
    headers = {**TUS, "Upload-Length": "10", "Upload-Metadata": f"filename {name}"}
    location = client.call("POST", "/api/v1/uploads", headers=headers).headers["Location"]
    client.call("PATCH", location, headers={**PATCH, "Upload-Offset": "0"}, content=b"12345")
    client.call("DELETE", location, headers=TUS)
    assert [action for action, _ in told_of(client, location[-32:])] == ["upload.create", "upload.terminate"]
    assert "DOE" not in client.call("GET", "/api/v1/audit").text


def test_refusals_are_audited_once_a_minute_per_path(client, service, slide):
    vera, _ = key_of(client, service, "vera", "viewer")
    place = f"/api/v1/slides/{slide['id']}"
    for _ in range(3):
        assert vera.http.delete(place).status_code == 403
    assert told_of(client, f"DELETE {place}"[:64]) == [("access.denied", "vera")]
    stranger = Client(service.url, "qt_wrong")
    for _ in range(3):
        assert stranger.http.get(place).status_code == 401
    rows = client.call("GET", "/api/v1/audit").json()["rows"]
    denied = [row for row in rows if row["who"] == "nobody known" and row["action"] == "access.denied"]
    times = [datetime.fromisoformat(row["at"]).timestamp() for row in denied]
    assert all(later - earlier >= 59 for later, earlier in pairwise(times)), "earlier tests were refused, too"
    assert denied[0]["detail"]["code"] == "not-signed-in"
    assert "qt_wrong" not in str(rows)


def test_other_workspaces_are_invisible(client, service, slide):
    """Every object with an id: a slide, its analysis, upload and evaluation, a person, a key."""
    analysis = client.analyse(slide["id"], rotation_check=False)["id"]
    person = client.call("POST", "/api/v1/people", json={"login": "elsewhere", "password": "four mild turnips"}).json()
    key = client.call("POST", "/api/v1/keys", json={"name": "elsewhere"}).json()
    (here,) = service.rows("SELECT id FROM uploads WHERE slide_id = :id", id=slide["id"])
    upload, at, work = here[0], f"/api/v1/slides/{slide['id']}", f"/api/v1/analyses/{analysis}"
    calls = [
        *(("GET", at + rest) for rest in ("", ".dzi", "/tiles", "/thumbnail", "/analyses", "/macro", "/label")),
        *(("GET", work + rest) for rest in ("", "/heatmap", "/heatmap.png", "/regions", "/regions.csv", "/events")),
        ("GET", f"{at}/tiles/0/0_0.jpeg"), ("DELETE", at), ("POST", f"{at}/analyses"), ("POST", f"{work}/cancel"),
        ("POST", f"{work}/retry"), ("DELETE", f"/api/v1/uploads/{upload}"), ("DELETE", f"/api/v1/keys/{key['id']}"),
        ("DELETE", f"/api/v1/people/{person['id']}"),
    ]  # fmt: skip
    asker, _ = key_of(client, service, "asker", "admin")
    with of_another(service, slide["id"], person["id"], key["id"]):
        for method, path in calls:
            body = {"json": {}} if method == "POST" and path.endswith("/analyses") else {}
            headers = TUS if "uploads" in path else {}
            answer = asker.http.request(method, path, headers=headers, **body)
            assert answer.status_code == 404, (method, path, answer.status_code)
        lists = str([client.call("GET", f"/api/v1/{listing}").json() for listing in ("slides", "people", "keys")])
        assert not [one for one in (slide["id"], person["id"], key["id"]) if one in lists]
    client.call("DELETE", f"/api/v1/people/{person['id']}")


@contextlib.contextmanager
def of_another(service, slide_id, person_id, key_id):
    """Moves these rows to another workspace for a while."""
    service.change("INSERT INTO workspaces (id, name) SELECT 'other', 'Other' WHERE NOT EXISTS "
                   "(SELECT 1 FROM workspaces WHERE id = 'other')")  # fmt: skip
    moves = [
        (f"UPDATE {table} SET workspace_id = :to WHERE slide_id = :id", slide_id) for table in ("analyses", "uploads")
    ]
    moves += [("UPDATE slides SET workspace_id = :to WHERE id = :id", slide_id),
              ("UPDATE principals SET workspace_id = :to WHERE id = :id", person_id),
              ("UPDATE principals SET workspace_id = :to WHERE id IN (SELECT principal_id FROM credentials "
               "WHERE substr(hash, 1, 16) = :id)", key_id)]  # fmt: skip
    try:
        for query, one in moves:
            service.change(query, to="other", id=one)
        time.sleep(1.1)  # what the tiles remember
        yield
    finally:
        for query, one in moves:
            service.change(query, to="default", id=one)


def test_foreign_slide_answers_404_and_is_audited(client, service, slide):
    service.change("INSERT INTO workspaces (id, name) SELECT 'other', 'Other' WHERE NOT EXISTS "
                   "(SELECT 1 FROM workspaces WHERE id = 'other')")  # fmt: skip
    service.change("UPDATE slides SET workspace_id = 'other' WHERE id = :id", id=slide["id"])
    for path in (f"slides/{slide['id']}", f"slides/{slide['id']}/tiles/0/0_0.jpeg"):
        answer = client.http.get(f"/api/v1/{path}")
        assert answer.status_code == 404
        assert answer.json()["type"] == client.http.get(f"/api/v1/slides/{'0' * 32}").json()["type"]
    places = (f"GET /api/v1/slides/{slide['id']}"[:64], f"GET tiles of {slide['id']}"[:64])
    assert [action for action, _ in told_of(client, *places)] == ["access.denied", "access.denied"]


def test_sign_in_and_sign_out_are_audited(client, service):
    sam, _ = key_of(client, service, "sam", "viewer")
    secret = sam.http.headers["Authorization"].split()[1]
    with Client(service.url, "").http as browser:
        browser.headers.pop("Authorization", None)
        assert browser.post("/api/v1/session", json={"key": secret}).status_code == 201
        assert browser.get("/api/v1/session").json()["name"] == "sam"
        assert browser.delete("/api/v1/session").status_code == 204
    rows = client.call("GET", "/api/v1/audit").json()["rows"]
    assert [row["action"] for row in rows if row["who"] == "sam"] == ["session.close", "session.open"]


def test_request_fails_when_the_audit_cannot_be_written(client, service, slide):
    analysis = client.analyse(slide["id"], rotation_check=False)
    base, place = f"/api/v1/analyses/{analysis['id']}", f"/api/v1/slides/{slide['id']}"
    calls = [
        ("GET", f"{place}/tiles", {}), ("GET", f"{base}/regions.csv", {}), ("GET", f"{base}/heatmap", {}),
        ("POST", f"{place}/analyses", {"json": {}}), ("DELETE", place, {}),
        ("PATCH", place, {"json": {"identifiers": {"block": "B"}}}),
        ("POST", "/api/v1/keys", {"json": {"name": "x", "role": "viewer"}}),
        ("POST", "/api/v1/uploads", {"headers": {**TUS, "Upload-Length": "10"}}),
    ]  # fmt: skip
    before = [client.call("GET", path).json() for path in (f"{place}/analyses", "/api/v1/keys", place)]
    service.change("ALTER TABLE audit RENAME TO audit_away")
    try:
        for method, path, body in calls:
            answer = client.http.request(method, path, **body)
            assert answer.status_code >= 500, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
    finally:
        service.change("ALTER TABLE audit_away RENAME TO audit")
    assert [client.call("GET", path).json() for path in (f"{place}/analyses", "/api/v1/keys", place)] == before
