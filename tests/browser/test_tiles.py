"""Tiles whose reader failed: the viewer requests them again, and counts the tiles that it gave up."""

import io
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from servers import PATIENCE
from slides import tissue, write_pyramid

pytestmark = [pytest.mark.browser, pytest.mark.services]
SETTLED = "() => window.quarterturn.viewer?.world.getItemAt(0)?.getFullyLoaded()"
TILES = "**/tiles/*/*.jpeg*"
FAILED = {"status": 503, "headers": {"Retry-After": "1"}, "content_type": "application/problem+json", "body": "{}"}
GLASS = np.array((0xEB, 0xE8, 0xF1))  # the stage's own colour, where no tile lies


@pytest.fixture
def slide(service, tmp_path):
    client = service.client()
    path = write_pyramid(tmp_path / "tiles.tiff", tissue(911, 1237, [(300, 420, 250)]), 0.5, (2, 4))
    return client.wait_for_slide(client.upload(path, {}))


def bare_share(page):
    """The share of the stage's middle that no tile covers."""
    picture = Image.open(io.BytesIO(page.locator("[data-part=slide]").screenshot())).convert("RGB")
    pixels = np.asarray(picture, int)
    rows, cols = pixels.shape[0], pixels.shape[1]
    middle = pixels[rows // 3 : 2 * rows // 3, cols // 3 : 2 * cols // 3]
    return float((np.abs(middle - GLASS).max(-1) < 3).mean())


def wait(page, condition):
    """Lets the page run until a condition of the test is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        page.wait_for_timeout(100)


def test_tiles_that_fail_for_a_while_arrive(page, chromium, service, slide):
    chromium.expect_errors(r"status of 503 .*/tiles/", r"Tile .* failed to load")
    tries = Counter()

    def answer(route):
        tries[route.request.url] += 1
        if tries[route.request.url] <= 2:
            route.fulfill(**FAILED)
        else:
            route.continue_()

    page.route(TILES, answer)
    page.goto(f"{service.url}/slides/{slide['id']}")
    wait(page, lambda: len(tries) >= 4 and min(tries.values()) >= 3)
    page.wait_for_function(SETTLED)
    wait(page, lambda: bare_share(page) == 0)
    expect(page.locator("[data-panel=missing]")).to_be_hidden()


def test_the_viewer_counts_the_tiles_that_it_gave_up(page, chromium, service, slide):
    chromium.expect_errors(r"status of 503 .*/tiles/", r"Tile .* failed to load")
    tries = Counter()

    def answer(route):
        tries[route.request.url] += 1
        route.fulfill(**FAILED)

    page.route(TILES, answer)
    page.goto(f"{service.url}/slides/{slide['id']}")
    missing = page.locator("[data-panel=missing]")
    expect(missing).to_be_visible()
    expect(missing).to_contain_text("could not be loaded")
    assert max(tries.values()) >= 5, "a tile is requested again before the viewer gives up"
    wait(page, lambda: min(tries.values()) >= 5)
    page.unroute(TILES)
    missing.get_by_role("button", name="Try again").click()
    wait(page, lambda: bare_share(page) == 0)
    expect(missing).to_be_hidden()


def test_one_tile_is_counted_as_one(page, chromium, service, slide):
    chromium.expect_errors(r"status of 503 .*/tiles/", r"Tile .* failed to load")
    page.route("**/tiles/0/1_1.jpeg*", lambda route: route.fulfill(**FAILED))
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.wait_for_function(SETTLED)
    page.evaluate("() => window.quarterturn.viewer.viewport.zoomTo(3)")
    expect(page.locator("[data-panel=missing]")).to_contain_text("1 image tile could not be loaded.")
