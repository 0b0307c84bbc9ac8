"""Who is not known, comes too often or sends too much is kept out, before a body is read."""

import contextlib
import os
import socket
import subprocess
import sys
import time

import pytest
from servers import KEY, ROOT

from cli.client import Client

pytestmark = pytest.mark.services
GIB = 1 << 30
PROXY = {"PUBLIC_URL": "https://slides.example", "TRUSTED_PROXIES": "10.0.0.2"}


def pour(port, head, most=64 << 20):
    """Send a head and a body without end; how much was taken, and the answer."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(head.encode())
        sent, piece, answer = 0, bytes(1 << 16), b""
        try:
            while sent < most:
                sent += connection.send(piece)
        except OSError:
            pass
        try:
            while part := connection.recv(1 << 16):
                answer += part
        except OSError:
            pass
    return sent, answer


def head(method, path, port, **fields):
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {GIB}"]
    return "\r\n".join([*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()), "", ""])


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "slides"), ("PATCH", f"uploads/{'0' * 32}"), ("PUT", f"slides/{'0' * 32}/annotation")],
)  # fmt: skip
def test_nobody_unknown_has_a_body_read(service, method, path):
    sent, _ = pour(
        service.port, head(method, f"/api/v1/{path}", service.port, Tus_Resumable="1.0.0", Upload_Offset="0")
    )
    assert sent < 16 << 20, "what the system's own buffers hold, and no more"


def test_a_body_without_end_is_refused_before_it_is_read(client, service):
    bearer = f"Bearer {KEY}"
    sent, _ = pour(service.port, head("POST", "/api/v1/slides", service.port, Authorization=bearer))
    assert sent < 16 << 20
    answer = client.http.post("/api/v1/slides", content=b"[" + b" " * (1 << 20))
    assert answer.status_code == 413
    assert "1048576 bytes" in answer.json()["detail"]

    def endless():
        while True:
            yield bytes(1 << 16)

    with contextlib.suppress(OSError):  # the connection may be cut before the answer is read
        assert client.http.post("/api/v1/slides", content=endless()).status_code == 413  # in chunks, no length said
    assert client.call("GET", "/api/v1/session").json()["role"] == "admin", "the service goes on"


def test_bursts_are_answered_with_429_and_end_by_themselves(own):
    own.environment["QUARTERTURN_REQUESTS_PER_SECOND"] = "5"
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
    time.sleep(1)
    assert client.http.get("/api/v1/slides").status_code == 200


def test_guessing_keys_is_slowed_down(own):
    client = Client(own.url, "")
    client.http.headers.pop("Authorization")
    statuses = [client.http.post("/api/v1/session", json={"key": f"qt_guess{n}"}).status_code for n in range(14)]
    assert statuses[:9] == [401] * 9
    assert statuses[-1] == 429
    assert own.client().http.get("/api/v1/slides").status_code == 200, "others go on"


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
def test_beyond_loopback_nobody_serves_without_tls_and_users(settings, starts, tmp_path):
    """Asked of the rule alone where it would start: tests listen on loopback only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUARTERTURN_")}
    chosen = {f"QUARTERTURN_{name}": value for name, value in settings.items()}
    asked = "from api.__main__ import may_listen; from core.settings import Settings; print(may_listen(Settings()))"
    command = [sys.executable, *(("-c", asked) if starts else ("-m", "api"))]
    environment = {**kept, **chosen, "QUARTERTURN_DATA": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    if starts:
        assert done.stdout.strip() == "True"
    else:
        assert done.returncode == 1
        assert "QUARTERTURN_PUBLIC_URL=https://" in done.stderr
