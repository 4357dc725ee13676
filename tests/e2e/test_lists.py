"""A researcher finds a list by its entries, looks at people's marks, and adjudicates it."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import log_in, look, picture
from tests.e2e.site import Site
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-lists"), ONCE]
PEOPLE = dict.fromkeys(("ada", "ben", "cleo", "dan", "eva", "fay"), "annotator")
PEOPLE["rosa"] = "researcher"
STUDY = "/studies/marks-of-six/"
# Six people have annotated two lists, of which the first has a skip besides.
WORLD = """
import uuid
from annotation_site.annotation.work import submissions
from annotation_site.annotation.models import *
from annotation_site.accounts.models import User
from annotation_site.corpus.models import Vector
from tests.annotation_site.factories import *
names = ("ada", "ben", "cleo", "dan", "eva", "fay")
people = [User.objects.get(username=n) for n in names]
study = make_study(people=people, researcher=User.objects.get(username="rosa"),
    annotators_per_list=6, title="Marks of six", extraction=make_extraction(kinds=("value",)))
Vector.objects.update(bottom_token_ids=[90, 91], bottom_scores=[-2.0, -1.0])
def send(user, item, content):
    row = item.assignments.get(membership__user=user)
    submissions.assignment_submit(user=user, public_id=row.public_id, base_version=0,
        key=uuid.uuid4(), annotation=content, active_seconds=0)
first, second, third, _ = sorted(study.items.all(), key=lambda item: item.vector.token_ids[0])
for n, user in enumerate(people):
    birds = pattern(1, [1, 2, 3, 4, 5 + n], description="birds that sing")
    tools = pattern(2, [20, 21, 22, 23][: 4 - n % 2], description="tools")
    for item in (first, second):
        if (item, n) != (first, 5):
            send(user, item, answer(birds, tools, comment="A word." if n == 2 else ""))
row = first.assignments.get(membership__user=people[5])
submissions.assignment_skip(user=people[5], public_id=row.public_id, base_version=0,
    key=uuid.uuid4(), reason="I cannot read it")
"""


@pytest.fixture
def page(page: Page) -> Page:
    """A browser in which the researcher is logged in."""
    log_in(page, "rosa")
    return page


def test_from_a_search_to_a_list_its_differences_and_a_marked_adjudication(page: Page, world: Site):
    page.get_by_role("link", name="Marks of six", exact=True).click()
    page.get_by_role("link", name="Lists", exact=True).click()
    page.get_by_label("Entries").fill("word1 word30")
    page.get_by_label("Order").select_option("origin")
    page.get_by_role("button", name="Show").click()
    # Lists of the words 0 to 29, 1 to 30, 2 to 31 and 3 to 32: one has both.
    expect(page.get_by_text("1 list", exact=True)).to_be_visible()
    page.get_by_label("Entries").fill("word2 word29")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 lists", exact=True)).to_be_visible()
    page.locator(".list-rows tbody a").first.click()
    # The question, before anything is shown.
    expect(page.get_by_role("heading", name="Look at people’s annotations first?")).to_be_visible()
    expect(page.get_by_text("birds that sing")).to_have_count(0)
    page.get_by_role("button", name="Look, and mark as not blind").click()
    expect(page.get_by_text("I cannot read it")).to_be_visible()
    rows = page.locator(".entries").first.locator("tbody tr")
    expect(rows).to_have_count(30)
    box = page.get_by_label("on which they differ")
    box.check()
    expect(rows.filter(visible=True)).to_have_count(9)  # five entries of birds, four of tools
    page.keyboard.press("j")
    expect(page.get_by_text("2 of 3")).to_be_visible()
    page.get_by_role("button", name="Look, and mark as not blind").click()
    expect(box).to_be_checked()
    page.keyboard.press("k")
    expect(page.get_by_text("1 of 3")).to_be_visible()
    page.get_by_role("button", name="Adjudicate", exact=True).click()
    page.locator("html[data-ready]").wait_for(state="attached")
    expect(page.locator("#position")).to_have_text("2 of 2 left")
    expect(page.get_by_text("What you submit is marked as not blind.")).to_be_visible()
    # Whose answer is A is drawn; tools are too small in some, which would ask before it is sent.
    birds = page.locator(".by-one").filter(has_text="birds that sing")
    birds.get_by_role("button", name="Take this").first.click()
    page.keyboard.press("Enter")
    expect(page.locator("#position")).to_have_text("1 of 2 left")  # the next one of the queue
    page.goto(f"{STUDY}run/lists/?state=not_blind")
    expect(page.locator(".list-rows tbody tr").filter(has_text="not blind")).to_have_count(1)
    marked = "Assignment.objects.get(purpose='adjudication', state='submitted').looked_before"
    assert world.query(marked) is True


def test_the_pages_look_right_at_every_width_and_theme(page: Page):
    page.goto(f"{STUDY}run/lists/?order=origin&entries=word2")
    look(page, "lists")
    page.locator(".list-rows tbody a").first.click()
    look(page, "look-first")
    page.get_by_label("Do not ask again").check()
    page.get_by_role("button", name="Look, and mark as not blind").click()
    expect(page.get_by_text("A word.")).to_be_visible()
    look(page, "list")
    page.set_viewport_size({"width": 1280, "height": 900})
    last = page.locator(".entries").first.locator("tbody tr").last.bounding_box()
    assert last is not None
    assert last["y"] + last["height"] <= 900  # thirty rows on one screen
    page.set_viewport_size({"width": 390, "height": 844})
    table = page.locator(".table-scroll").first
    wide, shown = table.evaluate("table => [table.scrollWidth, table.clientWidth]")
    assert wide <= shown  # six people, and what is the same
    picture(page, "list-six-people-390.png")
