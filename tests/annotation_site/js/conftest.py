"""A browser on the annotation page, and the stub behind it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests import requires
from tests.annotation_site.js.stub import Stub


# Not for the session: while Playwright's loop runs, Django refuses to touch the database.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=requires.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield running
        running.close()


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()
    yield stub
    stub.server.shutdown()
    stub.server.server_close()


@pytest.fixture
def page(browser: Browser, stub: Stub) -> Iterator[Page]:
    """The first list, opened. A script's error, or one the policy raises, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=stub.address)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda said: faults.append(said.text) if "Security Policy" in said.text else None,
    )
    open_list(page, stub, 0)
    yield page
    context.close()
    assert faults == []


def open_list(page: Page, stub: Stub, n: int) -> None:
    page.goto(stub.address + stub.url(n))
    page.locator("html[data-ready]").wait_for(state="attached")
