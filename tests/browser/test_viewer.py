"""The viewer in a real browser: upload, progress, overlay, controls without requests, jump."""

import os

import pytest
from playwright.sync_api import expect
from slides import tissue, write_pyramid

pytestmark = [pytest.mark.browser, pytest.mark.services]
SQUARE = (300, 420, 250)  # top, left, side in level-0 px
SETTLED = "() => { const v = window.quarterturn.viewer; return v.world.getItemAt(0)?.getFullyLoaded(); }"


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
