"""The gate rejects unauthenticated, too frequent and oversized requests before reading a body."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from servers import KEY, PATIENCE, ROOT, until
from slides import tissue, write_pyramid

from api.edge.gate import Gate
from api.request import trail
from cli.client import Client

pytestmark = pytest.mark.services
GIB = 1 << 30
PROXY = {"PUBLIC_URL": "https://slides.example", "TRUSTED_PROXIES": "10.0.0.2"}


def pour(port, head, most=64 << 20, piece=bytes(1 << 16)):
    """Sends a head and an endless body; returns the bytes accepted and the answer."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(head.encode())
        accepted, answer = 0, b""
        try:
            while accepted < most:
                accepted += connection.send(piece)
        except OSError:
            pass
        try:
            while part := connection.recv(1 << 16):
                answer += part
        except OSError:
            pass
    return accepted, answer


def head(method, path, port, **fields):
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {GIB}"]
    return "\r\n".join([*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()), "", ""])


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "slides"), ("PATCH", f"uploads/{'0' * 32}"), ("PUT", f"slides/{'0' * 32}/annotation")],
)  # fmt: skip
def test_unauthenticated_request_bodies_are_not_read(service, method, path):
    accepted, answer = pour(
        service.port, head(method, f"/api/v1/{path}", service.port, Tus_Resumable="1.0.0", Upload_Offset="0")
    )
    assert accepted < 16 << 20, "the system's own buffers, and no more"
    assert b" 401 " in answer[:20] or answer == b"", "or the connection was cut before the answer was read"


@pytest.mark.parametrize("path", ["slides", "uploads", f"uploads/{'0' * 32}", f"slides/{'0' * 32}/annotation"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_gate_rejects_before_receiving_the_body(method, path, monkeypatch):
    """The gate alone, without the system's buffers: 401 before the first part of the body."""
    monkeypatch.setattr(trail, "record_denied_request", lambda *_: None)
    received, answered = [], []

    async def receive():
        received.append(1)
        return {"type": "http.request", "body": bytes(1 << 20), "more_body": True}

    async def send(message):
        answered.append(message)

    async def unreachable(*_):
        raise AssertionError("an unauthenticated request reached the application")

    scope = {
        "type": "http", "method": method, "path": f"/api/v1/{path}", "query_string": b"", "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), (b"content-length", str(GIB).encode())],
    }  # fmt: skip
    asyncio.run(Gate(unreachable)(scope, receive, send))
    assert answered[0]["status"] == 401
    assert received == []


def test_endless_body_is_rejected_before_it_is_read(client, service):
    bearer = f"Bearer {KEY}"
    accepted, _ = pour(service.port, head("POST", "/api/v1/slides", service.port, Authorization=bearer))
    assert accepted < 16 << 20
    answer = client.http.post("/api/v1/slides", content=b"[" + b" " * (1 << 20))
    assert answer.status_code == 413
    assert "1048576 bytes" in answer.json()["detail"]

    def endless():
        while True:
            yield bytes(1 << 16)

    with contextlib.suppress(OSError):  # the connection may be cut before the answer is read
        assert client.http.post("/api/v1/slides", content=endless()).status_code == 413  # in chunks, no length said
    assert client.call("GET", "/api/v1/session").json()["role"] == "admin", "the service goes on"


def test_request_bursts_get_429_until_tokens_return(own):
    own.environment["QUARTERTURN_REQUESTS_PER_SECOND"] = "0.2"
    own.environment["QUARTERTURN_REQUEST_BURST"] = "20"
    own.kill("api")
    own.start_api()
    client = own.client()
    statuses = [client.http.get("/api/v1/slides").status_code for _ in range(40)]
    assert statuses[:15] == [200] * 15
    assert 429 in statuses
    refused = next(answer for _ in range(40) if (answer := client.http.get("/api/v1/slides")).status_code == 429)
    assert refused.headers["Retry-After"] == "1"
    assert Client(own.url, "another").http.get("/api/v1/slides").status_code == 401, "one visitor's burst is its own"
    until(lambda: client.http.get("/api/v1/slides").status_code == 200)


def test_slow_or_oversized_request_heads_are_cut_off(own):
    """A request head is limited in time and in size, since its sender is not authenticated yet."""
    own.environment["QUARTERTURN_HEAD_SECONDS"] = "1.5"
    own.kill("api")
    own.start_api()
    slow = [socket.create_connection(("127.0.0.1", own.port), 10) for _ in range(60)]
    for connection in slow[:50]:  # ten say nothing at all
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    assert own.client().http.get("/healthz").status_code == 200, "others are served meanwhile"
    for connection in slow:
        with connection, contextlib.suppress(ConnectionError):
            assert connection.recv(100) == b""
    accepted, answer = pour(own.port, "GET /healthz HTTP/1.1\r\nX-Long: ")
    assert accepted < 16 << 20
    assert b"200" not in answer
    assert own.client().http.get("/healthz", headers={"X-Long": "x" * 20_000}).status_code == 200
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    for head, rest in ((request + b"\r\n", b"\r\n"), (request + b"Content-Length: 2\r\n\r\n", b"x")):
        with socket.create_connection(("127.0.0.1", own.port), 10) as connection:
            connection.sendall(head)
            answer = b""
            while b"alive" not in answer:
                answer += connection.recv(4096)
            connection.sendall(rest)
            assert connection.recv(100) == b"", "bytes after an answer must form a request in time"
    endless = request + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    accepted, _ = pour(own.port, endless.decode(), piece=b"X-Trailer: " + b"y" * 1000 + b"\r\n")
    assert accepted < 16 << 20


def test_password_guessing_is_throttled_per_login(own):
    for login in ("mia", "noa"):
        own.client().call("POST", "/api/v1/people", json={"login": login, "password": "four mild turnips dancing"})
    client = Client(own.url, "")
    client.http.headers.pop("Authorization")

    def tried(login, password):
        return client.http.post("/api/v1/session", json={"login": login, "password": password}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda n: tried("mia", f"a guess {n}"), range(24)))
    assert statuses.count(401) <= 10, "concurrent attempts have the same limit as sequential ones"
    assert statuses.count(429) >= 14
    assert tried("mia", "four mild turnips dancing") == 429, "for a minute"
    assert tried("noa", "four mild turnips dancing") == 201
    assert client.http.post("/api/v1/session", json={"key": KEY}).status_code == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "slides/annotation"), ("POST", "analyses/annotation/profiles"), ("POST", "uploads/x"),
     ("PUT", "people/annotation/password")],
)  # fmt: skip
def test_path_names_do_not_raise_the_body_limit(client, method, path):
    answer = client.http.request(method, f"/api/v1/{path}", content=b"[" + b" " * (2 << 20))
    assert answer.status_code == 413


def test_many_concurrent_viewers_are_served(client, tmp_path):
    """Each first view writes its audit row before the answer, and waits for it without a database connection."""
    path = write_pyramid(tmp_path / "slide.tiff", tissue(300, 400), 0.5)
    slides = [client.wait_for_slide(client.upload(path, {}))["id"] for _ in range(3)]
    with ThreadPoolExecutor(60) as pool:
        paths = [
            f"/api/v1/slides/{slide}{suffix}" for slide in slides for suffix in ("/tiles", ".dzi") for _ in range(20)
        ]
        statuses = list(pool.map(lambda path: client.http.get(path).status_code, paths))
    assert set(statuses) == {200}


def test_missing_database_answers_503(own):
    if "QUARTERTURN_DATABASE_URL" not in own.environment:
        pytest.skip("SQLite is a file: it is not away")
    own.environment["QUARTERTURN_DATABASE_URL"] = "postgresql+psycopg://quarterturn@127.0.0.1:9/postgres"
    own.kill("api")
    own.start_api()
    for method, path in (("GET", "slides"), ("POST", "slides"), ("DELETE", "slides/x"), ("PATCH", "uploads/x")):
        answer = own.client().http.request(method, f"/api/v1/{path}", json={})
        assert answer.status_code == 503, (method, path)
        assert len(answer.headers["X-Request-Id"]) == 32


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"HOST": "0.0.0.0"}, False),
        ({"HOST": "0.0.0.0", "ADMIN_KEY": KEY}, False),
        ({"HOST": "0.0.0.0", "ADMIN_KEY": KEY, "PUBLIC_URL": "https://slides.example"}, False),
        ({"HOST": "0.0.0.0", **PROXY}, False),
        ({"HOST": "somewhere", "ADMIN_KEY": KEY}, False),
        ({"HOST": "0.0.0.0", "ADMIN_KEY": KEY, "PUBLISHED_LOCALLY": "true"}, True),
        ({"HOST": "0.0.0.0", "ADMIN_KEY": KEY, **PROXY}, True),
        ({"HOST": "127.0.0.1"}, True), ({"HOST": "::1"}, True),
    ],
)  # fmt: skip
def test_serving_beyond_loopback_requires_tls_and_users(settings, starts, tmp_path):
    """Tests only the rule where it would permit the start, since tests listen on loopback alone."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QUARTERTURN_")}
    chosen = {f"QUARTERTURN_{name}": value for name, value in settings.items()}
    question = "from api.__main__ import may_listen; from core.settings import Settings; print(may_listen(Settings()))"
    command = [sys.executable, *(("-c", question) if starts else ("-m", "api"))]
    environment = {**inherited, **chosen, "QUARTERTURN_DATA": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    if starts:
        assert done.stdout.strip() == "True"
    else:
        assert done.returncode == 1
        assert "QUARTERTURN_PUBLIC_URL=https://" in done.stderr
