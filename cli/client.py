"""A small client of the public API: resumable upload (tus 1.0.0), analysis, progress."""

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2 as httpx

CHUNK = 8 << 20  # bytes of one PATCH
POLL_SECONDS = 0.3
PAGE = 500  # slides of one answer
ESCAPE = "backslashreplace"  # bytes of a file name that are not UTF-8 are sent as \\udcXX
TUS = {"Tus-Resumable": "1.0.0"}


class ServiceError(Exception):
    """The service refused a request, or its answer took too long; the message is a sentence for the user."""


class NotConfigured(ServiceError):
    """The environment does not name a service."""


FAILURES = (ServiceError, httpx.HTTPError, OSError)  # what a command reports as one sentence


class Client:
    """Talks to one service with one API key."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    @classmethod
    def from_environment(cls) -> "Client":
        """Returns a client of the service that QUARTERTURN_URL and QUARTERTURN_KEY name.

        Raises:
            NotConfigured: one of them is not set.
        """
        for name in ("QUARTERTURN_URL", "QUARTERTURN_KEY"):
            if not os.environ.get(name):
                raise NotConfigured(f"set {name}: QUARTERTURN_URL is the service's address, QUARTERTURN_KEY an API key")
        return cls(os.environ["QUARTERTURN_URL"], os.environ["QUARTERTURN_KEY"])

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Sends one request; returns the response.

        Raises:
            ServiceError: the status is 400 or above. The message comes from the problem document (RFC 9457).
            httpx.HTTPError: the service does not answer.
        """
        response = self.http.request(method, path, **arguments)
        if response.status_code >= 400:
            raise ServiceError(_problem(response) or f"{method} {path} answered {response.status_code}")
        return response

    def body(self, method: str, path: str, **arguments: Any) -> Any:
        """Sends one request; returns the body of the answer. Raises as `call`, and ServiceError: it is not JSON."""
        return _json(self.call(method, path, **arguments))

    def find(self, path: str) -> Any:
        """Returns the body of what stands at a path; None where the service says that there is nothing.

        Raises:
            ServiceError: any other status than 200 and 404, or no JSON. httpx.HTTPError: the service does not answer.
        """
        response = self.http.get(path)
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise ServiceError(_problem(response) or f"GET {path} answered {response.status_code}")
        return _json(response)

    def upload(
        self, path: Path, identifiers: dict[str, str], progress: Callable[[int, int], None] = lambda _a, _b: None
    ) -> str:
        """Uploads a file; returns the slide's id. Raises ServiceError.

        Args:
            identifiers: such as {"accession": …, "organ": …}; docs/usage.md lists their names.
            progress: called with (bytes sent, bytes in all).
        """
        size = path.stat().st_size
        if not size:
            raise ServiceError("the file is empty")
        fields = {"filename": path.name, "sha256": file_digest(path), "identifiers": json.dumps(identifiers)}
        # tus: pairs of a name and a base64 value, separated by commas.
        metadata = ",".join(
            f"{name} {base64.b64encode(value.encode(errors=ESCAPE)).decode()}" for name, value in fields.items()
        )
        created = self.call(
            "POST", "/api/v1/uploads", headers={**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
        )
        location, response = urljoin(str(created.url), _header(created, "Location")), created
        for offset, chunk in _chunks(path):
            headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            response = self.call("PATCH", location, headers=headers, content=chunk)
            progress(offset + len(chunk), size)
        return _header(response, "Location-Slide").rsplit("/", 1)[-1]  # the last PATCH names the slide

    def slides(self) -> Iterator[dict[str, Any]]:
        """Yields all slides of the workspace, newest first."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.body("GET", "/api/v1/slides", params={"cursor": cursor, "limit": PAGE})
            yield from page["slides"]
            cursor = page["next_cursor"]

    def find_slide(self, digest: str) -> dict[str, Any] | None:
        """Returns the newest slide whose file has this sha256 and is not refused, or None."""
        return next((slide for slide in self.slides() if is_usable(slide) and digest_of(slide) == digest), None)

    def wait_for_slide(self, slide_id: str, seconds: float = 300) -> dict[str, Any]:
        """Returns the slide once it is inspected. Raises ServiceError when it is rejected."""
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
        **request: Any,
    ) -> dict[str, Any]:
        """Requests an analysis; returns it once it has ended, in whichever state.

        Args:
            progress: called with the analysis at every poll.
            request: fields of the request, such as `model` or `threshold`.
        """
        analysis = self.body("POST", f"/api/v1/slides/{slide_id}/analyses", json=request)
        return self.follow(analysis["id"], progress, seconds)

    def follow(
        self, analysis_id: str, progress: Callable[[dict[str, Any]], None] = lambda _: None, seconds: float = 3600
    ) -> dict[str, Any]:
        """Returns an analysis once it has ended. `progress`: called with it at every poll."""

        def ended(state: dict[str, Any]) -> bool:
            progress(state)
            return state["state"] not in ("queued", "running")

        return self.poll(f"/api/v1/analyses/{analysis_id}", ended, seconds)

    def wait_for_worker(self, seconds: float = 120) -> None:
        """Waits until a worker offers a network. Raises ServiceError when none does."""
        self.poll("/api/v1/models", lambda offers: bool(offers["models"]), seconds)

    def poll(self, path: str, done: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        """Gets a path until `done` says so; returns the last body. Raises ServiceError when it takes too long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            body: dict[str, Any] = self.body("GET", path)
            if done(body):
                return body
            time.sleep(POLL_SECONDS)
        raise ServiceError(f"{path} took longer than {seconds:.0f} s")


def _problem(response: httpx.Response) -> str | None:
    """The sentence of a problem document (RFC 9457); None when the answer is none, such as a proxy's page."""
    try:
        problem = response.json()
        return f"{problem['detail']} {problem.get('action', '')}".strip()
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:  # a proxy's page, or an answer that was cut off
        detail = f"answered {response.status_code} with a body that is not JSON"
        raise ServiceError(f"{response.request.method} {response.request.url.path} {detail}") from None


def _header(response: httpx.Response, name: str) -> str:
    """A header that the service sends. Raises ServiceError where it is missing, as behind some proxies."""
    if name not in response.headers:
        request = response.request
        raise ServiceError(f"{request.method} {request.url.path} answered without the header {name}")
    return str(response.headers[name])


def failure(analysis: dict[str, Any]) -> str | None:
    """Returns why an ended analysis has no results to show, as a sentence; None when it has."""
    if analysis["state"] == "succeeded" and not analysis["withheld"]:
        return None
    if analysis["withheld"]:
        return f"the results are withheld: {analysis['withheld']['detail']}"
    reason = (analysis["reason"] or {}).get("detail")
    return f"the analysis failed: {reason}" if reason else "the analysis was cancelled"


def file_digest(path: Path) -> str:
    """Returns a file's sha256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(slide: dict[str, Any]) -> str | None:
    """Returns the sha256 of a slide's file: as it was inspected, or before that as it was declared."""
    digest: str | None = slide["sha256"] or slide["declared_sha256"]
    return digest


def is_usable(slide: dict[str, Any]) -> bool:
    """Returns whether the service has the slide's file: it was not refused, and its bytes are all there."""
    return slide["state"] in ("inspecting", "needs_input", "ready")


def _chunks(path: Path) -> Iterator[tuple[int, bytes]]:
    offset = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield offset, chunk
            offset += len(chunk)
