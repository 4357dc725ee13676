"""The annotation page against the real server: what a person does, and what can go wrong meanwhile.

One site for all tests; each has an annotator of its own. What needs a server that misbehaves is in
tests/annotation_site/js.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.annotation_site.js.driver import expect_saved, members, press
from tests.e2e.pages import expect_no_barrier, fill_in, log_in, requests_from_now, stop_timers
from tests.e2e.site import Site, database_of_its_own

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("page-e2e")]
PEOPLE = [f"ann{n}" for n in range(8)]
SEED = f"""
from tests.annotation_site.factories import *
people = [UserFactory(username=name) for name in {PEOPLE}]
rosa = UserFactory(username="rosa", role="researcher")
UserFactory(username="root", role="admin")
make_study(title="Shared", people=people, researcher=rosa, annotators_per_list=8)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with an open study of twelve lists, and eight annotators."""
    site = Site(Path(tmp_path_factory.mktemp("page")) / "var", models=False)
    with database_of_its_own(site.environment):
        site.prepare()
        site.run(SEED)
        site.start_web()
        yield site
        site.stop()


@pytest.fixture
def enter(site: Site, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Log somebody in, in a browser of their own; a script's error fails the test."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def enter(name: str, **options: Any) -> Page:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = browser.new_context(base_url=site.address, **options)
        contexts.append(context)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        page = context.new_page()
        log_in(page, name)
        return page

    yield enter
    for context in contexts:
        context.close()
    assert faults == []


def open_next(page: Page) -> None:
    page.goto("/studies/shared/next/")
    ready(page)


def ready(page: Page) -> None:
    page.locator("html[data-ready]").wait_for(state="attached")


def first_list(site: Site, name: str, what: str) -> Any:
    of = f"Assignment.objects.get(membership__user__username={name!r}, position=1)"
    return site.query(f"{of}.{what}")


def revisions(site: Site, name: str, field: str = "version") -> list[Any]:
    """What is stored of everything the person has submitted or skipped, in that order."""
    of = f"Revision.objects.filter(assignment__membership__user__username={name!r})"
    return site.query(f"list({of}.order_by('pk').values_list({field!r}, flat=True))")


def test_undo_reaches_back_over_a_reload(enter):
    page = enter("ann0")
    open_next(page)
    press(page, "1 1 1 1 s x")
    expect_saved(page)
    page.reload()
    ready(page)
    expect(page.locator("#none")).to_be_checked()
    press(page, "u u u")
    assert members(page, 1) == [1, 2, 3]
    press(page, "U")
    assert members(page, 1) == [1, 2, 3, 4]
    row = page.locator('.row[data-rank="10"]')
    row.hover()
    page.mouse.down()
    page.locator('.row[data-rank="13"]').hover()
    page.mouse.up()
    assert members(page, 1) == [1, 2, 3, 4, 10, 11, 12, 13]


def test_the_network_is_cut_and_comes_back(site: Site, enter):
    page = enter("ann1")
    open_next(page)
    press(page, "1")
    expect_saved(page)
    page.context.set_offline(True)
    press(page, "1 1 1 s")
    expect(page.locator("#save-state")).to_contain_text("no connection, kept on this computer")
    assert first_list(site, "ann1", "draft['annotation']['patterns'][0]['ranks']") == [1]
    page.context.set_offline(False)
    expect_saved(page)
    assert first_list(site, "ann1", "draft['annotation']['patterns'][0]['ranks']") == [1, 2, 3, 4]


def test_an_older_tab_asks_before_it_replaces_a_newer_version(site: Site, enter):
    page = enter("ann2")
    open_next(page)
    other = page.context.new_page()
    other.goto(page.url)
    ready(other)
    press(other, "1 1")
    expect_saved(other)
    press(page, "j 1")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This list was changed in another tab")
    assert first_list(site, "ann2", "draft['annotation']['patterns'][0]['ranks']") == [1, 2]
    dialog.get_by_role("button", name="Keep this version").click()
    expect_saved(page)
    assert first_list(site, "ann2", "draft['annotation']['patterns'][0]['ranks']") == [2]


def test_a_double_click_submits_once_and_the_back_button_submits_nothing(site: Site, enter):
    page = enter("ann3")
    open_next(page)
    press(page, "1 1 1 1 s")
    page.locator("#submit").dblclick()
    expect(page.locator("#position")).to_have_text("List 2 of 12")
    page.go_back()
    expect(page.locator("#notice")).to_contain_text("You submitted this list")
    assert revisions(site, "ann3") == [1]


def test_a_session_that_ends_takes_nothing_along(site: Site, enter):
    page = enter("ann4")
    page.clock.install()
    open_next(page)
    press(page, "1 1")
    expect_saved(page)
    page.context.clear_cookies()
    press(page, "1 1 d")
    page.keyboard.type("kept")
    press(page, "Enter")
    expect(page.locator("#message")).to_contain_text("You were logged out")
    stop_timers(page)  # else the page may try again by itself before the button is pressed
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Log in in a new tab").click()
    fill_in(opened.value, "ann4")
    expect(opened.value.get_by_role("heading", name="Studies", exact=True)).to_be_visible()
    opened.value.close()
    page.get_by_role("button", name="Try again").click()
    expect_saved(page)
    draft = first_list(site, "ann4", "draft['annotation']['patterns'][0]")
    assert (draft["ranks"], draft["description"]) == ([1, 2, 3, 4], "kept")


def test_a_whole_list_by_touch(site: Site, enter):
    page = enter("ann5", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    open_next(page)
    for rank in (1, 2, 3, 5):
        page.locator(f'.row[data-rank="{rank}"]').tap()
    page.get_by_label("Category of pattern 1").get_by_text("semantic").tap()
    page.get_by_label("Description of pattern 1").tap()
    expect(page.get_by_label("Description of pattern 1")).to_be_focused()
    page.keyboard.type("by touch")
    page.get_by_role("button", name="Undo", exact=True).tap()
    page.get_by_role("button", name="Redo", exact=True).tap()
    page.locator("#submit").tap()
    expect(page.locator("#position")).to_have_text("List 2 of 12")
    page.get_by_role("button", name="Skip…").tap()
    page.get_by_text("Offensive or upsetting words").tap()
    page.get_by_role("button", name="Skip and next").tap()
    expect(page.locator("#position")).to_have_text("List 3 of 12")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    saved = first_list(site, "ann5", "patterns.get().description")
    assert saved == "by touch"
    assert "Offensive or upsetting words" in str(revisions(site, "ann5", "snapshot")[-1])


def test_a_key_press_shows_before_anything_is_asked_of_the_server(enter):
    page = enter("ann6")
    open_next(page)
    # Read in the same task as the key press: no reply could have come in between.
    shown, asked = page.evaluate(
        """() => {
          const really = window.fetch;
          let asked = 0;
          window.fetch = (...what) => { asked += 1; return really(...what); };
          const look = () =>
            document.body.innerHTML + document.querySelectorAll(':checked').length;
          const shown = ['1', 'j', '2', 's', 'n', 'u', 'U', 'x', 'u', 'p'].map((key) => {
            const before = look();
            document.activeElement.dispatchEvent(
              new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
            return before !== look();
          });
          return [shown, asked];
        }"""
    )
    assert all(shown)
    assert asked == 0
    expect_saved(page)


def test_the_tutorial_from_the_first_key_to_the_comparison(enter):
    page = enter("ann7")
    page.get_by_role("link", name="Tutorial").focus()
    press(page, "Enter")
    ready(page)
    steps = page.locator("#steps li")
    requests = requests_from_now(page)
    press(page, "j k")
    expect(steps.nth(0)).to_have_class("done")
    press(page, "1 u U")
    expect(steps.nth(2)).to_have_class("done")
    expect(page.locator("#steps [aria-current]")).to_contain_text("at least 4 tokens")
    press(page, "1 1 1 s d")
    page.keyboard.type("place")
    press(page, "Enter 2 2 ArrowRight s")
    assert requests == []
    page.reload()
    ready(page)
    assert members(page, 1) == [1, 2, 3, 4]
    expect(page.locator("#steps .done")).to_have_count(7)
    press(page, "Enter")
    expect(page.locator("#message-text")).to_contain_text("Pattern 2 has 2 tokens and needs 4")
    press(page, "Enter")
    heading = page.get_by_role("heading", name="Your annotation and the paper's")
    expect(heading).to_be_visible()
    expect(page.get_by_text("so its coverage is 24 of 30")).to_be_visible()
    expect(page.get_by_role("row", name="You 6 4 13.3%")).to_be_visible()
    page.get_by_text("Entry by entry").click()
    expect_no_barrier(page)


def pages_of(site: Site, name: str) -> list[str]:
    if name == "ann7":
        public_id = first_list(site, "ann7", "public_id")
        return [
            "/", "/studies/shared/", f"/lists/{public_id}/", "/tutorial/", "/tutorial/comparison/",
            "/nowhere/",
        ]  # fmt: skip
    if name == "rosa":
        return ["/", "/studies/new/", "/studies/shared/results/"]
    run = site.query("str(Extraction.objects.get().public_id)")
    return ["/models/", "/models/enqueue/", "/models/import/", f"/models/{run}/"]


@pytest.mark.parametrize("name", ["ann7", "rosa", "root"])
def test_no_page_has_a_barrier_or_scrolls_sideways(site: Site, enter, name: str):
    page = enter(name)
    for url in pages_of(site, name):
        page.goto(url)
        if "/lists/" in url or url == "/tutorial/":
            ready(page)
        expect_no_barrier(page)


def test_the_login_has_no_barrier(site: Site, browser: Browser):
    page = browser.new_page(base_url=site.address)
    page.goto("/login/")
    expect_no_barrier(page)
    page.close()


def test_who_wants_less_motion_gets_none(enter):
    page = enter("ann7", reduced_motion="reduce")
    open_next(page)
    moving = page.evaluate(
        """[...document.querySelectorAll('*')].filter((node) => {
          const style = getComputedStyle(node);
          return style.animationName !== 'none' || parseFloat(style.transitionDuration) > 0;
        }).length"""
    )
    assert moving == 0
