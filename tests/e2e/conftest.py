"""A running site and a browser for each test that asks for them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests import requires
from tests.e2e.fixtures import stopped_site  # noqa: F401
from tests.e2e.pages import watched_page
from tests.e2e.site import Site


@pytest.fixture
def site(stopped_site: Site) -> Site:  # noqa: F811
    """The same, running."""
    stopped_site.start()
    return stopped_site


@pytest.fixture
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=requires.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield running
        running.close()


@pytest.fixture
def page(world: Site, browser: Browser) -> Iterator[Page]:
    """A page of the module's `world`."""
    with watched_page(browser, world.address) as page:
        yield page
