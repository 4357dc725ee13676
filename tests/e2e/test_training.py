"""Training in a real browser: reference answers, feedback, too low a score, being let in."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import log_in, look, run
from tests.e2e.site import Site
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-studies"), ONCE]
PEOPLE = {"ada": "annotator", "ben": "annotator", "rosa": "researcher"}
STUDY = "/studies/concepts-with-training/"
# A draft in which one of two training lists still lacks its reference answer.
WORLD = """
from annotation_site.accounts.models import User
from annotation_site.annotation.models import *
from annotation_site.annotation.people.consent import consent_give
from tests.annotation_site.factories import *
ada, ben, rosa = (User.objects.get(username=name) for name in ("ada", "ben", "rosa"))
study = make_draft(
    people=[ada, ben], researcher=rosa, title="Concepts with training",
    extraction=make_extraction(per_layer=6), lists_per_layer=2, training_lists=2,
    training_pass_percent=70, reference_lists=1, repeat_percent=20,
)
for member in study.memberships.filter(role="annotator"):
    consent_give(membership=member, version=0)
give_references(study, answer(
    pattern(1, [1, 2, 3, 4, 5], description="small numbers"),
    pattern(2, [20, 21, 22, 23], description="larger ones", category="syntactic"),
))
last = study.items.filter(use="training").order_by("pk").last()
last.assignments.all().delete()
"""
OPEN = """
from annotation_site.annotation.models import Study
from annotation_site.annotation.studies.services import study_open
study_open(study=Study.objects.get())
"""
LET_IN = """
from annotation_site.accounts.models import User
from annotation_site.annotation.models import Membership
from annotation_site.annotation.review.training import training_waive
ada, rosa = (User.objects.get(username=name) for name in ("ada", "rosa"))
training_waive(membership=Membership.objects.get(user=ada), by=rosa)
"""


def mark(page: Page, ranks: list[int]) -> None:
    """Put tokens into a first pattern, with the mouse, and call it semantic by its key."""
    page.locator("html[data-ready]").wait_for(state="attached")
    page.keyboard.press("n")
    for rank in ranks:
        page.get_by_role("option").nth(rank - 1).click()
    page.keyboard.press("s")


def log_out(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in").first).to_be_visible()


def test_from_reference_answers_to_a_newcomer_who_is_let_in(page: Page, world: Site):
    log_in(page, "rosa")
    page.goto(f"{STUDY}references/")
    expect(page.get_by_text("1 of 3 lists has no reference annotation yet")).to_be_visible()
    look(page, "training-references")
    page.get_by_role("button", name="Annotate", exact=True).click()
    mark(page, [1, 2, 3, 4])
    expect(page.locator("#skip")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.get_by_text("All 3 lists have a reference annotation.")).to_be_visible()
    run(world, OPEN)
    log_out(page)

    log_in(page, "ada")
    expect(page.get_by_text("Your first 2 lists are training")).to_be_visible()
    look(page, "training-home-before")
    page.get_by_role("link", name="Start").click()
    for first in (True, False):
        mark(page, [1, 2, 3, 4] if first else [11, 12, 13, 14])
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="and the reference annotation")).to_be_visible()
        if first:
            page.get_by_text("Entry by entry").click()
            look(page, "training-feedback")
            page.get_by_role("link", name="Continue").click()
    expect(page.get_by_role("link", name="Continue")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("70% are needed")).to_be_visible()
    look(page, "training-not-passed")
    page.goto("/")
    expect(page.get_by_role("link", name="Continue")).to_have_count(0)

    run(world, LET_IN)
    page.reload()
    page.get_by_role("link", name="Continue with list 3").click()
    mark(page, [1, 2, 3, 4])
    page.keyboard.press("Enter")
    expect(page.locator("#position")).to_contain_text("List 4")
    page.goto(STUDY)
    expect(page.get_by_role("listitem").filter(has_text="List 1 training")).to_be_visible()
    page.get_by_role("link", name="List 1", exact=True).click()
    expect(page.get_by_role("heading", name="and the reference annotation")).to_be_visible()


def test_who_passes_goes_straight_on_to_their_lists(page: Page, world: Site):
    run(
        world,
        "from tests.annotation_site.factories import *\n"
        "give_references(Study.objects.get(), answer(pattern(1, [1, 2, 3, 4, 5])))" + OPEN,
    )
    log_in(page, "ben")
    page.get_by_role("link", name="Start").click()
    for _ in range(2):
        mark(page, [1, 2, 3, 4])
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Continue").click()
    expect(page.locator("#position")).to_contain_text("List 3")
    expect(page.get_by_role("option")).to_have_count(30)
