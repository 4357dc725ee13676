"""A running site for each test that asks for one, or for each module; one browser for all."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import requires
from tests.e2e.pages import PATIENCE, watched_page
from tests.e2e.site import Site
from tests.e2e.stopped_site import stopped_site  # noqa: F401


@pytest.fixture
def site(stopped_site: Site) -> Site:  # noqa: F811
    """The same, running."""
    stopped_site.start()
    return stopped_site


@pytest.fixture(scope="module")
def running_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A site without workers, with the module's PEOPLE and what its WORLD makes. On SQLite."""
    site = Site(tmp_path_factory.mktemp("world") / "var", models=False)
    site.prepare()
    site.add_people(**request.module.PEOPLE)
    site.run(request.module.WORLD)
    site.keep_database()
    site.start_web()
    yield site
    site.stop()


@pytest.fixture
def world(running_world: Site) -> Site:
    """The same, as if it had just been made."""
    running_world.put_database_back()
    return running_world


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, headless. No test of this package asks the database itself, which
    Django forbids where a browser runs."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=requires.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield patient(running)
        running.close()


def patient(browser: Browser) -> Browser:
    """The same; what is asked of its pages may take as long as what is expected of them."""
    real = browser.new_context

    def new_context(**options: Any) -> BrowserContext:
        context = real(**options)
        context.set_default_timeout(PATIENCE)
        return context

    browser.new_context = new_context  # type: ignore[method-assign]
    browser.new_page = lambda **options: new_context(**options).new_page()  # type: ignore[method-assign]
    return browser


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The same, of which nothing is left to the next test."""
    yield chromium
    for context in chromium.contexts:
        context.close()


@pytest.fixture
def page(world: Site, browser: Browser) -> Iterator[Page]:
    """A page of the module's `world`."""
    with watched_page(browser, world.address) as page:
        yield page
