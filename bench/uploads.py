"""A large file sent: tus beside FastAPI's UploadFile and a server in C; and how soon the API is there."""

import base64
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench import peers
from bench.service import ROOT, OwnService, cpu_of, free_port, resident_mib
from bench.tables import Section, Target

CHUNK = os.urandom(1 << 20)
ABOUT = """One request body of random bytes over loopback, the client sending as fast as it is taken; the file is in its
place when the answer comes (ours has told the database, too). Resident memory is the most seen while it ran."""


def send(port: int, head: bytes, before: bytes, mebibytes: int, after: bytes) -> float:
    """Send one request; seconds until its answer. Raises RuntimeError when it is refused."""
    with socket.create_connection(("127.0.0.1", port)) as to:
        began = time.perf_counter()
        to.sendall(head + before)
        for _ in range(mebibytes):
            to.sendall(CHUNK)
        to.sendall(after)
        status = to.recv(4096).split(b"\r\n", 1)[0]
        seconds = time.perf_counter() - began
    if status.split()[1][:1] != b"2":
        raise RuntimeError(f"an upload was answered {status.decode()}")
    return seconds


class Watched:
    """The most resident memory of a process while a block runs, MiB."""

    def __init__(self, pid: int) -> None:
        self.most, self._pid, self._over = 0.0, pid, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, resident_mib(self._pid))

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def measure(quick: bool) -> Section:
    section, size = Section("Uploads and start-up", ABOUT), 128 if quick else 1024
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, summed, most, idle, ready = _tus(section, folder / "data", size)
        form = _form(section, folder, size)
        nginx = _nginx(section, folder, size)
    seconds = _import_seconds()
    section.add("API ready after its start, an instance that was there before", ready, "s", "first answer of /healthz")
    section.add("API's modules imported, torch not among them", seconds, "s", "median of 5 processes")
    section.targets += [
        Target("tus over UploadFile, bytes a second", 1.8, form and ours / form, absent="make bench-peers was not run"),
        Target("tus over nginx's PUT, bytes a second", 0.6, nginx and ours / nginx, absent="nginx is not here"),
        Target("tus with a sha256 checked on the way, over without", 0.6, summed / ours, why=_SUMMED),
        Target("API ready after its start, seconds", 5, ready, at_most=True),
        Target("memory that an upload takes, MiB", 64, most - idle, at_most=True),
        Target("import of the API, seconds", 1, seconds, at_most=True),
    ]
    return section


def _row(section: Section, what: str, size: int, work: Callable[[], float], pid: int) -> tuple[float, float]:
    """MB/s and the most resident MiB."""
    began = cpu_of(pid)
    with Watched(pid) as watched:
        seconds = work()
    speed = size * 2**20 / 1e6 / seconds
    cpu = (cpu_of(pid) - began) / (size / 1024)
    section.add(what, speed, "MB/s", f"{cpu:.2f} CPU s a GiB, {watched.most:.0f} MiB resident at most")
    return speed, watched.most


_SUMMED = "; the thread that writes sums, too"


def _tus(section: Section, folder: Path, size: int) -> tuple[float, float, float, float, float]:
    """MB/s, MB/s with a checksum, most resident MiB, MiB before, and seconds until the API was ready."""
    with OwnService(folder) as service:
        began = time.perf_counter()
        api = service.start_api()
        ready = time.perf_counter() - began
        send(service.port, _patch(service, 1), b"", 1, b"")
        idle, head = resident_mib(api), _patch(service, size)
        speed, most = _row(section, "tus, one PATCH", size, lambda: send(service.port, head, b"", size, b""), api)
        digest = base64.b64encode(hashlib.sha256(CHUNK * size).digest()).decode()
        head = _patch(service, size, f"Upload-Checksum: sha256 {digest}")
        what = "tus, one PATCH, its sha256 checked on the way"
        summed, _ = _row(section, what, size, lambda: send(service.port, head, b"", size, b""), api)
        return speed, summed, most, idle, ready


def _patch(service: OwnService, mebibytes: int, *more: str) -> bytes:
    """A new upload's PATCH, without its body."""
    metadata = f"filename {base64.b64encode(b'bench.tiff').decode()}"
    length = str(mebibytes << 20)
    wanted = {"Tus-Resumable": "1.0.0", "Upload-Length": length, "Upload-Metadata": metadata}
    place = service.client().call("POST", "/api/v1/uploads", headers=wanted).headers["Location"]
    lines = [
        f"PATCH {place[place.index('/api') :]} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {service.key}",
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
        f"Content-Length: {length}",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _form(section: Section, folder: Path, size: int) -> float | None:
    if not Path(peers.python()).exists():
        section.missing.append("FastAPI's UploadFile (make bench-peers was not run)")
        return None
    port = free_port()
    with peers.running([peers.python(), "upload_server.py", str(folder), str(port)], port) as pid:
        before = b'--bench\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        after = b"\r\n--bench--\r\n"

        def sent(mebibytes: int) -> float:
            length = (mebibytes << 20) + len(before) + len(after)
            kind = "Content-Type: multipart/form-data; boundary=bench"
            head = f"POST / HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nContent-Length: {length}\r\n\r\n"
            return send(port, head.encode(), before, mebibytes, after)

        sent(1)
        return _row(section, "FastAPI's UploadFile", size, lambda: sent(size), pid)[0]


def _nginx(section: Section, folder: Path, size: int) -> float | None:
    port = free_port()
    server = f"listen 127.0.0.1:{port}; root {folder}; location / {{ dav_methods PUT; client_max_body_size 0; }}"
    found = peers.nginx_or_none(folder, f"client_body_temp_path {folder}/bodies; server {{ {server} }}")
    if found is None:
        section.missing.append("nginx")
        return None
    with peers.running(found, port) as pid:
        lines = "PUT /put.bin HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        send(port, f"{lines}{1 << 20}\r\n\r\n".encode(), b"", 1, b"")
        head = f"{lines}{size << 20}\r\n\r\n".encode()
        return _row(section, "nginx, body to file (PUT)", size, lambda: send(port, head, b"", size, b""), pid)[0]


def _import_seconds() -> float:
    timed = "import time; began = time.perf_counter(); import api.app, sys; assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", f"{timed}; print(time.perf_counter() - began)"]
    environment = {**os.environ, "QUARTERTURN_DATA": tempfile.gettempdir()}
    taken = [subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True) for _ in range(5)]
    return sorted(float(done.stdout) for done in taken)[2]
