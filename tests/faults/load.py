"""Clients that use the service during faults: they repeat what was not acknowledged, and record what was."""

import base64
import contextlib
import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx2 as httpx
from heat_maps import NETWORK
from servers import KEY, PATCH

from cli.client import TUS

PATIENCE = 120.0
MOST_UNFINISHED = 5
MOST_SLIDES = 30  # the disk is small
BUSY = (503, 507)  # what may be answered while things are hurt: try again; anything else above 499 is a fault of ours
ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class Acknowledged:
    """What the service acknowledged: slides by picture, analyses by slide, cancelled analyses, deleted slides."""

    slides: dict[str, str] = field(default_factory=dict)
    analyses: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    deleting: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    analysis_count: int = 0  # analyses in all, those of slides deleted since among them
    shrunk: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Patient:
    """Repeats a request until it is answered; a conflict ends it."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=20)

    def call(self, method: str, path: str, **arguments: object) -> httpx.Response:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(httpx.HTTPError, OSError):
                answer = self.http.request(method, path, **arguments)
                if answer.status_code < 500:
                    return answer
                assert answer.status_code in BUSY, (method, path, answer.status_code, answer.text)
            time.sleep(0.2)
        raise AssertionError(f"{method} {path} was not answered within {PATIENCE} s")


Deed = Callable[[Patient, Random], None]


class Load:
    """Threads that upload and analyse until `stop`; pictures: files by name."""

    def __init__(self, url: str, pictures: list[Path], seed: int) -> None:
        self.url, self.pictures, self.acknowledged = url, pictures, Acknowledged()
        self.errors: list[BaseException] = []
        self._over, self._going_on = threading.Event(), threading.Event()
        self._going_on.set()
        people = ((self._upload, (2.0, 5.0)), (self._analyse, (0.2, 1.0)))
        self._turns = [threading.Lock() for _ in people]
        self._threads = []
        for (work, rest), turn in zip(people, self._turns, strict=True):
            about = (work, rest, turn, Random(f"{seed}-{work.__name__}"))
            self._threads.append(threading.Thread(target=self._run, args=about, daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Pauses all clients, after each has ended what it began.

        Raises:
            BaseException: what somebody met since the last pause.
        """
        self._going_on.clear()
        with contextlib.ExitStack() as turns:
            for turn in self._turns:
                assert turn.acquire(timeout=2 * PATIENCE), "a client hangs"
                turns.callback(turn.release)
            if self.errors:
                raise self.errors[0]
            yield
        self._going_on.set()

    def stop(self) -> None:
        """Stops all clients, after each has ended what it began."""
        self._over.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)
            assert not thread.is_alive(), "a client hangs"
        if self.errors:
            raise self.errors[0]

    def _run(self, work: Deed, rest: tuple[float, float], turn: threading.Lock, rng: Random) -> None:
        person = Patient(self.url)
        try:
            while not self._over.is_set():
                with turn:
                    work(person, rng)
                time.sleep(rng.uniform(*rest))
                self._going_on.wait()
        except BaseException as error:  # noqa: BLE001 - raised again by stop()
            self.errors.append(error)

    def _upload(self, person: Patient, rng: Random) -> None:
        path = rng.choice(self.pictures)
        content = path.read_bytes()
        metadata = {"filename": path.name, "sha256": hashlib.sha256(content).hexdigest()}
        metadata_header = ",".join(
            f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items()
        )
        request = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": metadata_header}
        created = person.call("POST", "/api/v1/uploads", headers=request)
        assert created.status_code == 201, created.text
        slide_id = self._send(person, rng, created.headers["Location"], content)
        with self.acknowledged.lock:
            self.acknowledged.slides[slide_id] = path.name

    def _send(self, person: Patient, rng: Random, location: str, content: bytes) -> str:
        """Uploads in pieces from the service's offset, which is never below the acknowledged one."""
        acknowledged = 0
        while True:
            request = person.call("HEAD", location, headers=TUS)
            offset = int(request.headers["Upload-Offset"])
            if offset < acknowledged:
                self.acknowledged.shrunk.append(f"{location}: {offset} after {acknowledged}")
            if "Location-Slide" in request.headers:
                return request.headers["Location-Slide"].rsplit("/", 1)[-1]
            piece = content[offset : offset + rng.randrange(1, 1 + len(content))]
            fields = {**PATCH, "Upload-Offset": str(offset)}
            with contextlib.suppress(httpx.HTTPError, OSError):
                answer = person.http.patch(location, headers=fields, content=piece)
                assert answer.status_code < 500 or answer.status_code in BUSY, (answer.status_code, answer.text)
                if answer.status_code == 204:
                    acknowledged = int(answer.headers["Upload-Offset"])

    def _analyse(self, person: Patient, rng: Random) -> None:
        """Requests an analysis, under one Idempotency-Key until it is acknowledged; cancels some."""
        with self.acknowledged.lock:
            slides = list(self.acknowledged.slides)
            waiting = [one for one in self.acknowledged.analyses if one not in self.acknowledged.cancelled]
        unfinished = [one for one in waiting[-2 * MOST_UNFINISHED :] if self._state(person, one) not in ENDED]
        if len(slides) > MOST_SLIDES:
            self._delete(person, rng.choice(slides))
            return
        if not slides or len(unfinished) >= MOST_UNFINISHED:
            return
        slide_id = rng.choice(slides)
        if person.call("GET", f"/api/v1/slides/{slide_id}").json()["state"] != "ready":
            return
        key = {"Idempotency-Key": str(uuid.uuid4())}
        request = {"rotation_check": rng.random() < 0.2, "model": NETWORK}
        answers = [person.call("POST", f"/api/v1/slides/{slide_id}/analyses", headers=key, json=request)]
        if rng.random() < 0.3:  # sent again, like a client that lost the first answer
            answers.append(person.call("POST", f"/api/v1/slides/{slide_id}/analyses", headers=key, json=request))
        ids = {answer.json()["id"] for answer in answers}
        assert len(ids) == 1, "one key, one analysis"
        analysis_id = ids.pop()
        with self.acknowledged.lock:
            self.acknowledged.analyses[analysis_id] = slide_id
            self.acknowledged.analysis_count += 1
        if rng.random() < 0.1:
            answer = person.call("POST", f"/api/v1/analyses/{analysis_id}/cancel")
            if answer.status_code == 200 and answer.json()["state"] == "cancelled":
                self.acknowledged.cancelled.add(analysis_id)

    def _delete(self, person: Patient, slide_id: str) -> None:
        """Accepts 404: the first request succeeded and its answer was lost."""
        self.acknowledged.deleting.add(slide_id)
        answer = person.call("DELETE", f"/api/v1/slides/{slide_id}")
        assert answer.status_code in (204, 404), answer.text
        with self.acknowledged.lock:
            del self.acknowledged.slides[slide_id]
            ended = [one for one, slide in self.acknowledged.analyses.items() if slide == slide_id]
            for analysis_id in ended:
                del self.acknowledged.analyses[analysis_id]
                self.acknowledged.cancelled.discard(analysis_id)
            self.acknowledged.deleted.add(slide_id)

    @staticmethod
    def _state(person: Patient, analysis_id: str) -> str:
        return str(person.call("GET", f"/api/v1/analyses/{analysis_id}").json()["state"])
