"""Uploads of a large file: tus beside FastAPI's UploadFile and a server in C; and the start-up time of the API."""

import base64
import hashlib
import math
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench import peers
from bench.page.tables import Section, Target, three_figures
from bench.rig.service import ROOT, OwnService, cpu_of, free_port, tree_mib

CHUNK = os.urandom(1 << 20)
ABOUT = """One request body of random bytes over loopback, sent as fast as the server reads; the ways alternate and the
best round of each counts. The file is in its place when the answer comes; ours is also flushed to disk and recorded in
the database. Resident memory is the maximum."""


def send(port: int, head: bytes, before: bytes, mebibytes: int, after: bytes) -> float:
    """Sends one request; returns the seconds until its answer.

    Raises:
        RuntimeError: the answer is no success.
    """
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
            self.most = max(self.most, tree_mib(self._pid))

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@dataclass
class Way:
    """One way to send: a request that each round prepares anew, and the best of its rounds."""

    name: str
    pid: int
    mebibytes: int
    prepare: Callable[[], Callable[[], float]]
    seconds: float = math.inf
    cpu_s: float = math.inf
    most_mib: float = 0.0

    def measure_round(self) -> None:
        """Sends once and keeps the best figures."""
        send_request = self.prepare()
        os.sync()  # so that this round does not wait for what others wrote
        _touch(3 * self.mebibytes)
        began = cpu_of(self.pid)
        with Watched(self.pid) as watched:
            self.seconds = min(self.seconds, send_request())
        self.cpu_s = min(self.cpu_s, cpu_of(self.pid) - began)
        self.most_mib = max(self.most_mib, watched.most)

    @property
    def speed(self) -> float:
        """MB/s."""
        return self.mebibytes * 2**20 / 1e6 / self.seconds

    def add_row(self, section: Section) -> None:
        """Adds the best figures to a section."""
        cpu = self.cpu_s / (self.mebibytes / 1024)
        note = f"{cpu:.2f} CPU s a GiB, {self.most_mib:.0f} MiB resident at most"
        section.add(self.name, self.speed, "MB/s", note)


def _touch(mebibytes: int) -> None:
    """Touches as much free memory as a file's pages will take.

    A virtual machine returns freed memory to its host, and getting a GiB back takes longer than sending one. Without
    this the order of the rounds would decide which way is fastest.
    """
    free = mmap.PAGESIZE * os.sysconf("SC_AVPHYS_PAGES")
    np.empty(min(mebibytes << 20, free // 2), np.uint8)[:: mmap.PAGESIZE] = 1


def measure(quick: bool) -> Section:
    section, size = Section("Uploads and start-up", ABOUT), 128 if quick else 1024
    with tempfile.TemporaryDirectory() as name, ExitStack() as servers:
        folder = Path(name)
        service = servers.enter_context(OwnService(folder / "data"))
        began = time.perf_counter()
        api = service.start_api()
        ready = time.perf_counter() - began
        ways = _tus(service, api, size)
        idle = tree_mib(api)
        ways |= _form(section, servers, folder, size) | _nginx(section, servers, folder, size)
        turns = list(ways.values())
        for _ in range(2 if quick else 4):
            for way in turns:
                way.measure_round()
            turns = [*turns[1:], turns[0]]
    for way in ways.values():
        way.add_row(section)
    seconds = _import_seconds()
    section.add("API ready after its start, an instance that was there before", ready, "s", "it takes connections")
    section.add("API's modules imported, torch not among them", seconds, "s", "median of 5 processes")
    ours, memory = ways["tus"], max(ways["tus"].most_mib, ways["summed"].most_mib) - idle
    section.targets += [
        _over(ours, ways.get("form"), "tus over UploadFile, bytes a second", 1.8,
              why=_bound(ways.get("form"), ways.get("nginx")), absent="make bench-peers was not run"),
        _over(ours, ways.get("nginx"), "tus over nginx's PUT, bytes a second", 0.6, absent="nginx is not here"),
        _over(ways["summed"], ours, "tus with a sha256 checked on the way, over without", 0.6, why=_SUMMED),
        Target("API ready after its start", 5, ready, at_most=True, unit="s"),
        Target("memory that an upload takes", 64, memory, at_most=True, unit="MiB"),
        Target("import of the API", 1, seconds, at_most=True, unit="s"),
    ]  # fmt: skip
    return section


_SUMMED = "; the thread that writes sums, too"


def _over(way: Way, other: Way | None, claim: str, target: float, why: str = "", absent: str = "") -> Target:
    return Target(claim, target, way.speed / other.speed if other else None, why=why, absent=absent)


def _bound(form: Way | None, nginx: Way | None) -> str:
    """Why the plain form comes near us: most of the work is the kernel's, and it flushes nothing."""
    if form is None or nginx is None:
        return ""
    return f"; nginx, in C, is {three_figures(nginx.speed / form.speed)} times as fast as it, and it flushes nothing"


def _tus(service: OwnService, api: int, size: int) -> dict[str, Way]:
    """Without and with a checksum; the server has been warmed up."""
    digest = base64.b64encode(hashlib.sha256(CHUNK * size).digest()).decode()
    send(service.port, _patch(service, 1), b"", 1, b"")

    def prepare(*more: str) -> Callable[[], float]:
        head = _patch(service, size, *more)
        return lambda: send(service.port, head, b"", size, b"")

    return {
        "tus": Way("tus, one PATCH", api, size, prepare),
        "summed": Way("tus, one PATCH, its sha256 checked on the way", api, size,
                      lambda: prepare(f"Upload-Checksum: sha256 {digest}")),
    }  # fmt: skip


def _patch(service: OwnService, mebibytes: int, *more: str) -> bytes:
    """A new upload's PATCH, without its body."""
    metadata = f"filename {base64.b64encode(b'bench.tiff').decode()}"
    length = str(mebibytes << 20)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": length, "Upload-Metadata": metadata}
    place = service.client().call("POST", "/api/v1/uploads", headers=headers).headers["Location"]
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


def _form(section: Section, servers: ExitStack, folder: Path, size: int) -> dict[str, Way]:
    if not Path(peers.python()).exists():
        section.missing.append("FastAPI's UploadFile (make bench-peers was not run)")
        return {}
    port = free_port()
    pid = servers.enter_context(peers.running([peers.python(), "upload_server.py", str(folder), str(port)], port))
    before = b'--bench\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    after = b"\r\n--bench--\r\n"

    def send_body(mebibytes: int) -> float:
        length = (mebibytes << 20) + len(before) + len(after)
        kind = "Content-Type: multipart/form-data; boundary=bench"
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nContent-Length: {length}\r\n\r\n"
        return send(port, head.encode(), before, mebibytes, after)

    send_body(1)
    return {"form": Way("FastAPI's UploadFile", pid, size, lambda: partial(send_body, size))}


def _nginx(section: Section, servers: ExitStack, folder: Path, size: int) -> dict[str, Way]:
    port = free_port()
    server = f"listen 127.0.0.1:{port}; root {folder}; location / {{ dav_methods PUT; client_max_body_size 0; }}"
    command = peers.nginx_or_none(folder, f"client_body_temp_path {folder}/bodies; server {{ {server} }}")
    if command is None:
        section.missing.append("nginx")
        return {}
    pid = servers.enter_context(peers.running(command, port))

    def send_body(mebibytes: int) -> float:
        head = f"PUT /put.bin HTTP/1.1\r\nHost: localhost\r\nContent-Length: {mebibytes << 20}\r\n\r\n"
        return send(port, head.encode(), b"", mebibytes, b"")

    send_body(1)
    return {"nginx": Way("nginx, body to file (PUT)", pid, size, lambda: partial(send_body, size))}


def _import_seconds() -> float:
    timed = "import time; began = time.perf_counter(); import api.app, sys; assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", f"{timed}; print(time.perf_counter() - began)"]
    environment = {**os.environ, "QUARTERTURN_DATA": tempfile.gettempdir()}
    runs = [subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True) for _ in range(5)]
    return sorted(float(done.stdout) for done in runs)[2]
