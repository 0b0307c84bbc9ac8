"""The viewer in a browser: upload, progress, overlay, controls without requests, jumps to regions."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from heat_maps import NETWORK
from playwright.sync_api import expect
from servers import PATIENCE
from slides import tissue, write_pyramid

pytestmark = [pytest.mark.browser, pytest.mark.services]
SQUARE = (300, 420, 250)  # top, left, side in level-0 px
SETTLED = "() => { const v = window.quarterturn.viewer; return v?.world.getItemAt(0)?.getFullyLoaded(); }"


def collect_requests(page):
    """A list that fills with the addresses which the page requests. The browser asks for its icon when it likes."""
    requests = []
    page.on("request", lambda request: requests.append(request.url) if "/icon" not in request.url else None)
    return requests


def test_viewer_leads_from_upload_to_a_region(page, settle, service, tmp_path):
    path = write_pyramid(tmp_path / "lymph node.tiff", tissue(911, 1237, [SQUARE]), 0.25, (2, 4))
    page.set_input_files("[data-part=files]", path)
    page.click("li.slide:has-text('lymph node.tiff') a.button")
    expect(page.locator("[data-part=state]")).to_have_text("Not analysed yet.")
    page.click("[data-part=analyse]")
    page.wait_for_selector("[data-part=progress]:not([hidden])")
    page.wait_for_selector("[data-part=layer]:not([hidden])", state="visible")
    expect(page.locator("[data-part=selftest]")).to_contain_text("does not say that a score is right")
    expect(page.locator("[data-panel=banner]")).to_contain_text("organ of this slide is not stated")
    page.wait_for_function(SETTLED)
    page.wait_for_load_state("networkidle")
    requests = collect_requests(page)
    for control, value in (("threshold", "0.01"), ("opacity", "1"), ("threshold", "0"), ("opacity", "0.5")):
        page.locator(f"[data-part={control}]").fill(value)
    page.select_option("[data-part=colours]", "magma")
    expect(page.locator("[data-part=opacity-value]")).to_have_text("50 %")
    settle()
    assert requests == [], "changing colours sends no request"


def test_viewer_cancels_retries_and_has_keyboard_shortcuts(page, service, tmp_path):
    client = service.client()
    path = write_pyramid(tmp_path / "keys.tiff", tissue(1000, 1200, [SQUARE]), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.get_by_label("Analyse the whole slide").check()
    page.click("[data-part=analyse]")
    page.click("[data-part=cancel]")
    expect(page.locator("[data-part=state]")).to_have_text("Cancelled.")
    page.click("[data-part=retry]")
    expect(page.locator("[data-part=state]")).to_contain_text("Running")
    page.wait_for_selector("[data-part=layer]:not([hidden])", state="visible")
    expect(page.locator("[data-part=state]")).to_have_text("Done. Preliminary.")
    page.keyboard.press("?")
    expect(page.locator("[data-part=keys]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("[data-part=keys]")).to_be_hidden()
    heat = page.locator("canvas.heat")
    page.keyboard.press("h")
    expect(heat).to_be_hidden()
    page.keyboard.press("h")
    expect(heat).to_be_visible()
    box = page.locator("[data-part=slide]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("[data-part=pointer]")).to_contain_text("score 0.")
    page.keyboard.press("p")
    expect(page.locator("[data-part=profile]")).to_be_visible()
    expect(page.locator("[data-part=angle-text]")).to_contain_text("quarter turns differ by")


def test_the_tissue_mask_is_a_layer_without_an_analysis(page, service, tmp_path):
    picture = np.full((1000, 1900, 3), 244, np.uint8)
    picture[:, :1200] = tissue(1000, 1200)
    picture[100:900, 1500:1700] = (30, 160, 70)  # a stroke of green pen
    client = service.client()
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "pen.tiff", picture, 0.5), {}))
    page.goto(f"{service.url}/slides/{slide['id']}")
    box, mask = page.get_by_label("Shade what counts as glass or ink"), page.locator("canvas.mask")
    expect(box).not_to_be_checked()
    box.check()
    expect(mask).to_be_visible()
    kinds = page.locator("[data-part=kinds] li")
    expect(kinds).to_contain_text(["glass:", "tissue:", "ink:"])
    expect(kinds.nth(1)).to_contain_text("analysed")
    page.locator("[data-part=slide]").focus()
    page.keyboard.press("t")
    expect(mask).to_have_count(0)
    expect(kinds).to_have_count(0)
    expect(box).not_to_be_checked()
    page.keyboard.press("t")
    expect(mask).to_be_visible()


def test_switching_analyses_clears_the_previous_one(page, service, tmp_path):
    """While it runs, and when it is withheld, no heat map, region or export of the earlier one is visible."""
    client = service.client()
    path = write_pyramid(tmp_path / "twice.tiff", tissue(1500, 1700, [SQUARE]), 0.5)
    slide = client.wait_for_slide(client.upload(path, {"organ": "lymph node"}))
    client.analyse(slide["id"], threshold=0.001)
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.wait_for_selector("[data-part=layer]:not([hidden])", state="visible")
    assert page.locator("canvas.heat").count() == 1
    page.click("[data-part=analyse]")
    expect(page.locator("[data-part=cancel]")).to_be_visible()
    for part in ("[data-part=layer]", "[data-part=results]", "[data-part=facts]", "[data-part=angles]"):
        expect(page.locator(part)).to_be_hidden()
    assert page.locator("canvas.heat").count() == 0
    assert page.locator("[data-part=regions] li").count() == 0
    page.click("[data-part=cancel]")
    expect(page.locator("[data-part=state]")).to_have_text("Cancelled.")
    expect(page.locator("[data-part=layer]")).to_be_hidden()


def analysed(client, tmp_path):
    path = write_pyramid(tmp_path / "small.tiff", tissue(700, 900, [SQUARE]), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    client.analyse(slide["id"], rotation_check=False)
    return slide


def test_tap_measures_a_cell(page, service, tmp_path):
    slide = analysed(service.client(), tmp_path)
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.wait_for_selector("[data-part=angles]:not([hidden])", state="visible")
    expect(page.locator("[data-part=measure]")).to_be_disabled()
    box = page.locator("[data-part=slide]").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + 20)
    page.click("[data-part=measure]")
    expect(page.locator("[data-part=angle-text]")).to_contain_text("quarter turns differ by")


def test_a_failed_measurement_leaves_nothing_of_an_earlier_one(page, chromium, service, tmp_path):
    chromium.expect_errors(r"status of 503 .*/profiles")
    slide = analysed(service.client(), tmp_path)
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.wait_for_selector("[data-part=angles]:not([hidden])", state="visible")
    box = page.locator("[data-part=slide]").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + 20)
    page.click("[data-part=measure]")
    expect(page.locator("[data-part=profile]")).to_be_visible()
    waiting = []
    page.route("**/profiles", lambda route: waiting.append(route))
    page.click("[data-part=measure]")
    expect(page.locator("[data-part=angle-text]")).to_contain_text("Measuring cell")
    expect(page.locator("[data-part=profile]")).to_be_hidden()
    waiting[0].fulfill(status=503, json={"detail": "the service is busy"})
    expect(page.locator("[data-part=error]")).to_contain_text("the service is busy")
    expect(page.locator("[data-part=angle-text]")).to_be_hidden()
    expect(page.locator("[data-part=angle-help]")).to_be_visible()


def test_progress_goes_on_after_a_refused_stream(page, chromium, service, tmp_path):
    """A browser gives up a stream that is refused. The viewer says so, and follows the analysis again."""
    chromium.expect_errors(r"status of 503 .*/api/v1/analyses/")
    client = service.client()
    slide = client.wait_for_slide(
        client.upload(write_pyramid(tmp_path / "stream.tiff", tissue(700, 900, [SQUARE]), 0.5), {})
    )
    page.goto(f"{service.url}/slides/{slide['id']}")
    refused = {"status": 503, "json": {"detail": "the service is busy"}}
    page.route("**/api/v1/analyses/*/events", lambda route: route.fulfill(**refused))
    page.route(re.compile(r"/api/v1/analyses/[^/]+$"), lambda route: route.fulfill(**refused))
    page.click("[data-part=analyse]")
    expect(page.locator("[data-part=error]")).to_contain_text("the service is busy")
    page.unroute_all()
    expect(page.locator("[data-part=state]")).to_have_text("Done. Preliminary.")
    expect(page.locator("[data-part=error]")).to_be_hidden()


def test_a_dead_sign_in_link_to_a_slide_says_its_reason(page, chromium, service, tmp_path):
    slide = analysed(service.client(), tmp_path)
    stranger = chromium.new_page()
    stranger.goto(f"{service.url}/slides/{slide['id']}#token=dead")
    expect(stranger.locator("[data-part=error]")).to_contain_text("This sign-in link is no longer valid")
    assert stranger.url == f"{service.url}/slides/{slide['id']}"
    page.goto(f"{service.url}/slides/{slide['id']}#token=dead")
    expect(page.locator("[data-part=layer]")).to_be_visible()
    expect(page.locator("[data-part=error]")).to_contain_text("This sign-in link is no longer valid")


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1024, 768), (768, 1024), (400, 800)])
def test_pages_fit_small_screens(page, service, tmp_path, width, height):
    """At the size of a laptop, of a tablet either way up and of a phone: no sideways scrolling, large controls."""
    slide = analysed(service.client(), tmp_path)
    page.set_viewport_size({"width": width, "height": height})
    for path in ("/", f"/slides/{slide['id']}"):
        page.goto(service.url + path)
        page.wait_for_load_state("networkidle")
        if path != "/":
            page.wait_for_selector("[data-part=layer]:not([hidden])", state="visible")
            stage = page.locator("[data-part=slide]").bounding_box()
            assert stage["width"] >= 0.7 * min(width, 900)
            assert stage["height"] >= 0.4 * height
            page.locator("[data-part=regions], [data-part=summary]").first.scroll_into_view_if_needed()
        if os.environ.get("QUARTERTURN_SCREENSHOTS"):
            name = f"{width}x{height}{'-slide' if path != '/' else ''}.png"
            page.screenshot(path=Path(os.environ["QUARTERTURN_SCREENSHOTS"]) / name)
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        within = (
            "() => [...document.querySelectorAll('.panel')].every((panel) => panel.scrollWidth <= panel.clientWidth)"
        )
        assert page.evaluate(within), "no panel is cut off, however long a network's name is"
        for button in page.locator("button:visible").all():
            assert button.bounding_box()["height"] >= 30


def test_region_button_moves_the_view(page, service, test_data):
    client = service.client()
    slide = client.wait_for_slide(client.upload(test_data / "slides" / "CMU-1-Small-Region.svs", {"organ": "skin"}))
    client.analyse(slide["id"], model=NETWORK)
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.wait_for_selector("[data-part=results]:not([hidden])", state="visible")
    page.wait_for_function(SETTLED)
    expect(page.locator("[data-panel=banner]")).to_contain_text("Outside the network's scope")
    if os.environ.get("QUARTERTURN_SCREENSHOT"):
        page.wait_for_timeout(800)
        page.screenshot(path=os.environ["QUARTERTURN_SCREENSHOT"])
    before = page.evaluate("() => window.quarterturn.viewer.viewport.getZoom()")
    page.click("[data-part=regions] li:nth-child(2) button")
    page.wait_for_function(f"() => window.quarterturn.viewer.viewport.getZoom() > {before}")
    expect(page.locator(".outline")).to_have_count(1)


def test_strangeness_is_a_separate_layer(page, service, test_data):
    """The layer is fetched once, when it is first chosen; its limit is in the middle; scores return unchanged."""
    client = service.client()
    slide = client.wait_for_slide(client.upload(test_data / "slides" / "CMU-1-Small-Region.svs", {"organ": "skin"}))
    analysis = client.analyse(slide["id"], rotation_check=False, model=NETWORK)
    share = analysis["results"]["familiarity"]["unfamiliar_share"]
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.wait_for_selector("[data-part=kind-choice]:not([hidden])", state="visible")
    expect(page.locator("[data-part=familiarity]")).to_contain_text(
        f"{100 * share:.0f} % of the analysed tissue looks unlike"
    )
    expect(page.locator("[data-part=kind-about]")).to_contain_text("a score of 0.90 is worth 0.")
    page.keyboard.press("h")
    expect(page.locator("canvas.heat")).to_be_hidden()
    requests = collect_requests(page)
    with page.expect_response("**/heatmap?dtype=uint8&quantity=strangeness"):
        page.select_option("[data-part=kind]", "strangeness")
    expect(page.locator("[data-part=legend-low]")).to_have_text("familiar")
    expect(page.locator("[data-part=threshold-value]")).to_have_text("0.50")
    if os.environ.get("QUARTERTURN_SCREENSHOTS"):
        page.wait_for_timeout(800)
        page.screenshot(path=Path(os.environ["QUARTERTURN_SCREENSHOTS"]) / "unfamiliar.png")
    box = page.locator("[data-part=slide]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 - 40, box["y"] + box["height"] / 2)
    expect(page.locator("[data-part=pointer]")).to_contain_text("× the familiarity limit")
    for kind in ("score", "strangeness", "score"):
        page.select_option("[data-part=kind]", kind)
    expect(page.locator("[data-part=legend-low]")).to_have_text("score 0")
    expect(page.locator("canvas.heat")).to_be_visible()
    expect(page.locator("[data-part=threshold-value]")).to_have_text(f"{analysis['results']['threshold']:.2f}")
    assert page.locator("canvas.heat").count() == 1
    assert len([url for url in requests if "heatmap" in url]) == 1


def test_missed_lesions_are_listed_and_shown(page, service, tmp_path):
    client = service.client()
    path = write_pyramid(tmp_path / "outlined.tiff", tissue(1500, 1700, [SQUARE]), 0.5)
    slide = client.wait_for_slide(client.upload(path, {"organ": "lymph node"}))
    analysis = client.analyse(slide["id"])
    glass = [[20, 20], [620, 20], [620, 320], [20, 320]]
    outlines = {"positive": [{"name": "on glass", "vertices": glass}], "negative": []}
    client.call("PUT", f"/api/v1/slides/{slide['id']}/annotation", json=outlines)
    request = {"mode": "strict", "analyses": [analysis["id"]]}
    row = client.call("POST", "/api/v1/evaluations", json=request).json()
    client.poll(f"/api/v1/evaluations/{row['id']}", lambda one: one["state"] == "succeeded", PATIENCE)
    page.goto(f"{service.url}/slides/{slide['id']}")
    expect(page.locator("[data-part=evaluation-text]")).to_contain_text("(strict): 0 of 1 lesions found")
    before = page.evaluate("() => window.quarterturn.viewer.viewport.getZoom()")
    page.click("[data-part=misses] button")
    expect(page.locator(".outline")).to_be_visible()
    page.wait_for_function(f"() => window.quarterturn.viewer.viewport.getZoom() > {before}")
    page.evaluate("""async () => {
        const { unmount } = await import("/static/viewer/panels/evaluation.js");
        unmount(document.querySelector("[data-panel=evaluation]"));
    }""")
    expect(page.locator("[data-part=misses] li")).to_have_count(0)
    expect(page.locator("[data-part=evaluation]")).to_be_hidden()


def test_presets_say_what_they_cost_and_set_the_threshold(page, settle, service, tmp_path):
    client = service.client()
    cards = {card["name"]: card for card in client.call("GET", "/api/v1/models").json()["models"]}
    presets = cards[NETWORK]["presets"]
    lowest = presets["screening"]["threshold"]
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "presets.tiff", tissue(900, 1200), 0.5), {}))
    page.goto(f"{service.url}/slides/{slide['id']}")
    expect(page.locator("[data-part=preset-choice]")).to_be_hidden()  # the tests' own network has none
    page.select_option("[data-part=network]", NETWORK)
    page.select_option("[data-part=preset]", "screening")
    expect(page.locator("[data-part=preset-cost]")).to_contain_text("On test patches")
    expect(page.locator("[data-part=preset-cost]")).to_contain_text("not on slides")
    page.click("[data-part=analyse]")
    page.wait_for_selector("[data-part=layer]:not([hidden])", state="visible")
    expect(page.locator("[data-part=score]")).to_contain_text(f"threshold of {lowest} (screening)")
    pressed = page.locator("[data-part=presets] [aria-pressed=true]")
    expect(pressed).to_have_text(f"screening {lowest}")
    settle()
    requests = collect_requests(page)
    page.click("[data-part=presets] button:has-text('specific')")
    expect(page.locator("[data-part=threshold]")).to_have_value(str(presets["specific"]["threshold"]))
    expect(pressed).to_have_count(1)
    expect(page.locator("[data-part=presets-cost]")).to_be_visible()
    page.locator("[data-part=threshold]").fill("0.33")
    expect(pressed).to_have_count(0)
    expect(page.locator("[data-part=presets-cost]")).to_be_hidden()
    settle()
    assert requests == [], "a preset sends no request"
