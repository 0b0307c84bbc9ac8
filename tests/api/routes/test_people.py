"""People with passwords, the use of keys, and quotas."""

from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
import pytest
from servers import PATCH, PATIENCE, until
from slides import tissue, write_pyramid

from cli.client import TUS, Client

pytestmark = pytest.mark.services
OTHER = "nine quiet otters swimming"
SMALL = {**TUS, "Upload-Length": "1000"}
SENTENCE = "four mild turnips dancing"


def browser(service):
    return httpx.Client(base_url=service.url, timeout=PATIENCE)


def test_person_signs_in_changes_password_and_is_audited(client, service):
    person = client.call(
        "POST", "/api/v1/people", json={"login": "mia", "role": "analyst", "password": SENTENCE}
    ).json()
    with browser(service) as mia:
        answer = mia.post("/api/v1/session", json={"login": "mia", "password": SENTENCE})
        assert answer.status_code == 201
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert mia.get("/api/v1/session").json()["role"] == "analyst"
        assert mia.get("/api/v1/people").status_code == 403
        other = "five brisk herons sleeping"
        place = f"/api/v1/people/{person['id']}/password"
        for wrong in ({}, {"current": other}):
            refused = mia.put(place, json={"password": other, **wrong})
            assert refused.status_code == 403, "a session does not replace the current password"
            assert "the current password is " in refused.json()["detail"]
        assert mia.get("/api/v1/session").json()["person_id"] == person["id"]
        assert mia.put(place, json={"password": other, "current": SENTENCE}).status_code == 204
        assert mia.get("/api/v1/session").status_code == 401, "every session ended"
        assert mia.post("/api/v1/session", json={"login": "mia", "password": SENTENCE}).status_code == 401
        assert mia.post("/api/v1/session", json={"login": "mia", "password": other}).status_code == 201
        client.call("DELETE", f"/api/v1/people/{person['id']}")
        assert mia.get("/api/v1/session").status_code == 401
        assert mia.post("/api/v1/session", json={"login": "mia", "password": other}).status_code == 401
    rows = client.call("GET", "/api/v1/audit").json()["rows"]
    actions = [row["action"] for row in reversed(rows) if person["id"] in (row["subject"], row["principal_id"])]
    denied = 2 * ["access.denied"]  # of the same place once a minute
    expected = ["person.create", "session.open", *denied, "person.password", "session.open", "person.remove"]
    assert actions == expected
    assert SENTENCE not in str(rows)


def test_passwords_are_argon2id_and_sign_in_does_not_reveal_logins(client, service):
    client.call("POST", "/api/v1/people", json={"login": "noa", "password": SENTENCE})
    ((digest,),) = service.rows("SELECT hash FROM passwords WHERE login = 'noa'")
    assert digest.startswith("$argon2id$")
    with browser(service) as someone:
        wrong = someone.post("/api/v1/session", json={"login": "noa", "password": "not this one at all"})
        nobody = someone.post("/api/v1/session", json={"login": "nobody", "password": "not this one at all"})
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.json() == nobody.json()


@pytest.mark.parametrize(
    ("login", "password", "status"),
    [("li", SENTENCE, 422), ("eve<b>", SENTENCE, 422), ("eve", "short", 422), ("eve", "a" * 40, 422),
     ("evelyn", "evelyn evelyn 1", 422), ("eve", "x" * 300, 422)],
)  # fmt: skip
def test_bad_logins_and_passwords_are_rejected(client, login, password, status):
    answer = client.http.post("/api/v1/people", json={"login": login, "password": password})
    assert answer.status_code == status
    assert password not in answer.text or len(password) < 7


def test_logins_are_unique(client):
    request = {"login": "ira", "password": SENTENCE}
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda _: client.http.post("/api/v1/people", json=request).status_code, range(4)))
    assert sorted(statuses) == [201, 409, 409, 409]
    assert client.http.post("/api/v1/people", json=request).status_code == 409


def test_idempotency_key_with_another_password_is_rejected(client):
    """A replay with another password is refused: it must not report a change that was not made."""
    headers, request = {"Idempotency-Key": "people-once"}, {"login": "una", "password": SENTENCE}
    person = client.http.post("/api/v1/people", json=request, headers=headers)
    again = client.http.post("/api/v1/people", json=request, headers=headers)
    assert (person.status_code, again.status_code) == (201, 201)
    assert person.json() == again.json()
    other = client.http.post("/api/v1/people", json={**request, "password": OTHER}, headers=headers)
    assert (other.status_code, other.json()["title"]) == (409, "Idempotency key reused")
    place = f"/api/v1/people/{person.json()['id']}/password"
    for password in (SENTENCE, OTHER):
        assert client.http.put(place, json={"password": password}, headers=headers).status_code == 204
    mia = httpx.Client(base_url=client.http.base_url)
    assert mia.post("/api/v1/session", json={"login": "una", "password": OTHER}).status_code == 201


def test_key_shows_its_last_use(client, service):
    key_row = client.call("POST", "/api/v1/keys", json={"name": "robot", "role": "viewer"}).json()

    def used():
        (key,) = (key for key in client.call("GET", "/api/v1/keys").json() if key["id"] == key_row["id"])
        return key["used_at"]

    assert used() is None
    Client(service.url, key_row["key"]).call("GET", "/api/v1/slides")
    assert used() is not None


def test_quotas_are_enforced_and_released(own, tmp_path):
    own.environment |= {"QUARTERTURN_QUOTA_BYTES": "2000000", "QUARTERTURN_QUOTA_ANALYSES": "1"}
    own.environment |= {"QUARTERTURN_QUOTA_SLIDES": "3", "QUARTERTURN_IMPORT_DIR": str(tmp_path)}
    own.kill("api")
    own.start_api()
    client = own.client()
    own.start_worker()
    own.wait_for_worker()
    path = write_pyramid(tmp_path / "slide.tiff", tissue(400, 500), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    too_much = client.http.post("/api/v1/uploads", headers={**TUS, "Upload-Length": "1900000"})
    assert too_much.status_code == 413
    assert "are used" in too_much.json()["detail"]
    begun = client.call("POST", "/api/v1/uploads", headers={**TUS, "Upload-Length": "1000"}).headers["Location"]
    client.call("PATCH", begun, headers={**PATCH, "Upload-Offset": "0"}, content=b"x" * 500)
    refer = {"path": "slide.tiff"}
    third = client.call("POST", "/api/v1/slides", json=refer).json()
    for answer in (client.http.post("/api/v1/slides", json=refer), client.http.post("/api/v1/uploads", headers=SMALL)):
        assert (answer.status_code, answer.json()["title"]) == (429, "Quota slides")
    client.call("DELETE", f"/api/v1/slides/{third['id']}")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: client.http.post("/api/v1/uploads", headers=SMALL).status_code, range(8)))
    assert sorted(statuses) == [201, *[429] * 7]
    own.kill("worker")
    place = f"/api/v1/slides/{slide['id']}/analyses"
    first = client.call("POST", place, json={}).json()
    second = client.http.post(place, json={})
    assert second.status_code == 429
    assert "under way" in second.json()["detail"]
    client.call("POST", f"/api/v1/analyses/{first['id']}/cancel")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: client.http.post(place, json={}).status_code, range(8)))
    assert sorted(statuses) == [201, *[429] * 7], "concurrent uploads stay within the quota"
    client.call("DELETE", f"/api/v1/slides/{slide['id']}")
    until(lambda: client.http.post("/api/v1/uploads", headers={**TUS, "Upload-Length": "1900000"}).status_code == 201)
    assert client.http.post("/api/v1/uploads", headers=SMALL).status_code == 429, "three uploads count again"
