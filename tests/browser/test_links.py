"""The address of the viewer holds the view: links, reload, Back, bad values, what is not there, signing in."""

import re
import sqlite3

import pytest
from heat_maps import analysed
from playwright.sync_api import expect
from servers import KEY
from slides import tissue, write_pyramid

pytestmark = [pytest.mark.browser, pytest.mark.services]
SQUARE = (300, 420, 250)
VIEW = """() => {
  const { viewport, world } = window.quarterturn.viewer, image = world.getItemAt(0);
  const { x, y } = image.viewportToImageCoordinates(viewport.getCenter(false));
  return [x, y, image.viewportToImageZoom(viewport.getZoom(false)), viewport.getRotation(false)];
}"""
GO = """([x, y, zoom]) => {
  const { viewport, world } = window.quarterturn.viewer, image = world.getItemAt(0);
  viewport.zoomTo(image.imageToViewportZoom(zoom));
  viewport.panTo(image.imageToViewportCoordinates(x, y));
}"""


@pytest.fixture(scope="module")
def slide(service, tmp_path_factory):
    """A slide with two analyses; the newer one has the threshold 0.5."""
    client = service.client()
    path = write_pyramid(tmp_path_factory.mktemp("slides") / "linked.tiff", tissue(900, 1100, [SQUARE]), 0.5)
    slide, older = analysed(client, path, rotation_check=False, threshold=0.001)
    newer = client.analyse(slide["id"], rotation_check=False, threshold=0.5)
    return {**slide, "older": older["id"], "newer": newer["id"], "address": f"{service.url}/slides/{slide['id']}"}


def opened(page, address):
    """Opens an address of the viewer in a page that shows nothing yet, and waits for its layer."""
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("[data-part=layer]")).to_be_visible()
    expect(page.locator("canvas.heat")).to_have_count(1)


def close_to(view):
    return pytest.approx(view, rel=1e-3, abs=0.2)


def until_view(page, view):
    """Waits until the view moves to one."""
    reached = "(wished) => (" + VIEW + ")().every((value, i) => Math.abs(value - wished[i]) < 0.2 + 1e-3 * wished[i])"
    page.wait_for_function(reached, arg=view)


def test_a_link_holds_the_view(page, slide):
    opened(page, f"{slide['address']}#analysis={slide['older']}")
    expect(page.locator("[data-part=threshold-value]")).to_have_text("0.00")
    page.evaluate(GO, [333, 444, 1.5])
    page.locator("[data-part=threshold]").fill("0.21")
    page.locator("[data-part=slide]").focus()
    page.keyboard.press("t")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile(r"(?=.*x=333&y=444&zoom=1\.5&rotation=90)(?=.*mask=1)(?=.*threshold=0\.21)"))
    link, view = page.url, [333, 444, 1.5, 90]
    assert f"analysis={slide['older']}" in link
    opened(page, link)
    expect(page.locator("canvas.mask")).to_be_visible()
    expect(page.locator("[data-part=threshold-value]")).to_have_text("0.21")
    until_view(page, view)
    page.reload()
    expect(page.locator("canvas.mask")).to_be_visible()
    until_view(page, view)
    expect(page).to_have_url(link)
    page.keyboard.press("h")
    expect(page).to_have_url(re.compile("heat=0"))
    page.reload()
    expect(page.locator("[data-part=layer]")).to_be_visible()
    expect(page.locator("canvas.heat")).to_be_hidden()


def test_back_returns_from_a_region(page, slide):
    opened(page, f"{slide['address']}#analysis={slide['older']}")
    page.evaluate(GO, [800, 200, 3])
    expect(page).to_have_url(re.compile("x=800&y=200&zoom=3&"))
    page.evaluate(GO, [810, 210, 3])
    page.locator("[data-part=regions] button").first.click()
    expect(page.locator(".outline")).to_have_count(1)
    expect(page).not_to_have_url(re.compile("x=8[01]0&"))
    region = page.evaluate(VIEW)
    assert region != close_to([810, 210, 3, 0])
    page.go_back()
    until_view(page, [810, 210, 3, 0])
    expect(page.locator(".outline")).to_have_count(0)
    page.go_forward()
    until_view(page, region)


def test_an_address_that_changes_shows_another_analysis(page, slide):
    opened(page, slide["address"])
    expect(page.locator("[data-part=threshold-value]")).to_have_text("0.50")
    expect(page).to_have_url(re.compile(slide["newer"]))
    page.evaluate("(id) => { location.hash = `#analysis=${id}&x=100&y=200&zoom=2`; }", slide["older"])
    expect(page.locator("[data-part=threshold-value]")).to_have_text("0.00")
    until_view(page, [100, 200, 2, 0])
    expect(page.locator("canvas.heat")).to_have_count(1)
    page.go_back()
    expect(page.locator("[data-part=threshold-value]")).to_have_text("0.50")
    expect(page).to_have_url(re.compile(slide["newer"]))


def test_a_new_analysis_adds_to_the_history(page, slide):
    opened(page, f"{slide['address']}#analysis={slide['older']}&x=100&y=200&zoom=2")
    page.click("[data-part=analyse]")
    expect(page).not_to_have_url(re.compile(slide["older"]))
    expect(page.locator("[data-part=state]")).to_have_text("Done. Preliminary.")
    page.go_back()
    expect(page).to_have_url(re.compile(slide["older"]))
    expect(page.locator("[data-part=threshold-value]")).to_have_text("0.00")


@pytest.mark.parametrize(
    "values", ["x=abc&y=-5&zoom=0&rotation=NaN&layer=none&threshold=7&mask=2&heat=", "x=1e9&y=Infinity", "%%%", "=&&"]
)
def test_bad_values_of_an_address_fall_back(page, slide, values):
    opened(page, f"{slide['address']}#analysis={slide['newer']}")
    home = page.evaluate(VIEW)
    opened(page, f"{slide['address']}#analysis={slide['newer']}&{values}")
    expect(page.locator("[data-part=threshold-value]")).to_have_text("0.50")
    until_view(page, home)
    opened(page, f"{slide['address']}#{values}&y=333&threshold=0.4&analysis={slide['newer']}")
    for part in ("[data-part=error]", "[data-part=notice]"):
        expect(page.locator(part)).to_be_hidden()


def test_each_good_value_counts_beside_bad_ones(page, slide):
    opened(page, f"{slide['address']}#analysis={slide['newer']}&x=wrong&y=333&zoom=99999&rotation=-90&threshold=0.4")
    expect(page.locator("[data-part=threshold-value]")).to_have_text("0.40")
    _, y, zoom, rotation = page.evaluate(VIEW)
    assert (y, zoom, rotation) == close_to((333, 4, 270)), "a zoom beyond the largest is the largest"


def test_a_link_to_an_analysis_that_is_not_here_says_so(page, chromium, service, slide, tmp_path):
    chromium.expect_errors(r"status of 4(04|22) .*/api/v1/analyses/")
    client = service.client()
    path = write_pyramid(tmp_path / "neighbour.tiff", tissue(700, 800, [SQUARE]), 0.5)
    other = client.wait_for_slide(client.upload(path, {}))
    foreign = client.analyse(other["id"], rotation_check=False)["id"]
    notice = page.locator("[data-part=notice]")
    opened(page, f"{slide['address']}#analysis={foreign}")
    expect(notice).to_have_text("The link names an analysis of another slide. The newest analysis is shown.")
    expect(page).not_to_have_url(re.compile(foreign))
    client.call("DELETE", f"/api/v1/slides/{other['id']}")
    for missing in (foreign, "no id at all"):
        opened(page, f"{slide['address']}#analysis={missing}&x=100&y=200&zoom=2")
        expect(notice).to_contain_text("not here: it was deleted, or never was. The newest analysis is shown.")
        until_view(page, [100, 200, 2, 0])
    page.evaluate("(id) => { location.hash = `#analysis=${id}`; }", slide["older"])
    expect(notice).to_be_hidden()


def test_signing_in_leads_back_to_the_link(chromium, service, slide):
    chromium.expect_errors("status of 401")
    stranger = chromium.new_page()
    stranger.goto(f"{slide['address']}#analysis={slide['older']}&x=333&y=444&zoom=1.5")
    stranger.fill("[data-part=key]", KEY)
    stranger.click("[data-panel=signin] button")
    expect(stranger.locator("[data-part=layer]")).to_be_visible()
    until_view(stranger, [333, 444, 1.5, 0])
    expect(stranger.locator("[data-part=threshold-value]")).to_have_text("0.00")
    for elsewhere in ("https://example.org/", "//example.org/slides/1", "/slides/../api", "javascript:alert(1)"):
        stranger.goto("about:blank")
        stranger.goto(f"{service.url}/#return={elsewhere}")
        expect(stranger.locator("[data-panel=worklist]")).to_be_visible()


def test_an_outdated_tissue_mask_is_made_anew(page, service, tmp_path):
    client = service.client()
    path = write_pyramid(tmp_path / "former.tiff", tissue(700, 800, [SQUARE]), 0.5)
    slide = client.wait_for_slide(client.upload(path, {"organ": "lymph node"}))
    with sqlite3.connect(service.data / "quarterturn.db", timeout=60) as database:
        database.execute("UPDATE slides SET info = json_set(info, '$.mask_version', 1) WHERE id = ?", (slide["id"],))
    client.analyse(slide["id"], rotation_check=False)
    opened(page, f"{service.url}/slides/{slide['id']}")
    line = page.locator("[data-panel=banner] p", has_text="tissue mask")
    expect(line).to_contain_text("An earlier version made this slide's tissue mask")
    line.get_by_role("button").click()
    expect(line).to_have_text("The slide has a new tissue mask. Analyse it again to use it.")
    client.analyse(slide["id"], rotation_check=False)
    opened(page, f"{service.url}/slides/{slide['id']}")
    expect(line).to_have_count(0)
