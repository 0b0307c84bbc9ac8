"""The slide list in a browser: empty, missing data, rejections; files that are dropped."""

import base64
import contextlib

import numpy as np
import pytest
from named_slides import FILED_UNDER, PATIENT, named_dicom, named_mrxs, named_svs
from playwright.sync_api import Error, expect
from slides import tissue, write_pyramid

pytestmark = [pytest.mark.browser, pytest.mark.services]
DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  const zone = document.querySelector("[data-part=drop]");
  for (const kind of ["dragenter", "dragover", "drop"]) {
    zone.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}"""


def drop(page, path):
    page.evaluate(DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])


WATCH_LENGTH = """() => {
  const list = document.querySelector("[data-part=slides]");
  [window.length_before, window.lengths] = [list.childElementCount, []];
  new MutationObserver(() => window.lengths.push(list.childElementCount)).observe(list, { childList: true });
}"""


def row(page, name):
    return page.locator(f"[data-part=slides] li.slide:has-text('{name}')")


@pytest.fixture
def no_slides(service):
    """The service is shared with other files: their slides go."""
    client = service.client()
    while slides := client.call("GET", "/api/v1/slides").json()["slides"]:
        for slide in slides:
            client.call("DELETE", f"/api/v1/slides/{slide['id']}")


def test_slide_list_asks_for_missing_mpp(no_slides, page, tmp_path):
    expect(page.locator("[data-part=empty]")).to_have_text("No slides yet. Drop a file above to begin.")
    drop(page, write_pyramid(tmp_path / "no mpp.tiff", tissue(500, 600), None))
    asking = row(page, "no mpp.tiff")
    expect(asking.locator(".state")).to_have_text("needs input")
    expect(asking.locator("a.button")).to_have_count(0)
    asking.get_by_label("Micrometres per pixel").fill("0.5")
    asking.get_by_role("button", name="Set").click()
    expect(asking.locator(".state")).to_have_text("ready")
    expect(asking).to_contain_text("0.5 µm/px (user)")
    expect(asking.locator("img")).to_be_visible()
    page.fill("[data-part=search]", "nothing like it")
    expect(page.locator("[data-part=empty]")).to_have_text("No slides match this search.")
    page.fill("[data-part=search]", "NO MPP")
    page.once("dialog", lambda dialog: dialog.accept())
    asking.get_by_role("button", name="Delete").click()
    expect(asking).to_have_count(0)


def test_a_scale_is_corrected_with_a_reason_and_older_results_are_marked(page, service, tmp_path):
    client = service.client()
    path = write_pyramid(tmp_path / "half.tiff", tissue(700, 800), 0.5)
    slide = client.wait_for_slide(client.upload(path, {}))
    client.analyse(slide["id"], rotation_check=False)
    page.reload()
    entry = row(page, "half.tiff")
    entry.get_by_text("Correct µm/px").click()
    entry.get_by_label("Micrometres per pixel").fill("0.25")
    entry.get_by_role("button", name="Set").click()
    expect(entry).to_contain_text("0.5 µm/px (file)")  # the form waits for a reason
    entry.get_by_label("Reason").fill("the objective was 40×")
    entry.get_by_role("button", name="Set").click()
    expect(entry).to_contain_text("0.25 µm/px (user)")
    expect(entry.locator(".state").first).to_have_text("ready")
    entry.get_by_role("link", name="Open").click()
    expect(page.locator("[data-panel=banner]")).to_contain_text(
        "Made at 0.5 µm per pixel; the slide was corrected to 0.25"
    )
    expect(page.locator("[data-part=made-at]")).to_have_text("Made at 0.5 µm per pixel, as the file states.")


def test_the_list_names_a_value_that_no_scanner_has(page, tmp_path):
    drop(page, write_pyramid(tmp_path / "fine.tiff", tissue(500, 600), 0.025))
    entry = row(page, "fine.tiff")
    expect(entry.locator(".state")).to_have_text("needs input")
    expect(entry).to_contain_text("the file states 0.025 µm per pixel")
    expect(entry.get_by_label("Reason")).to_have_count(0)
    entry.get_by_label("Micrometres per pixel").fill("0.25")
    entry.get_by_role("button", name="Set").click()
    expect(entry).to_contain_text("0.25 µm/px (user)")


def test_the_list_shows_the_state_of_an_analysis(page, service, tmp_path):
    client = service.client()
    slide = client.wait_for_slide(client.upload(write_pyramid(tmp_path / "followed.tiff", tissue(700, 800), 0.5), {}))
    page.reload()
    entry = row(page, "followed.tiff")
    expect(entry.locator(".state")).to_have_text(["ready"])
    client.analyse(slide["id"])
    page.reload()
    expect(entry.locator(".state")).to_have_text(["ready", "analysed"])
    blank = write_pyramid(tmp_path / "blank.tiff", np.full((600, 700, 3), 245, np.uint8), 0.5)
    client.analyse(client.wait_for_slide(client.upload(blank, {}))["id"])
    page.reload()
    expect(row(page, "blank.tiff").locator(".state")).to_have_text(["ready", "results withheld"])


def test_rejected_file_shows_its_reason(page, tmp_path):
    (tmp_path / "letter.svs").write_text("Dear colleague,\n" * 50)
    drop(page, tmp_path / "letter.svs")
    bad = row(page, "letter.svs")
    expect(bad.locator(".state")).to_have_text("rejected")
    expect(bad.locator(".reason")).to_contain_text("not a whole-slide image")


def test_a_late_list_does_not_replace_a_newer_one(page, settle, service, tmp_path):
    waiting = []
    page.route("**/api/v1/slides?**", lambda route: waiting.append((route, route.fetch())), times=1)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_function("() => true")
    client = service.client()
    client.wait_for_slide(client.upload(write_pyramid(tmp_path / "newer.tiff", tissue(500, 600), 0.5), {}))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(row(page, "newer.tiff")).to_be_visible()
    page.evaluate(WATCH_LENGTH)
    ((route, response),) = waiting
    with contextlib.suppress(Error):  # the page has given the request up
        route.fulfill(response=response)
    page.evaluate("async () => (await fetch('/healthz')).text()")
    settle()
    assert page.evaluate("window.lengths.every((length) => length >= window.length_before)")


def test_signed_out_user_sees_the_sign_in_form(page):
    page.click("[data-part=sign-out]")
    expect(page.locator("[data-panel=signin]")).to_be_visible()
    expect(page.locator("[data-panel=worklist]")).to_be_hidden()
    page.fill("[data-part=key]", "wrong")
    page.click("[data-panel=signin] button")
    expect(page.locator("[data-part=sign-in-error]")).to_contain_text("unknown, expired or revoked")


@pytest.mark.parametrize("make", [named_svs, named_dicom, named_mrxs])
def test_patient_name_in_a_file_is_on_no_page(page, service, tmp_path, make):
    """Pages, results and the browser's storage contain no patient name; the file name is on the pages alone."""
    client = service.client()
    slide = client.wait_for_slide(client.upload(make(tmp_path), {}))
    client.analyse(slide["id"])
    page.reload()
    expect(row(page, FILED_UNDER).locator(".state")).to_have_text(["ready", "analysed"])
    listed = page.content()
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.wait_for_selector("[data-part=layer]:not([hidden])", state="visible")
    for content in (listed, page.content(), page.title(), page.url):
        assert PATIENT not in content
    assert FILED_UNDER not in page.url
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert PATIENT not in stored
    assert FILED_UNDER not in stored
    page.goto("about:blank")  # no tile of a deleted slide is requested
    client.call("DELETE", f"/api/v1/slides/{slide['id']}")
