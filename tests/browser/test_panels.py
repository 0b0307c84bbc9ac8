"""Panels are mounted, unmounted and mounted again; two viewers share a page."""

import pytest
from heat_maps import analysed
from playwright.sync_api import expect
from slides import tissue, write_pyramid

pytestmark = [pytest.mark.browser, pytest.mark.services]
SQUARE = (300, 420, 250)
OPEN_STREAMS = """() => {
    window.streams = [];
    window.EventSource = class extends EventSource { constructor(url) { super(url); window.streams.push(this); } };
}"""
LIVE_LISTENERS = """() => {
    const [add, remove] = [EventTarget.prototype.addEventListener, EventTarget.prototype.removeEventListener];
    window.live = 0;
    const isPage = (target) => target === document || target === window;
    EventTarget.prototype.addEventListener = function (type, listener, options) {
        if (isPage(this)) {
            window.live += 1;
            options?.signal?.addEventListener("abort", () => { window.live -= 1; }, { once: true });
        }
        return add.call(this, type, listener, options);
    };
    EventTarget.prototype.removeEventListener = function (type, listener, options) {
        if (isPage(this)) window.live -= 1;
        return remove.call(this, type, listener, options);
    };
}"""
EACH = """async ([page, action]) => {
    const { store } = await import(`/static/${page}/main.js`);
    for (const host of document.querySelectorAll("[data-panel]")) {
        const panel = await import(`/static/${page}/panels/${host.dataset.panel}.js`);
        panel[action](host, store);
    }
}"""
ONE = """async ([name, action]) => {
    const { store } = await import("/static/viewer/main.js");
    const panel = await import(`/static/viewer/panels/${name}.js`);
    panel[action](document.querySelector(`[data-panel=${name}]`), store);
}"""
SECOND = """async (slideId) => {
    const { createViewerStore, openSlide } = await import("/static/viewer/state.js");
    const { mountAll } = await import("/static/shared/panel.js");
    const html = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const second = document.adoptNode(html.querySelector("main"));
    second.dataset.second = "";
    document.querySelector("main").after(second);
    const names = [...second.querySelectorAll("[data-panel]")].map((host) => host.dataset.panel);
    const panels = await Promise.all(names.map((name) => import(`/static/viewer/panels/${name}.js`)));
    const store = createViewerStore(slideId);
    const named = Object.fromEntries(names.map((name, i) => [name, panels[i]]));
    window.second = { unmount: mountAll(second, named, store) };
    await openSlide(store);
}"""


@pytest.fixture(scope="module")
def slide(service, tmp_path_factory):
    client = service.client()
    path = write_pyramid(tmp_path_factory.mktemp("slides") / "panels.tiff", tissue(900, 1100, [SQUARE]), 0.5)
    return analysed(client, path, rotation_check=False, threshold=0.001)[0]


def requests_of(page):
    """The addresses that the page requests from now on."""
    addresses = []
    page.on("request", lambda request: addresses.append(f"{request.method} {request.url}"))
    return addresses


def test_the_viewer_s_panels_mount_again(page, settle, service, slide):
    page.add_init_script(f"({OPEN_STREAMS})(); ({LIVE_LISTENERS})()")
    page.goto(f"{service.url}/slides/{slide['id']}")
    expect(page.locator("[data-part=layer]")).to_be_visible()
    first = page.evaluate("window.live")
    page.evaluate(EACH, ["viewer", "unmount"])
    ended = page.evaluate("window.live")
    assert ended < first
    for selector in ("canvas.heat", ".openseadragon-canvas", "[data-part=regions] li", ".outline"):
        expect(page.locator(selector)).to_have_count(0)
    addresses = requests_of(page)
    page.keyboard.press("?")
    expect(page.locator("[data-part=keys]")).to_be_hidden()
    page.locator("[data-part=analyse]").click()
    settle()
    assert addresses == [], "an unmounted panel sends nothing"
    page.evaluate(EACH, ["viewer", "mount"])
    expect(page.locator("[data-part=layer]")).to_be_visible()
    expect(page.locator("canvas.heat")).to_have_count(1)
    assert page.evaluate("window.live") <= first, "listeners do not pile up"
    page.locator("[data-part=regions] button").first.click()
    expect(page.locator(".outline")).to_have_count(1)
    page.keyboard.press("h")
    expect(page.locator("canvas.heat")).to_be_hidden()
    addresses.clear()
    page.locator("[data-part=analyse]").click()
    expect(page.locator("[data-part=cancel]")).to_be_visible()
    assert len([address for address in addresses if address.startswith("POST")]) == 1
    assert page.evaluate("window.streams.map((stream) => stream.readyState)") in ([0], [1])
    page.evaluate(EACH, ["viewer", "unmount"])
    assert page.evaluate("window.streams.map((stream) => stream.readyState)") == [2], "the stream is closed"
    page.evaluate(EACH, ["viewer", "mount"])
    page.locator("[data-part=cancel]").click()
    expect(page.locator("[data-part=state]")).to_have_text("Cancelled.")


def test_the_stage_mounts_again_while_a_region_is_outlined(page, service, slide):
    page.goto(f"{service.url}/slides/{slide['id']}")
    page.locator("[data-part=regions] button").first.click()
    expect(page.locator(".outline")).to_have_count(1)
    containers = page.locator(".openseadragon-container")
    count = containers.count()
    page.evaluate(EACH, ["viewer", "unmount"])
    expect(containers).to_have_count(0)
    page.evaluate(EACH, ["viewer", "mount"])
    expect(page.locator(".outline")).to_have_count(1)
    expect(page.locator("canvas.heat")).to_have_count(1)
    expect(containers).to_have_count(count)


def test_the_heat_map_lies_on_the_viewer_that_is_mounted(page, service, slide):
    """When the stage alone mounts again, the layer leaves the old viewer and covers the new one."""
    page.goto(f"{service.url}/slides/{slide['id']}")
    expect(page.locator("canvas.heat")).to_have_count(1)
    page.evaluate(ONE, ["stage", "unmount"])
    expect(page.locator("canvas.heat")).to_have_count(0)
    expect(page.locator("[data-part=layer]")).to_be_hidden()
    page.evaluate(ONE, ["stage", "mount"])
    expect(page.locator("canvas.heat")).to_have_count(1)
    expect(page.locator("[data-part=layer]")).to_be_visible()


def test_two_viewers_share_a_page(page, service, slide):
    page.goto(f"{service.url}/slides/{slide['id']}")
    expect(page.locator("[data-part=layer]")).to_be_visible()
    page.evaluate(SECOND, slide["id"])
    one, two = page.locator("main:not([data-second])"), page.locator("main[data-second]")
    expect(two.locator("[data-part=layer]")).to_be_visible()
    for viewer in (one, two):
        expect(viewer.locator("canvas.heat")).to_have_count(1)
    two.locator("[data-part=opacity]").fill("0.1")
    expect(two.locator("[data-part=opacity-value]")).to_have_text("10 %")
    expect(one.locator("[data-part=opacity-value]")).to_have_text("60 %")
    before = page.evaluate("window.quarterturn.viewer.viewport.getZoom()")
    two.locator("[data-part=regions] button").first.click()
    expect(two.locator(".outline")).to_have_count(1)
    expect(one.locator(".outline")).to_have_count(0)
    assert page.evaluate("window.quarterturn.viewer.viewport.getZoom()") == before
    page.evaluate("window.second.unmount()")
    expect(two.locator("canvas.heat")).to_have_count(0)
    expect(one.locator("canvas.heat")).to_have_count(1)
    one.locator("[data-part=regions] button").first.click()
    expect(one.locator(".outline")).to_have_count(1)


def test_the_list_s_panels_mount_again(page, slide):
    row = page.locator("[data-part=slides] li", has_text=slide["filename"])
    expect(row).to_be_visible()
    page.evaluate(EACH, ["slides", "unmount"])
    expect(row).to_have_count(0)
    addresses = requests_of(page)
    page.locator("[data-part=search]").fill("panels")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(1500)
    assert addresses == []
    page.evaluate(EACH, ["slides", "mount"])
    expect(row).to_be_visible()
    addresses.clear()
    page.locator("[data-part=search]").fill("pan")
    page.wait_for_timeout(500)
    assert len([address for address in addresses if "query=pan" in address]) == 1
    page.set_input_files("[data-part=files]", {"name": "text.svs", "mimeType": "", "buffer": b"no slide"})
    expect(page.locator("[data-part=slides] li", has_text="text.svs")).to_have_count(0)
    page.locator("[data-part=search]").fill("text.svs")
    expect(page.locator("[data-part=slides] li", has_text="text.svs")).to_have_count(1)


def test_the_people_page_s_panels_mount_again(page, settle, service):
    page.goto(f"{service.url}/people")
    service.client().call("POST", "/api/v1/keys", json={"name": "listed", "role": "viewer"})
    person = {"login": "eva", "role": "viewer", "password": "nine calm otters swimming"}
    service.client().call("POST", "/api/v1/people", json=person)
    page.reload()
    keys, people = page.locator("[data-part=keys] tr"), page.locator("[data-part=people] tr", has_text="eva")
    expect(keys.first).to_be_visible()
    expect(people).to_have_count(1)
    count = keys.count()
    page.evaluate(EACH, ["people", "unmount"])
    addresses = requests_of(page)
    page.locator("[data-part=key-name]").fill("mounted twice")
    page.locator("[data-part=create]").dispatch_event("submit")
    settle()
    assert addresses == []
    expect(keys).to_have_count(0)
    expect(people).to_have_count(0)
    page.evaluate(EACH, ["people", "mount"])
    page.locator("[data-part=key-name]").fill("mounted twice")
    page.get_by_role("button", name="Create key").click()
    expect(keys).to_have_count(count + 1)
    page.locator("[data-part=audit] summary").click()
    expect(page.locator("[data-part=audited] tr").first).to_be_visible()
    page.evaluate(EACH, ["people", "unmount"])
    assert page.locator("[data-part=secret-text]").inner_text() == "", "an unmounted panel keeps no key on the page"
