"""Planted squares under a network whose answer is known: record, regions, exports and screen against the truth.

Each slide has odd sizes and two squares that no turn or mirroring maps onto each other. The truth of a cell is the
share of its own 32×32 network px that the squares cover, by arithmetic in level-0 pixels.
"""

import csv
import io

import cv2
import numpy as np
import pytest
from heat_maps import heat_map
from PIL import Image
from planted_network import STEEPNESS, write_planted
from servers import Service
from slides import tissue, write_pyramid, write_scn

from core.pixels.frame import NETWORK_MPP

pytestmark = [pytest.mark.browser, pytest.mark.services]
SQUARES = ((281, 377, 251), (463, 811, 189))  # top, left, side in px of the image
WIDTH, HEIGHT = 1237, 911
BOUNDS, CANVAS = (304, 208), (1801, 1299)
HALF = 0.53  # a cell is over the threshold when half of it is covered: its edge errs by half a cell, plus noise
SETTLED = "() => { const v = window.quarterturn.viewer; return v?.world.getItemAt(0)?.getFullyLoaded(); }"
CASES = {
    "tiff-0.25-levels-2-4": (0.25, (2, 4)),
    "tiff-0.25-level-4": (0.25, (4,)),
    "tiff-0.499-levels-2-4": (0.499, (2, 4)),
    "tiff-0.499": (0.499, ()),
    "scn-0.25": (0.25, None),
    "scn-0.499": (0.499, None),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alignment")
    running = Service(folder / "data", write_planted(folder / "weights"))
    running.start_all()
    yield running
    running.stop()


def planted(folder, mpp, downsamples):
    """The slide's file and its squares as (left, top, right, bottom) in level-0 px."""
    pixels, shift = tissue(HEIGHT, WIDTH, SQUARES), (0, 0)
    if downsamples is None:
        path, shift = write_scn(folder / "planted.scn", pixels, mpp, BOUNDS, CANVAS), BOUNDS
    else:
        path = write_pyramid(folder / "planted.tiff", pixels, mpp, downsamples)
    boxes = [
        (left + shift[0], top + shift[1], left + side + shift[0], top + side + shift[1]) for top, left, side in SQUARES
    ]
    return path, np.array(boxes, float)


def covered_shares(shape, affine, boxes, mpp):
    """The share of each cell's 32×32 network px that lies in a square."""
    a, _, c, _, e, f = affine
    reach = 16 * NETWORK_MPP / mpp
    x, y = a * np.arange(shape[1]) + c, e * np.arange(shape[0]) + f
    along = lambda centre, low, high: np.clip(  # noqa: E731 - overlap of [centre ± reach] with [low, high]
        np.minimum(centre + reach, high) - np.maximum(centre - reach, low), 0, None
    )
    parts = [np.outer(along(y, top, bottom), along(x, left, right)) for left, top, right, bottom in boxes]
    return sum(parts) / (2 * reach) ** 2


@pytest.mark.parametrize("case", CASES)
def test_record_regions_exports_and_screen_agree_with_the_planted_squares(case, page, settle, service, tmp_path):
    mpp, downsamples = CASES[case]
    path, boxes = planted(tmp_path, mpp, downsamples)
    client, cell = service.client(), 16 * NETWORK_MPP / mpp
    slide = client.wait_for_slide(client.upload(path, {"organ": "lymph node"}))
    analysis = client.analyse(slide["id"])
    assert analysis["withheld"] is None, analysis
    base = f"/api/v1/analyses/{analysis['id']}"
    heat_map_is_true(client, analysis["id"], boxes, mpp)
    regions_are_true(client, base, boxes, cell)
    origins_are_true(client, base, boxes, cell, BOUNDS if downsamples is None else (0, 0))
    screen_is_true(page, settle, service, slide["id"], cell)


def heat_map_is_true(client, analysis_id, boxes, mpp):
    """The float32 record gives the covered share of each cell, to 1/32 of its side."""
    logits, affine = heat_map(client, analysis_id, "logit")
    truth = covered_shares(logits.shape, affine, boxes, mpp)
    assert np.isfinite(logits[truth > 0]).all(), "every cell that touches a square is tissue"
    finite = np.isfinite(logits)
    np.testing.assert_allclose(logits[finite] / STEEPNESS + 0.5, truth[finite], atol=1 / 32)


def matched(boxes, truth):
    """Boxes (n, 4) in the order of the truth's, by nearest centre; both have the same number."""
    boxes = np.array(boxes, float)
    assert len(boxes) == len(truth), (boxes, truth)
    centres = lambda box: (box[..., :2] + box[..., 2:]) / 2  # noqa: E731
    nearest = [int(np.abs(centres(boxes) - centres(box)).sum(-1).argmin()) for box in truth]
    assert len(set(nearest)) == len(truth)
    return boxes[nearest]


def regions_are_true(client, base, boxes, cell):
    listed = client.call("GET", f"{base}/regions").json()["regions"]
    rows = list(csv.DictReader(io.StringIO(client.call("GET", f"{base}/regions.csv").text)))
    sides = [[float(row[f"{side}_l0"]) for side in ("left", "top", "right", "bottom")] for row in rows]
    for candidates in ([region["bbox_l0"] for region in listed], sides):
        np.testing.assert_allclose(matched(candidates, boxes), boxes, atol=HALF * cell)
    for region in listed:
        x, y = region["peak_l0"]
        assert any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)


def origins_are_true(client, base, boxes, cell, bounds):
    for origin, shift in (("level0", (0, 0)), ("bounds", bounds)):
        features = client.call("GET", f"{base}/regions.geojson", params={"origin": origin}).json()["features"]
        rings = [np.array(feature["geometry"]["coordinates"][0]) for feature in features]
        candidates = [(*ring.min(0), *ring.max(0)) for ring in rings]
        truth = boxes - np.array([*shift, *shift])
        np.testing.assert_allclose(matched(candidates, truth), truth, atol=HALF * cell)


def screen_is_true(page, settle, service, slide_id, cell):
    """On the screen the drawn cells lie over the squares' own pixels, within half a cell."""
    page.goto(f"{service.url}/slides/{slide_id}")
    page.wait_for_selector("[data-part=layer]:not([hidden])", state="visible")
    page.wait_for_function(SETTLED)
    page.locator("[data-part=threshold]").fill("0.5")
    page.locator("[data-part=opacity]").fill("0")
    settle()
    bare = picture(page)
    page.locator("[data-part=opacity]").fill("1")
    settle()
    drawn = components(np.abs(picture(page) - bare).max(-1) > 8)
    squares = components((bare[..., 0] < 150) & (bare[..., 1] < 105) & (bare[..., 2] > 90))
    assert len(squares) == len(SQUARES), "the planted squares are visible on the screen"
    np.testing.assert_allclose(matched(drawn, squares), squares, atol=HALF * cell * screen_scale(page) + 2)


def picture(page):
    """The slide's pixels on the screen, int RGB, without the navigator and the scale bar."""
    content = page.locator("[data-part=slide]").screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int)
    return pixels[:-60, :-220]


def screen_scale(page):
    """Screen pixels per level-0 pixel."""
    return page.evaluate(
        "() => { const v = window.quarterturn.viewer; "
        "return v.world.getItemAt(0).viewportToImageZoom(v.viewport.getZoom(true)); }"
    )


def components(mask):
    """(left, top, right, bottom) of each sizeable patch of a mask, closed over its noise."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, _, statistics, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, area in statistics[1:] if area > 150], float)
    return boxes.reshape(-1, 4)
