"""Invariants after the faults: nothing acknowledged is lost, and no answer is untrue."""

import contextlib
import hashlib
import time
from pathlib import Path

import httpx2 as httpx
import numpy as np
from heat_maps import NETWORK, planes
from numpy.typing import NDArray
from servers import until

from faults.load import ENDED, Acknowledged
from faults.scene import Scene

CALM_SECONDS = 120.0
References = dict[str, NDArray[np.float32]]


def reference_of(scene: Scene, picture: Path) -> NDArray[np.float32]:
    """The planes of a picture's cells on a service without faults."""
    client = scene.service.client()
    slide = client.wait_for_slide(client.upload(picture, {}))
    analysis = client.analyse(slide["id"], rotation_check=False, model=NETWORK)
    assert analysis["state"] == "succeeded", analysis
    return planes(client, analysis["id"])


def check_all(scene: Scene, acknowledged: Acknowledged, pictures: dict[str, Path], references: References) -> None:
    """Repairs every fault, waits for the end of all work, and checks everything.

    Raises:
        AssertionError: what does not hold.
    """
    scene.heal()
    wait_until_calm(scene, acknowledged)
    check(scene, acknowledged, pictures, references)


def wait_until_calm(scene: Scene, acknowledged: Acknowledged) -> None:
    """Every slide is inspected, every analysis has ended."""
    client, end = scene.service.client(), time.monotonic() + CALM_SECONDS
    waiting = [f"slides/{one}" for one in acknowledged.slides] + [f"analyses/{one}" for one in acknowledged.analyses]
    while waiting and time.monotonic() < end:
        scene.heal()
        with contextlib.suppress(httpx.HTTPError):
            states = {one: client.call("GET", f"/api/v1/{one}").json()["state"] for one in waiting}
            waiting = [one for one, state in states.items() if state not in (*ENDED, "ready")]
        time.sleep(1)
    unfinished = "SELECT kind, state, attempts, token, worker, lease_until, reason FROM work WHERE state IN "
    assert not waiting, (waiting, scene.service.rows(unfinished + "('open', 'claimed')"))


def check(scene: Scene, acknowledged: Acknowledged, pictures: dict[str, Path], references: References) -> None:
    """Raises AssertionError with the invariant that is broken."""
    assert not acknowledged.shrunk, acknowledged.shrunk
    _check_slides(scene, acknowledged, pictures)
    _check_analyses(scene, acknowledged, references)
    _check_nothing_more(scene, acknowledged, len(references))
    _check_files(scene)
    _check_audit(scene, acknowledged)
    assert "unhandled exception" not in (scene.service.data / "api.log").read_text()


def check_bytes(scene: Scene, acknowledged: Acknowledged, pictures: dict[str, Path]) -> None:
    """Checks during the faults that every acknowledged slide has every byte, unless a client deletes it."""
    with acknowledged.lock:
        slides = dict(acknowledged.slides)
    for slide_id, name in slides.items():
        states = list((scene.service.data / "slides" / slide_id).glob("slide*"))
        with contextlib.suppress(FileNotFoundError):
            if states and states[0].read_bytes() == pictures[name].read_bytes():
                continue
        assert slide_id in acknowledged.deleting, f"slide {slide_id} is not what was acknowledged"


def _check_slides(scene: Scene, acknowledged: Acknowledged, pictures: dict[str, Path]) -> None:
    for slide_id in acknowledged.deleted:
        until(lambda deleted=slide_id: not (scene.service.data / "slides" / deleted).exists())
    for slide_id, name in acknowledged.slides.items():
        (file,) = (scene.service.data / "slides" / slide_id).glob("slide*")
        same = hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(pictures[name].read_bytes()).digest()
        assert same, f"slide {slide_id} is not what was acknowledged"


def _check_analyses(scene: Scene, acknowledged: Acknowledged, references: References) -> None:
    client = scene.service.client()
    for analysis_id, slide_id in acknowledged.analyses.items():
        states = client.call("GET", f"/api/v1/analyses/{analysis_id}").json()
        if analysis_id in acknowledged.cancelled:
            assert states["state"] == "cancelled", states
            continue
        assert states["state"] == "succeeded", states
        rows = scene.service.rows(
            "SELECT ordinal, state FROM work WHERE analysis_id = :id AND kind = 'band' ORDER BY ordinal",
            id=analysis_id,
        )
        assert [ordinal for ordinal, _ in rows] == list(range(len(rows))), "each band once"
        assert {state for _, state in rows} == {"done"}
        expected = references[acknowledged.slides[slide_id]]
        assert np.array_equal(planes(client, analysis_id), expected, equal_nan=True), f"{analysis_id}: other bits"


def _check_nothing_more(scene: Scene, acknowledged: Acknowledged, before: int) -> None:
    """Each acknowledged request has exactly one analysis, and no work is left, also none of deleted slides."""
    rows = scene.service.rows("SELECT state FROM analyses")
    assert len(rows) == acknowledged.analysis_count + before, "an analysis for every acknowledged request, and no other"
    assert {state for (state,) in rows} <= {"succeeded", "cancelled"}
    assert not scene.service.rows("SELECT kind, state FROM work WHERE state IN ('open', 'claimed')")


def _check_files(scene: Scene) -> None:
    """Every folder belongs to a slide that exists; no partial file is left."""
    time.sleep(1)
    alive = {row[0] for row in scene.service.rows("SELECT id FROM slides WHERE state <> 'deleted'")}
    folders = {path.name for path in (scene.service.data / "slides").iterdir()}
    assert not {one for one in folders - alive if not _holds_nothing(scene, one)}, "orphans"
    assert not list((scene.service.data / "slides").glob("*/*.part"))


def _holds_nothing(scene: Scene, slide_id: str) -> bool:
    """An upload whose creation was not acknowledged may leave an empty file, which is swept after a while."""
    return not sum(path.stat().st_size for path in (scene.service.data / "slides" / slide_id).iterdir())


def _check_audit(scene: Scene, acknowledged: Acknowledged) -> None:
    """The audit's chain is intact and has one row for every acknowledged change."""
    client = scene.service.client()
    assert client.call("GET", "/api/v1/audit/check").json()["holds"]
    entries = scene.service.rows("SELECT action, subject FROM audit")
    for action, subjects in (
        ("upload.create", acknowledged.slides), ("upload.finish", acknowledged.slides),
        ("analysis.create", acknowledged.analyses),
        ("analysis.cancel", acknowledged.cancelled), ("slide.delete", acknowledged.deleted),
    ):  # fmt: skip
        for subject in subjects:
            assert entries.count((action, subject)) == 1, (action, subject)
