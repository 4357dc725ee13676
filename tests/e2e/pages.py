"""What browser tests of several pages do alike."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect

from tests.e2e.site import PASSWORD, Site

# Milliseconds until an expectation fails: what is expected of a page has no deadline, and on a busy
# machine a login alone can take longer than Playwright's own five seconds.
PATIENCE = 180_000
expect.set_options(timeout=PATIENCE)
# Colours depend on the theme, places on the width, and what lies behind a text on both.
LOOKS = tuple(itertools.product(("light", "dark"), (1280, 390)))
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = Axe()
EXPERIMENTAL = {"label-content-name-mismatch": {"enabled": True}}  # WCAG 2.5.3, level A
AXE_OPTIONS = {"runOnly": RULES, "rules": EXPERIMENTAL, "resultTypes": ["violations"]}


@contextlib.contextmanager
def watched_page(browser: Browser, address: str) -> Iterator[Page]:
    """A new page; a script's error, or one the policy raises, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=address)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda said: faults.append(said.text) if "Security Policy" in said.text else None,
    )
    yield page
    context.close()
    assert faults == []


def requests_from_now(page: Page) -> list[str]:
    """A list that grows by each address asked for, but static files: a browser fetches
    the icon of a page when it likes."""
    requests: list[str] = []

    def note(request: Request) -> None:
        if "/static/" not in request.url:
            requests.append(request.url)

    page.on("request", note)
    return requests


def stop_timers(page: Page) -> None:
    """From here on timers wait for the test; what is due in the next minute comes at once.

    `page.clock.install()` came before, and before the page was opened.
    """
    # A minute ahead, since the clock goes on until then and cannot be set back.
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 60)


def log_out(page: Page) -> None:
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in").first).to_be_visible()


def fill_in(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def log_in(page: Page, name: str) -> None:
    page.goto("/login/")
    fill_in(page, name)
    expect(page.get_by_role("heading", name="Studies", exact=True)).to_be_visible()


def logged_in(browser: Browser, site: Site, name: str, *, height: int = 800) -> Page:
    """A page of somebody; `faults` grows by each error of a script or the console."""
    page = browser.new_page(base_url=site.address, viewport={"width": 1280, "height": height})
    page.faults = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.faults.append(str(error)))  # type: ignore[attr-defined]
    page.on(
        "console",
        lambda said: page.faults.append(said.text) if said.type == "error" else None,  # type: ignore[attr-defined]
    )
    log_in(page, name)
    return page


def look(page: Page, name: str) -> None:
    """The page as it is, wide and narrow, in both themes: no barrier that axe finds, and nothing
    to scroll sideways."""
    page.wait_for_load_state()  # a click only waits until the next page begins
    page.evaluate(AXE.axe_script)  # once for all looks: it takes longer than what it does
    for scheme, width in LOOKS:
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        found = AxeResults(page.evaluate("(options) => axe.run(document, options)", AXE_OPTIONS))
        assert found.violations_count == 0, (name, scheme, width, found.generate_report())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        picture(page, f"{name}-{scheme}-{width}.png")
    page.set_viewport_size({"width": 1280, "height": 800})


def expect_no_barrier(page: Page) -> None:
    """Nothing that axe finds, and nothing to scroll sideways, in any window and theme.

    640 pixels are a window of 1280 at 200% zoom.
    """
    look(page, "annotation")
    page.set_viewport_size({"width": 640, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 640, page.url


def picture(page: Page, name: str) -> None:
    """Kept in the folder that PICTURES names, for somebody to look at."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / name, full_page=True)


def run(site: Site, code: str) -> None:
    site.run(code)
