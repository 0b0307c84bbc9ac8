"""A small client of the public API: resumable upload, analysis, progress."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx

CHUNK = 8 << 20
TUS = {"Tus-Resumable": "1.0.0"}


class ServiceError(Exception):
    """The service refused; the sentence comes from its problem document."""


class Client:
    """Talks to one service with one key."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request. Raises ServiceError for any refusal."""
        answer = self.http.request(method, path, **arguments)
        if answer.status_code >= 400:
            try:
                found = answer.json()
                raise ServiceError(f"{found['detail']} {found.get('action', '')}".strip())
            except (ValueError, KeyError):
                raise ServiceError(f"{method} {path} answered {answer.status_code}") from None
        return answer

    def upload(
        self, path: Path, identifiers: dict[str, str], progress: Callable[[int, int], None] = lambda _a, _b: None
    ) -> str:
        """Send a file by tus; returns the slide's id."""
        size = path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        known = {"filename": path.name, "sha256": digest, "identifiers": json.dumps(identifiers)}
        metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in known.items())
        created = self.call(
            "POST", "/api/v1/uploads", headers={**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
        )
        location, answer = created.headers["Location"], created
        for offset, chunk in _chunks(path):
            headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            answer = self.call("PATCH", location, headers=headers, content=chunk)
            progress(offset + len(chunk), size)
        return answer.headers["Location-Slide"].rsplit("/", 1)[-1]

    def wait_for_slide(self, slide_id: str, seconds: float = 300) -> dict[str, Any]:
        """The slide once it is inspected. Raises ServiceError when it is rejected."""
        slide = self.poll(
            f"/api/v1/slides/{slide_id}", lambda s: s["state"] not in ("uploading", "inspecting"), seconds
        )
        if slide["state"] == "rejected":
            raise ServiceError(f"the slide was rejected: {slide['reason']['detail']}")
        return slide

    def analyse(
        self,
        slide_id: str,
        progress: Callable[[dict[str, Any]], None] = lambda _: None,
        seconds: float = 3600,
        **wanted: Any,
    ) -> dict[str, Any]:
        """Analyse and wait for the end."""
        analysis = self.call("POST", f"/api/v1/slides/{slide_id}/analyses", json=wanted).json()

        def ended(state: dict[str, Any]) -> bool:
            progress(state)
            return state["state"] not in ("queued", "running")

        return self.poll(f"/api/v1/analyses/{analysis['id']}", ended, seconds)

    def wait_for_worker(self, seconds: float = 120) -> None:
        """Until a worker offers a model. Raises ServiceError when none comes."""
        self.poll("/api/v1/models", lambda found: bool(found["models"]), seconds)

    def poll(self, path: str, done: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found: dict[str, Any] = self.call("GET", path).json()
            if done(found):
                return found
            time.sleep(0.3)
        raise ServiceError(f"{path} took longer than {seconds:.0f} s")


def _chunks(path: Path) -> Iterator[tuple[int, bytes]]:
    offset = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield offset, chunk
            offset += len(chunk)
