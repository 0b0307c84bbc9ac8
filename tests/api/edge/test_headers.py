"""Every response carries the security headers, and a session cookie stays with this host."""

import pytest
from servers import KEY, until
from slides import tissue, write_pyramid

pytestmark = pytest.mark.services
WANTED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


def test_every_response_has_the_security_headers(client, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "s.tiff", tissue(300, 400), 0.5), {}))["id"]
    stranger = {"Authorization": "Bearer nobody"}
    requests = [
        ("GET", "/", 200, {}), ("GET", "/docs", 200, {}), ("GET", "/static/viewer/main.js", 200, {}),
        ("GET", "/no", 404, {}), ("PUT", "/no", 404, {}),
        ("GET", f"/api/v1/slides/{slide}/tiles/0/0_0.jpeg", 200, {}),
        ("GET", f"/api/v1/slides/{slide}/tiles/9/0_0.jpeg", 404, {}), ("GET", "/api/v1/slides", 401, stranger),
        ("POST", "/api/v1/slides", 422, {}), ("PATCH", "/api/v1/slides", 405, {}), ("GET", "/healthz", 200, {}),
    ]  # fmt: skip
    for method, path, status, headers in requests:
        answer = client.http.request(method, path, headers=headers)
        assert answer.status_code == status, path
        assert {name: answer.headers.get(name) for name in WANTED} == WANTED, path
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'self'", path
        assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'", path
        assert "unsafe" not in str(policy), path
        assert "access-control-allow-origin" not in answer.headers, path
        assert "server" not in answer.headers, path
        if status >= 400 and path.startswith("/api"):
            assert answer.headers["content-type"] == "application/problem+json", path


def test_unexpected_errors_do_not_leak_details(client, service, tmp_path):
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "s.tiff", tissue(300, 400), 0.5), {}))["id"]
    service.change("UPDATE slides SET info = '{}' WHERE id = :id", id=slide)
    answer = client.http.get(f"/api/v1/slides/{slide}/tiles")
    assert answer.status_code == 500
    assert answer.json() == {
        "type": "urn:quarterturn:problem:server-fault", "title": "Server fault", "status": 500,
        "detail": "something went wrong in the server", "action": "try again; it was written to the log",
    }  # fmt: skip
    assert answer.headers["x-content-type-options"] == "nosniff"
    until(lambda: "Error: " in (service.data / "api.log").read_text())  # the log has it
    client.call("DELETE", f"/api/v1/slides/{slide}")


def test_session_cookie_is_httponly_and_same_site(client):
    answer = client.http.post("/api/v1/session", json={"key": KEY})
    (cookie,) = answer.headers.get_list("set-cookie")
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert not any(flag.startswith("domain") for flag in flags)


def test_session_cookie_is_secure_and_host_bound_behind_tls(own):
    own.environment |= {"QUARTERTURN_PUBLIC_URL": "https://slides.hospital.example"}
    own.kill("api")
    own.start_api()
    answer = own.client().http.post("/api/v1/session", json={"key": KEY})
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-quarterturn=")
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "secure"} <= flags
    assert not any(flag.startswith("domain") for flag in flags)


def test_wrong_method_lists_the_allowed_methods(client):
    allowed = {
        "": "GET, HEAD, OPTIONS, POST",
        f"/{'0' * 32}.dzi": "GET, HEAD, OPTIONS",
        f"/{'0' * 32}": "DELETE, GET, HEAD, OPTIONS, PATCH",
        f"/../uploads/{'0' * 32}": "DELETE, GET, HEAD, OPTIONS, PATCH",
        "/../../../": "GET, HEAD, OPTIONS",
    }
    for below, methods in allowed.items():
        path = f"/api/v1/slides{below}"
        answer = client.http.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods), path
