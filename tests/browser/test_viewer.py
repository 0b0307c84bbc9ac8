"""The viewer in a real browser: upload, progress, overlay, controls without requests, jump, alignment in pixels."""

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from servers import KEY, Service
from slides import tissue, write_pyramid

from core.geometry import Frame

pytestmark = [pytest.mark.browser, pytest.mark.services]
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
SQUARE = (300, 420, 250)  # top, left, side in level-0 px
SETTLED = "() => { const v = window.quarterturn.viewer; return v.world.getItemAt(0)?.getFullyLoaded(); }"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    running = Service(tmp_path_factory.mktemp("browser") / "data", {})
    running.start_api()
    running.start_worker()
    running.wait_for_worker()
    yield running
    running.stop()


@pytest.fixture
def page(service):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(60_000)
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(service.url)
        page.fill("#key", KEY)
        page.click("#sign-in button")
        page.wait_for_selector("#content:not([hidden])")
        yield page
        browser.close()
        assert faults == []


def test_from_drop_to_region(page, service, tmp_path):
    path = write_pyramid(tmp_path / "lymph node.tiff", tissue(911, 1237, [SQUARE]), 0.25, (2, 4))
    page.set_input_files("#files", path)
    page.click("li.slide:has-text('lymph node.tiff') a.button")
    expect(page.locator("#state")).to_have_text("Not analysed yet.")
    page.click("#analyse")
    page.wait_for_selector("#progress:not([hidden])")
    page.wait_for_selector("#layer:not([hidden])", state="visible")
    expect(page.locator("#selftest")).to_contain_text("does not say that a score is right")
    expect(page.locator("#banner")).to_contain_text("organ is not stated")
    page.wait_for_function(SETTLED)
    page.wait_for_load_state("networkidle")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for control, value in (("threshold", "0.01"), ("opacity", "1"), ("threshold", "0"), ("opacity", "0.5")):
        page.locator(f"#{control}").fill(value)
    page.select_option("#colours", "magma")
    expect(page.locator("#opacity-value")).to_have_text("50 %")
    page.wait_for_timeout(300)
    assert asked == [], "changing colours asks the service for nothing"


def test_the_overlay_lies_on_the_slide(page, service, tmp_path):
    """The drawn heat map's rectangle and cells against the slide's own pixels on the screen, within one cell."""
    client, height, width, mpp = service.client(), 911, 1237, 0.25
    path = write_pyramid(tmp_path / "odd.tiff", tissue(height, width, [SQUARE]), mpp, (2, 4))
    slide = client.wait_for_slide(client.upload(path, {}))
    client.analyse(slide["id"], tissue="auto", threshold=0.001)
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.wait_for_selector("#layer:not([hidden])", state="visible")
    page.wait_for_function(SETTLED)
    page.locator("#threshold").fill("0")
    page.locator("#opacity").fill("1")
    page.wait_for_timeout(300)
    covered = picture(page)
    page.locator("#opacity").fill("0")
    page.wait_for_timeout(300)
    bare = picture(page)
    frame = Frame.of(width, height, mpp, mpp)
    cell_px = frame.affine_to_l0()[0] * screen_scale(page)
    dense = dark_violet(bare)
    assert dense.sum() > 500, "the planted square is seen"
    changed = np.abs(covered - bare).max(-1) > 8
    tissue_box, heat_box = box(pinkish(bare)), box(changed)
    for seen, drawn in zip(tissue_box, heat_box, strict=True):
        assert abs(seen - drawn) <= 2.1 * cell_px, (tissue_box, heat_box, cell_px)


def test_a_region_is_jumped_to(page, service, test_data):
    client = service.client()
    slide = client.wait_for_slide(client.upload(test_data / "slides" / "CMU-1-Small-Region.svs", {"organ": "skin"}))
    client.analyse(slide["id"])
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.wait_for_selector("#found:not([hidden])", state="visible")
    page.wait_for_function(SETTLED)
    expect(page.locator("#banner")).to_contain_text("Outside the network's scope")
    if os.environ.get("QUARTERTURN_SCREENSHOT"):
        page.wait_for_timeout(800)
        page.screenshot(path=os.environ["QUARTERTURN_SCREENSHOT"])
    before = page.evaluate("() => window.quarterturn.viewer.viewport.getZoom()")
    page.click("#regions li:nth-child(2) button")
    page.wait_for_timeout(1500)
    assert page.evaluate("() => window.quarterturn.viewer.viewport.getZoom()") > before
    assert page.locator(".outline").count() == 1


def picture(page):
    content = page.locator("#slide").screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int)
    return pixels[140:-60, 140:-220]  # without the navigator and the scale bar


def screen_scale(page):
    """Screen pixels per level-0 pixel."""
    return page.evaluate(
        "() => { const v = window.quarterturn.viewer; "
        "return v.world.getItemAt(0).viewportToImageZoom(v.viewport.getZoom(true)); }"
    )


def pinkish(pixels):
    return pixels.max(-1) - pixels.min(-1) > 40


def dark_violet(pixels):
    return (pixels[..., 0] < 140) & (pixels[..., 2] > 90) & (pixels[..., 1] < 110)


def box(mask):
    rows, cols = np.nonzero(mask)
    return rows.min(), rows.max(), cols.min(), cols.max()
