"""Fifty viewers pan a large slide while two uploads and an analysis run: latency of tiles and of status calls."""

import base64
import itertools
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx

from bench.page.tables import Section, Target
from bench.rig.http_client import walk
from bench.rig.service import OwnService, resident_mib
from bench.rig.slides import TILE_PX, write_slide
from cli.client import TUS, Client, ServiceError

ABOUT = """All of this on the same cores at once: fifty viewers on persistent connections, each requesting its next
tile as soon as it has one; two uploads at 10 MiB a second each; one analysis, and its state requested 20 times a
second. An answer that is no success ends the measurement."""
VIEWERS, UPLOADS, UPLOAD_MIB_S, CALLS_A_SECOND = 50, 2, 10, 20
PIECE, LENGTH = 4 << 20, 8 << 30
MOST_GROWTH = 8.0


def measure(quick: bool) -> Section:
    section = Section("A crowd", ABOUT)
    cols, rows, tiles = (32, 24, 4000) if quick else (128, 96, 100_000)
    with tempfile.TemporaryDirectory() as name:
        path = write_slide(Path(name) / "large.tiff", TILE_PX * cols, TILE_PX * rows)
        with OwnService(Path(name) / "data", QUARTERTURN_THREADS="1") as service:
            api = service.start_api()
            service.start("worker")
            client = service.client()
            slide = client.wait_for_slide(client.upload(path, {}))["id"]
            analysis = client.call("POST", f"/api/v1/slides/{slide}/analyses", json={}).json()["id"]
            others = [Upload(service) for _ in range(UPLOADS)]
            status = Polling(service.client(), f"/api/v1/analyses/{analysis}")
            paths = list(itertools.islice(pans(f"/api/v1/slides/{slide}/tiles/0", cols, rows), tiles))
            _walk(section, service, api, paths, [*others, status])
            _add_progress(section, client, analysis, others, status)
    return section


def _walk(section: Section, service: OwnService, api: int, paths: list[str], others: "list[Repeated]") -> None:
    key = f"Authorization: Bearer {service.key}\r\n"
    walk(service.port, paths[: len(paths) // 10], key, VIEWERS)  # opens files and fills caches, which happens once
    before = resident_mib(api)
    for one in others:
        one.start()
    walked = walk(service.port, paths, key, VIEWERS)
    for one in others:
        one.stop()
    grown = resident_mib(api) - before
    section.add("tiles", walked.per_second, "a second", f"{len(paths):,} by {VIEWERS} viewers, none refused")
    section.add("a tile, of a hundred the median", walked.percentile_ms(50), "ms")
    section.add("a tile, of a hundred the slowest", walked.percentile_ms(99), "ms")
    section.add("memory grown over all of these", grown, "MiB", f"{before:.0f} MiB before")
    section.targets.append(Target("memory grown under a crowd", MOST_GROWTH, grown, at_most=True, unit="MiB"))


def _add_progress(section: Section, client: Client, analysis: str, uploads: "list[Upload]", status: "Polling") -> None:
    done = client.call("GET", f"/api/v1/analyses/{analysis}").json()
    progress = done["progress"]
    times_ms = sorted(status.taken_ms)
    section.add("a status call, of a hundred the median", times_ms[len(times_ms) // 2], "ms", f"{len(times_ms)} calls")
    section.add("a status call, of a hundred the slowest", times_ms[int(0.99 * len(times_ms))], "ms")
    section.add("sent meanwhile", sum(one.sent_bytes for one in uploads) / 2**20, "MiB", f"by {UPLOADS} uploads")
    section.add(
        "parts of the analysis done when it ended", progress["done"], "", f"of {progress['total']}: {done['state']}"
    )


def pans(base: str, cols: int, rows: int) -> Iterator[str]:
    """Tile paths in the order of somebody who pans: windows of 5 by 4 tiles, each a step away from the last."""
    rng, x, y = random.Random(0), cols // 2, rows // 2
    while True:
        x = min(max(0, x + rng.randint(-3, 3)), cols - 5)
        y = min(max(0, y + rng.randint(-3, 3)), rows - 4)
        yield from (f"{base}/{x + i}_{y + j}.jpeg" for j in range(4) for i in range(5))


class Repeated(threading.Thread):
    """A thread that repeats something until it is stopped; `stop` raises what went wrong."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over, self._failed, self._well = threading.Event(), list[BaseException](), False

    def repeat(self) -> None:
        """Does one round."""

    def run(self) -> None:
        try:
            while not self._over.is_set():
                self.repeat()
            self._well = True
        except (ServiceError, httpx.HTTPError, OSError) as error:
            self._failed.append(error)

    def stop(self) -> None:
        self._over.set()
        self.join()
        if not self._well:
            raise RuntimeError("an upload or the polling beside the viewers failed") from next(iter(self._failed), None)


class Upload(Repeated):
    """Sends bytes at a fixed rate to an upload that is too long to end meanwhile."""

    def __init__(self, service: OwnService) -> None:
        super().__init__()
        self._client, self.sent_bytes = service.client(), 0
        name = f"filename {base64.b64encode(b'large.svs').decode()}"
        headers = {**TUS, "Upload-Length": str(LENGTH), "Upload-Metadata": name}
        self._place = self._client.call("POST", "/api/v1/uploads", headers=headers).headers["Location"]

    def repeat(self) -> None:
        began = time.monotonic()
        headers = {**TUS, "Upload-Offset": str(self.sent_bytes), "Content-Type": "application/offset+octet-stream"}
        self._client.call("PATCH", self._place, headers=headers, content=bytes(PIECE))
        self.sent_bytes += PIECE
        self._over.wait(max(0.0, PIECE / 2**20 / UPLOAD_MIB_S - (time.monotonic() - began)))


class Polling(Repeated):
    """Requests a path at a fixed rate; `taken_ms`: how long each answer took."""

    def __init__(self, client: Client, path: str) -> None:
        super().__init__()
        self._client, self._path, self.taken_ms = client, path, list[float]()

    def repeat(self) -> None:
        began = time.perf_counter()
        self._client.call("GET", self._path)
        seconds = time.perf_counter() - began
        self.taken_ms.append(1000 * seconds)
        self._over.wait(max(0.0, 1 / CALLS_A_SECOND - seconds))
