"""A browser on the annotation page, and the stub behind it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests import requires
from tests.annotation_site.js.driver import open_list
from tests.annotation_site.js.stub import Stub
from tests.e2e.pages import watched_page


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
def stub(request: pytest.FixtureRequest) -> Iterator[Stub]:
    """Lists of top tokens; with `BOTH_KINDS` of stub.py, of trigger prefixes as well."""
    stub = Stub(getattr(request, "param", "top_tokens"))
    yield stub
    stub.server.shutdown()
    stub.server.server_close()


@pytest.fixture
def page(browser: Browser, stub: Stub) -> Iterator[Page]:
    """The first list, opened."""
    with watched_page(browser, stub.address) as page:
        open_list(page, stub, 0)
        yield page
