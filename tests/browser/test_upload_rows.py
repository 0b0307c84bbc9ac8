"""Uploads on the page of slides: digests, pause, resumption with the same bytes only, cancelling."""

import base64
import hashlib
import os

import numpy as np
import pytest
from playwright.sync_api import expect
from slides import tissue, write_pyramid

pytestmark = [pytest.mark.browser, pytest.mark.services]
LATE_DIGESTS = """() => {
  const released = new Promise((resolve) => { window.release = resolve; });
  window.Worker = class extends Worker {
    postMessage(...values) { released.then(() => super.postMessage(...values)); }
  };
}"""
UPLOADS = """async (action) => {
  const { store } = await import("/static/slides/main.js");
  const panel = await import("/static/slides/panels/uploads.js");
  panel[action](document.querySelector("[data-panel=uploads]"), store);
}"""


def row(page, name):
    return page.locator(f"[data-part=slides] li.slide:has-text('{name}')")


def reload(page):
    """Reloads the page, and waits until it takes files."""
    page.reload()
    page.wait_for_selector("[data-panel=uploads]:not([hidden])")


def test_paused_upload_resumes_without_loss(page, service, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1300, 1700, 3), dtype=np.uint8)
    path = write_pyramid(tmp_path / "large.tiff", noise, 0.5)
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 5, "downloadThroughput": -1, "uploadThroughput": 1_500_000}
    network.send("Network.emulateNetworkConditions", slow)
    page.set_input_files("[data-part=files]", path)
    sending = page.locator("[data-part=uploads] li:has-text('large.tiff')")
    page.wait_for_function("() => (document.querySelector('[data-part=uploads] progress')?.value ?? 0) > 1e6")
    sending.get_by_role("button", name="Pause").click()
    expect(sending.locator(".facts")).to_have_text("paused")
    stored = page.evaluate("JSON.stringify({...localStorage})")
    assert "/api/v1/uploads/" in stored, "an upload can be resumed after the page was closed"
    assert "large" not in stored, "the file's name, which may be a patient's, is not stored in the browser"
    progress = page.locator("[data-part=uploads] progress").evaluate("(bar) => bar.value")
    page.wait_for_timeout(700)
    assert page.locator("[data-part=uploads] progress").evaluate("(bar) => bar.value") == progress < path.stat().st_size
    network.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    sending.get_by_role("button", name="Resume").click()
    expect(row(page, "large.tiff").locator(".state")).to_have_text("ready")
    expect(sending).to_have_count(0)
    (slide,) = service.client().call("GET", "/api/v1/slides", params={"query": "large.tiff"}).json()["slides"]
    assert slide["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


SLOW = {"offline": False, "latency": 5, "downloadThroughput": -1, "uploadThroughput": 1_500_000}


def noisy(path, seed):
    """A slide of some megabytes. Those of two seeds have one size and time, and other bytes."""
    noise = np.random.default_rng(seed).integers(0, 256, (1300, 1700, 3), dtype=np.uint8)
    write_pyramid(path, noise, 0.5)
    path.write_bytes(path.read_bytes().ljust(7_000_000, b"\0"))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def test_an_upload_is_resumed_with_the_same_bytes_only(page, service, tmp_path):
    """Another file of the same name, size and date is sent by itself. The first one goes on where it stopped."""
    paths = [tmp_path / folder / "twin.tiff" for folder in ("first", "other")]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        noisy(path, seed)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    network = page.context.new_cdp_session(page)
    network.send("Network.emulateNetworkConditions", SLOW)
    page.set_input_files("[data-part=files]", paths[0])
    page.wait_for_function("() => (document.querySelector('[data-part=uploads] progress')?.value ?? 0) > 1e6")
    page.locator("[data-part=uploads]").get_by_role("button", name="Pause").click()
    expect(page.locator("[data-part=uploads] .facts").first).to_have_text("paused")
    reload(page)
    network.send("Network.emulateNetworkConditions", {**SLOW, "uploadThroughput": -1})
    requests = []
    page.on("request", lambda request: requests.append(request) if "/api/v1/uploads" in request.url else None)
    page.route("**/api/v1/uploads/*", lambda route: None)  # the row stays
    with page.expect_request(lambda request: request.method == "PATCH"):  # the page has stored the upload's address
        page.set_input_files("[data-part=files]", paths[1])
    expect(page.locator("[data-part=uploads] li")).to_contain_text(
        "This one has another SHA-256 and is sent by itself."
    )
    page.unroute_all()
    reload(page)
    (created,) = [request for request in requests if request.method == "POST"]
    metadata = dict(pair.split(" ") for pair in created.headers["upload-metadata"].split(","))
    assert base64.b64decode(metadata["sha256"]).decode() == digests[1]
    requests.clear()
    page.set_input_files("[data-part=files]", paths)
    expect(row(page, "twin.tiff").locator(".state.ready")).to_have_count(2)
    heads = [request for request in requests if request.method == "HEAD"]
    named = {base64.b64decode(head.headers["upload-metadata"].split(" ")[1]).decode() for head in heads}
    assert named == set(digests), "a request that resumes names its file"
    assert [request.method for request in requests if request.method == "POST"] == []
    slides = service.client().call("GET", "/api/v1/slides", params={"query": "twin.tiff"}).json()["slides"]
    ready = [service.client().wait_for_slide(slide["id"]) for slide in slides]
    assert {slide["sha256"] for slide in ready} == set(digests)


def test_an_upload_without_a_digest_says_why(page, service, tmp_path):
    page.add_init_script("delete window.Worker")
    reload(page)
    requests = []
    page.on("request", lambda request: requests.append(request) if request.method == "POST" else None)
    page.route("**/api/v1/uploads/*", lambda route: None)
    path = write_pyramid(tmp_path / "no worker.tiff", tissue(500, 600), 0.5)
    page.set_input_files("[data-part=files]", path)
    sending = page.locator("[data-part=uploads] li")
    expect(sending).to_contain_text("Sent without its SHA-256")
    expect(sending).to_contain_text("this browser runs no web workers")
    page.unroute_all()
    reload(page)
    page.set_input_files("[data-part=files]", path)
    expect(row(page, "no worker.tiff").locator(".state").get_by_text("ready", exact=True).first).to_be_visible()
    assert all("sha256" not in request.headers.get("upload-metadata", "") for request in requests)


def test_a_file_that_cannot_be_read_is_tried_again(page, tmp_path):
    path = noisy(tmp_path / "moved.tiff", 3)
    page.add_init_script(f"({LATE_DIGESTS})()")
    reload(page)
    page.set_input_files("[data-part=files]", path)
    sending = page.locator("[data-part=uploads] li")
    expect(sending).to_have_count(1)
    path.rename(tmp_path / "elsewhere.tiff")
    page.evaluate("window.release()")
    expect(sending.locator(".reason")).to_contain_text("moved or changed since it was chosen")
    (tmp_path / "elsewhere.tiff").rename(path)
    sending.get_by_role("button", name="Try again").click()
    expect(row(page, "moved.tiff").locator(".state")).to_have_text("ready")


def test_cancelled_upload_leaves_nothing(page, service, tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (1300, 1700, 3), dtype=np.uint8)
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 5, "downloadThroughput": -1, "uploadThroughput": 1_500_000}
    network.send("Network.emulateNetworkConditions", slow)
    before = set((service.data / "slides").iterdir())
    page.set_input_files("[data-part=files]", write_pyramid(tmp_path / "given up.tiff", noise, 0.5))
    page.wait_for_function("() => (document.querySelector('[data-part=uploads] progress')?.value ?? 0) > 5e5")
    page.locator("[data-part=uploads] li").get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-part=uploads] li")).to_have_count(0)
    expect(page.locator("[data-part=slides]")).not_to_contain_text("given up.tiff")
    assert set((service.data / "slides").iterdir()) == before


@pytest.mark.parametrize("action", ["Cancel", "Pause", "unmount"])
def test_an_upload_that_is_stopped_before_it_begins_sends_nothing(page, service, tmp_path, action):
    """The file's digest, by which an earlier upload is found, is still being computed when the visitor decides."""
    page.add_init_script(f"({LATE_DIGESTS})()")
    reload(page)
    path = write_pyramid(tmp_path / f"{action}.tiff", tissue(500, 600), 0.5)
    page.set_input_files("[data-part=files]", path)
    sending = page.locator("[data-part=uploads] li")
    expect(sending).to_have_count(1)
    created = []
    page.on("request", lambda request: created.append(request.url) if request.method == "POST" else None)
    if action == "unmount":
        page.evaluate(UPLOADS, "unmount")
        page.evaluate(UPLOADS, "mount")
    else:
        sending.get_by_role("button", name=action).click()
    page.evaluate("window.release()")
    page.set_input_files("[data-part=files]", write_pyramid(tmp_path / f"after {action}.tiff", tissue(510, 600), 0.5))
    expect(row(page, f"after {action}.tiff").locator(".state")).to_have_text("ready")
    assert len([url for url in created if url.endswith("/uploads")]) == 1
    if action == "Pause":
        sending.get_by_role("button", name="Resume").click()
        expect(row(page, "Pause.tiff").first).to_contain_text("ready")
