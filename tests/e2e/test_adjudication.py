"""A researcher adjudicates, in a real browser: by mouse, by keyboard alone, to the queue's end."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import log_in, look, picture
from tests.e2e.site import Site
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-studies"), ONCE]
PEOPLE = {"ada": "annotator", "ben": "annotator", "rosa": "researcher"}
STUDY = "/studies/concepts-in-a-small-encoder/"
# Both people have annotated all twelve lists, and differ in each; ranked by their overlap.
WORLD = """
from annotation_site.analysis import MEASURES_VERSION
from annotation_site.results.tables.filters import Filters
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.versions import data_version
from tests.annotation_site.factories import *
from django.utils import timezone
ada, ben, rosa = (User.objects.get(username=n) for n in ("ada", "ben", "rosa"))
study = make_study(people=[ada, ben], researcher=rosa, title="Concepts in a small encoder")
lists = list(study.items.order_by("pk"))
for n, item in enumerate(lists):
    birds = pattern(1, [1, 2, 3, 4, 5 + n], description="birds that sing")
    tools = pattern(2, [20, 21, 22, 23], description="tools")
    owls = pattern(1, [1, 2, 3, 25], description="owls and other birds", category="syntactic")
    submit(item.assignments.get(membership__user=ada), answer(birds, tools))
    submit(item.assignments.get(membership__user=ben), answer(owls))
filters = Filters.of(study)
Snapshot.objects.create(study=study, data_version=data_version(study.pk), filter_key=filters.key,
    filters=filters.canonical(), state="ready", counts={"annotations": 24},
    finished_at=timezone.now(), measures_version=MEASURES_VERSION,
    tables={"disagreement": {
        "columns": [["list_id", "number"], ["mean_matched_jaccard", "number"]],
        "rows": [[item.pk, 0.1 * n] for n, item in enumerate(reversed(lists))]}})
"""


class Keys:
    """The keyboard of a page, counted; a key with Shift is one."""

    def __init__(self, page: Page) -> None:
        self.page, self.pressed = page, 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.pressed += 1


@pytest.fixture
def page(page: Page) -> Page:
    """The queue, as the researcher sees it."""
    log_in(page, "rosa")
    page.goto(f"{STUDY}adjudication/")
    # The browser gives it the focus a moment later; a key pressed before goes nowhere.
    expect(page.get_by_role("button", name="Decide list 1", exact=True)).to_be_focused()
    return page


def ready(page: Page, left: str = "") -> None:
    expect(page.locator("#position")).to_have_text(left or re.compile("left$"))
    page.locator("html[data-ready]").wait_for(state="attached")
    expect(page.get_by_role("option")).to_have_count(30)


def descriptions(page: Page) -> list[str]:
    return [box.input_value() for box in page.locator("#patterns .describe").all()]


def decided(world: Site) -> list[list[str]]:
    return world.query(
        "[sorted(a.patterns.values_list('description', flat=True)) for a in Assignment.objects"
        ".filter(purpose='adjudication', state='submitted').order_by('submitted_at')]"
    )


def order(world: Site) -> list[int]:
    return world.query(
        "list(Assignment.objects.filter(purpose='adjudication', state='submitted')"
        ".order_by('submitted_at').values_list('item', flat=True))"
    )


def test_ten_lists_are_adjudicated_with_thirty_keys(page: Page, world: Site):
    keys = Keys(page)
    keys.press("Enter")
    for n in range(10):
        ready(page, f"{12 - n} of 12 left")
        if n % 3:
            keys.press("Shift+A")
            expect(page.locator("#patterns .describe").first).not_to_have_value("")
        else:
            keys.press("1", "3")
            expect(page.locator("#patterns .describe")).to_have_count(2)
        keys.press("Enter")
    ready(page, "2 of 12 left")
    assert keys.pressed <= 30
    assert len(decided(world)) == 10
    assert all(decided(world))
    # Where people differ most comes first, and each list once.
    lists = world.query("sorted(Item.objects.values_list('pk', flat=True))")
    assert order(world) == lists[::-1][:10]


def test_the_last_list_leads_to_what_can_be_done_with_them(page: Page, world: Site):
    page.keyboard.press("Enter")
    for n in range(12):
        ready(page, f"{12 - n} of 12 left")
        page.keyboard.press("Shift+B")
        expect(page.locator("#patterns .describe").first).not_to_have_value("")
        page.keyboard.press("Enter")
    expect(page.get_by_text("All 12 lists are decided")).to_be_visible()
    expect(page.get_by_role("link", name="See the results")).to_be_visible()
    look(page, "queue-empty")
    with page.expect_download() as download:
        page.get_by_role("link", name="JSONL").click()
    assert len(download.value.path().read_text().splitlines()) == 12


def test_a_list_is_adjudicated_by_mouse(page: Page, world: Site):
    page.get_by_role("button", name="Decide list 1", exact=True).click()
    ready(page)
    assert re.search(r"\b(ada|ben)\b", page.content()) is None
    page.get_by_role("button", name="Take this").first.click()
    tools = page.locator(".by-one").filter(has_text="tools")
    tools.get_by_role("button", name="Take this").click()
    expect(page.locator("#patterns .describe")).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#patterns .describe")).to_have_count(1)
    page.get_by_role("button", name="Redo").click()
    page.locator("#submit").click()
    ready(page, "11 of 12 left")
    assert "tools" in decided(world)[0]


def test_a_pattern_is_taken_undone_changed_and_submitted_with_keys(page: Page, world: Site):
    page.keyboard.press("Enter")
    ready(page)
    page.keyboard.press("2")
    expect(page.locator("#patterns .describe")).to_have_count(1)
    page.keyboard.press("u")
    expect(page.locator("#patterns .describe")).to_have_count(0)
    page.keyboard.press("9")  # no pattern has this key, and it marks no token either
    expect(page.locator("#patterns .describe")).to_have_count(0)
    page.keyboard.press("3")
    page.keyboard.press("d")
    page.keyboard.type(", agreed on 1 thing")  # in a field digits and letters are text
    assert descriptions(page) == ["tools, agreed on 1 thing"]
    page.keyboard.press("Enter")
    page.keyboard.press("?")
    expect(page.get_by_text("the pattern with this key")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    ready(page, "11 of 12 left")
    assert decided(world) == [["tools, agreed on 1 thing"]]


def test_rows_show_who_marked_which_token(page: Page):
    page.keyboard.press("Enter")
    ready(page)
    letters = page.locator(".letters-head").inner_text().split()
    assert letters == ["A", "B"]
    row = page.get_by_role("option").first
    marks = [cell.inner_text() for cell in row.locator(".by").all()]
    assert marks == ["1", "1"]  # both marked it, and their patterns match
    tool = page.get_by_role("option").nth(19)
    assert sorted(cell.inner_text() for cell in tool.locator(".by").all()) == ["", "2"]
    # Rows stand in fixed columns: a mark is under its letter, and the token is after them, whole.
    at = "(nodes) => nodes.map((n) => (({x, width}) => x + width / 2)(n.getBoundingClientRect()))"
    columns = {tuple(page.locator(f".row:nth-child({n}) .by").evaluate_all(at)) for n in (1, 9, 20)}
    (middles,) = columns
    heads = page.locator(".letters-head .letter").evaluate_all(at)
    assert middles == pytest.approx(heads, abs=2)
    assert min(page.locator(".row .token").evaluate_all(at)) > max(middles)
    # A gloss is whole: nothing of it is cut off.
    cut = "(nodes) => nodes.filter((n) => n.scrollWidth > n.clientWidth + 1).length"
    assert page.locator(".row .gloss").evaluate_all(cut) == 0


def test_no_barrier_that_axe_finds_and_no_sideways_scrolling(page: Page):
    look(page, "queue")
    page.get_by_role("button", name="Decide list 1", exact=True).click()
    ready(page)
    look(page, "adjudication")
    page.keyboard.press("Shift+A")
    picture(page, "adjudicating.png")
