"""A signed-in page of headless Chromium on a running service (a module may bring its own `service`)."""

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright
from servers import KEY, PATIENCE, Service

expect.set_options(timeout=1000 * PATIENCE)
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    running = Service(tmp_path_factory.mktemp("browser") / "data", {})
    running.start_all()
    yield running
    running.stop()


@pytest.fixture
def page(service):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(1000 * PATIENCE)
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(service.url)
        page.fill("#key", KEY)
        page.click("#sign-in button")
        page.wait_for_selector("#content:not([hidden])")
        yield page
        browser.close()
        assert faults == []
