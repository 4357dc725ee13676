"""A phone with fingers alone: every tap is on something to be seen that is large enough for one.

Chromium has no keyboard on the screen, so where it would stand is told to the page.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.annotation_site.js.driver import members
from tests.e2e.pages import expect_no_barrier, log_in, picture
from tests.e2e.site import Site, database_of_its_own

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("phone")]
LEAST = 44  # pixels of a target, in both directions
MOST_TAPS = 24
SEED = """
from tests.annotation_site.factories import *
people = [UserFactory(username=name) for name in ("ann0", "ann1")]
make_study(title="Shared", people=people)
"""
# Half of the window is the keyboard's.
KEYBOARD = """() => {
  Object.defineProperty(visualViewport, 'height', {get: () => 420, configurable: true});
  visualViewport.dispatchEvent(new Event('resize'));
}"""
SEEN = """(node) => {
  const {x, y, width, height} = node.getBoundingClientRect();
  const top = document.elementFromPoint(x + width / 2, y + height / 2);
  return node.contains(top) || top?.closest('label')?.contains(node);
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(Path(tmp_path_factory.mktemp("phone")) / "var", models=False)
    with database_of_its_own(site.environment):
        site.prepare()
        site.run(SEED)
        site.start_web()
        yield site
        site.stop()


class Phone:
    """390 × 844 pixels and a finger, which counts its taps."""

    def __init__(self, browser: Browser, site: Site, name: str) -> None:
        context = browser.new_context(
            base_url=site.address,
            viewport={"width": 390, "height": 844},
            has_touch=True,
            is_mobile=True,
        )
        self.page = context.new_page()
        self.taps = 0
        log_in(self.page, name)

    def tap(self, target: Locator) -> None:
        """Tap the middle of what a person sees there, and can hit."""
        expect(target).to_be_visible()
        target.evaluate("(node) => node.closest('.row')?.scrollIntoView({block: 'center'})")
        box = target.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= LEAST, (target, box)
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= 844, (target, box)
        assert target.evaluate(SEEN), f"{target} is covered"
        self.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.taps += 1

    def open_next(self) -> None:
        self.page.goto("/studies/shared/next/")
        self.page.locator("html[data-ready]").wait_for(state="attached")

    def row(self, rank: int) -> Locator:
        return self.page.locator(f'.row[data-rank="{rank}"]')

    def number(self, number: int) -> Locator:
        picker = self.page.locator("#picker")
        return picker.get_by_role("button", name=f"Choose pattern {number}", exact=True)

    @property
    def sheet(self) -> Locator:
        return self.page.locator(".pattern:popover-open")

    def describe(self, number: int, words: str, category: str) -> None:
        """By the sheet that the pattern's number opens."""
        self.tap(self.number(number))
        expect(self.sheet.get_by_role("textbox")).to_be_focused()
        self.page.keyboard.type(words)
        self.tap(self.sheet.locator("label", has_text=category))
        self.tap(self.sheet.get_by_role("button", name="Done"))
        expect(self.sheet).to_have_count(0)


@pytest.fixture
def phone(site: Site, browser: Browser, request: pytest.FixtureRequest) -> Phone:
    phone = Phone(browser, site, request.param)
    phone.open_next()
    return phone


@pytest.mark.parametrize("phone", ["ann0"], indirect=True)
def test_a_list_with_two_described_patterns_takes_fewer_than_25_taps(site: Site, phone: Phone):
    page = phone.page
    for rank in (1, 3, 5, 8, 11):
        phone.tap(phone.row(rank))
    phone.describe(1, "units of time", "semantic")
    phone.tap(page.get_by_role("button", name="New pattern", exact=True).last)
    for rank in (2, 14, 22, 30):
        phone.tap(phone.row(rank))
    phone.describe(2, "plurals", "syntactic")
    phone.tap(page.locator("#submit"))
    expect(page.locator("#position")).to_contain_text("List 2 of")
    print(f"{phone.taps} taps")
    assert phone.taps <= MOST_TAPS
    said = site.query(
        "list(Pattern.objects.filter(assignment__membership__user__username='ann0')"
        ".order_by('number').values_list('description', 'category'))"
    )
    assert said == [["units of time", "semantic"], ["plurals", "syntactic"]]


@pytest.mark.parametrize("phone", ["ann1"], indirect=True)
def test_the_sheet_stays_above_the_keyboard_and_loses_nothing(phone: Phone):
    page, sheet = phone.page, phone.sheet
    phone.tap(phone.row(1))
    phone.tap(phone.number(1))
    expect(phone.number(1)).to_have_attribute("aria-expanded", "true")
    page.evaluate(KEYBOARD)
    page.keyboard.type("hours")
    box = sheet.bounding_box()
    assert box is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 420
    expect(sheet.get_by_role("textbox")).to_have_value("hours")
    for part in ("Remove pattern 1", "Done"):
        expect(sheet.get_by_role("button", name=part)).to_be_visible()
    expect(sheet.get_by_text("stopwords, punctuation")).to_be_visible()
    picture(page, "phone-sheet.png")

    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    expect(phone.number(1)).to_have_attribute("aria-expanded", "false")
    assert page.evaluate("document.activeElement.closest('.row, #picker') !== null")

    phone.tap(phone.number(1))
    expect(sheet.get_by_role("button", name="Done")).to_be_focused()  # what is described is read
    swipe_down(page, sheet)
    expect(sheet).to_have_count(0)

    phone.tap(phone.number(1))
    phone.tap(phone.row(2))  # beside it: on with the list, in the same pattern
    expect(sheet).to_have_count(0)
    assert members(page, 1) == [1, 2]
    expect(page.locator(".describe")).to_have_value("hours")

    phone.tap(page.locator("#submit"))  # which lacks a category, and four tokens
    expect(sheet).to_be_visible()
    message = page.locator("#message")
    expect(message).to_contain_text("Pattern 1 needs a category. Choose")
    expect(message).to_be_in_viewport(ratio=1)
    phone.tap(sheet.get_by_role("button", name="Remove pattern 1"))
    expect(sheet).to_have_count(0)
    assert members(page, 1) == []
    phone.tap(page.locator("#undo"))
    assert members(page, 1) == [1, 2]
    expect(page.locator("#save-state")).to_have_text("Saved")


def swipe_down(page: Page, sheet: Locator) -> None:
    """A finger that takes the sheet by its upper edge and pulls."""
    box = sheet.bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: float) -> None:
        points = [{"x": box["x"] + 100, "y": box["y"] + y} for y in places]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 10)
    for y in (20, 60, 100):
        touch("touchMove", y)
    touch("touchEnd")


@pytest.mark.parametrize("phone", ["ann1"], indirect=True)
def test_the_tutorial_speaks_of_fingers_here_and_of_keys_elsewhere(phone: Phone, browser: Browser):
    page = phone.page
    page.goto("/tutorial/")
    page.locator("html[data-ready]").wait_for(state="attached")
    spoken = """[...document.querySelectorAll('#steps span')]
      .filter((step) => getComputedStyle(step).display !== 'none')
      .map((step) => step.textContent).join(' ')"""
    fingers = page.evaluate(spoken)
    assert "tap it" in fingers
    assert "press" not in fingers
    expect(page.locator("#steps [aria-current]")).to_contain_text("Read the list from the top")
    phone.tap(phone.row(2))
    expect(page.locator("#steps [aria-current]")).to_contain_text("tap Undo")
    desk = browser.new_context(
        base_url=page.url, storage_state=page.context.storage_state()
    ).new_page()
    desk.goto("/tutorial/")
    desk.locator("html[data-ready]").wait_for(state="attached")
    keys = desk.evaluate(spoken)
    assert "arrow keys" in keys
    assert " tap " not in keys


@pytest.mark.parametrize("phone", ["ann1"], indirect=True)
def test_a_window_at_200_percent_keeps_the_current_token_and_the_keys(
    phone: Phone, browser: Browser
):
    """1,280 × 800 pixels at 200% are 640 × 400, and the keyboard is still there."""
    desk = browser.new_context(
        base_url=phone.page.url,
        storage_state=phone.page.context.storage_state(),
        viewport={"width": 640, "height": 400},
    ).new_page()
    desk.goto("/studies/shared/next/")
    desk.locator("html[data-ready]").wait_for(state="attached")
    for _ in range(12):
        desk.keyboard.press("j")
        expect(desk.locator(".row.cursor")).to_be_in_viewport(ratio=0.99)
    for part in ("#detail-token", "#search", "#submit kbd", "#undo kbd"):
        expect(desk.locator(part)).to_be_in_viewport(ratio=1)
    detail, bar = desk.locator(".detail").bounding_box(), desk.locator(".bar").bounding_box()
    assert detail is not None
    assert bar is not None
    assert detail["y"] + detail["height"] <= bar["y"] + 1
    row = desk.locator(".row.cursor").bounding_box()
    assert row is not None
    assert row["y"] + row["height"] <= detail["y"] + 1
    picture(desk, "list-at-200-percent.png")
    expect_no_barrier(desk)
