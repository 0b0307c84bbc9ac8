"""A signed-in page of headless Chromium on a running service.

A test fails on each console error and page error that it does not name.
"""

import re
import shutil

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright
from servers import KEY, PATIENCE, Service

expect.set_options(timeout=1000 * PATIENCE)
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
# The answer for a page without a session, which Chromium reports like any refused request.
SIGNED_OUT = r"status of 401 .*/api/v1/session"

# Two frames: what a handler starts or draws at once has started or is on the screen.
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


class Chromium:
    """Opens pages and collects their errors."""

    def __init__(self, browser, size: dict[str, int]) -> None:
        self.browser, self.size = browser, size
        self.pages: list[Page] = []
        self.errors: list[str] = []
        self.expected = [SIGNED_OUT]

    def expect_errors(self, *patterns: str) -> None:
        """Names console errors that the test provokes: regular expressions over text and address."""
        self.expected += patterns

    def new_page(self) -> Page:
        page = self.browser.new_page(viewport=self.size)
        page.set_default_timeout(1000 * PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._collect)
        self.pages.append(page)
        return page

    def close(self) -> None:
        for page in self.pages:
            page.context.close()

    def _collect(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def unexpected(self) -> list[str]:
        return [error for error in self.errors if not any(re.search(pattern, error) for pattern in self.expected)]


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    running = Service(tmp_path_factory.mktemp("browser") / "data", {})
    running.start_all()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser():
    """One browser a file. Each page has a context of its own, so no test sees another's cookies or storage."""
    path = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))))
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def chromium(browser):
    opened = Chromium(browser, {"width": 1280, "height": 720})
    yield opened
    opened.close()
    assert opened.unexpected() == []


@pytest.fixture
def page(service, chromium):
    page = chromium.new_page()
    page.goto(service.url)
    page.fill("[data-part=key]", KEY)
    page.click("[data-panel=signin] button")
    page.wait_for_selector("[data-panel=worklist]:not([hidden])")
    return page


@pytest.fixture
def settle(page):
    """Waits until the page has drawn two frames."""
    return lambda: page.evaluate(FRAMES)
