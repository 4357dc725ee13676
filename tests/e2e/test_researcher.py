"""A researcher and a study, in a real browser: preview, pilot, open, extend, close, archive."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.pages import RULES, log_in, run
from tests.e2e.site import Site
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-studies"), ONCE]
PEOPLE = {"ada": "annotator", "ben": "annotator", "rosa": "researcher"}
WORLD = """
from tests.annotation_site.factories import *
make_extraction(per_layer=6)
"""
# What the annotators do, without a browser: one answer each.
ANSWER = """
from tests.annotation_site.factories import *
from annotation_site.annotation.models import *
Membership.objects.update(consent_version=0)
for person in Membership.objects.filter(role="annotator", study__title="A campaign"):
    submit(person.assignments.filter(state="waiting").select_related("item__study").first())
"""
FIRST = """
from tests.annotation_site.factories import *
ada, ben, rosa = (User.objects.get(username=name) for name in ("ada", "ben", "rosa"))
make_study(
    title="The first", researcher=rosa, people=[ada, ben], extraction=Extraction.objects.get(),
    min_tokens=6,
)
"""


def press(page: Page, name: str | re.Pattern[str]) -> None:
    page.get_by_role("button", name=name).click()


def assert_fits_and_is_accessible(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": RULES})
    assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 800})


def test_a_study_from_its_first_preview_to_the_archive(page: Page, world: Site):
    log_in(page, "rosa")
    page.get_by_role("link", name="New study").first.click()
    page.get_by_label("Title").fill("A campaign")
    page.get_by_label("ada").check()
    page.get_by_label("ben").check()
    page.get_by_label("Lists per layer").fill("2")
    page.get_by_label("Pilot lists").fill("3")
    page.get_by_label("Pilot lists").blur()
    expect(page.get_by_text("Lists of the study, 2 people per list")).to_be_visible()
    expect(page.get_by_role("cell", name="FFN updates")).to_be_visible()
    expect(page.get_by_text("a guess, until your studies have 20 annotations")).to_be_visible()
    expect(page.get_by_text("word0", exact=True)).to_be_visible()
    assert_fits_and_is_accessible(page)
    assert world.query("Study.objects.filter(title='A campaign').count()") == 0

    press(page, "Save as draft")
    expect(page.get_by_text("is saved as a draft")).to_be_visible()
    page.get_by_label("Minimum tokens").fill("3")
    press(page, "Save")
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    assert_fits_and_is_accessible(page)

    press(page, "Start the pilot")
    expect(page.get_by_text("in its pilot phase")).to_be_visible()
    run(world, ANSWER)
    own = "Assignment.objects.filter(item__study__title='A campaign')"
    assert world.query(f"list({own}.values_list('purpose').distinct())") == [["pilot"]]

    press(page, "Open")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    run(world, ANSWER)
    page.reload()
    expect(page.get_by_text("Annotations are in, so these rules are fixed")).to_be_visible()
    page.get_by_label("Lists per layer").fill("3")
    press(page, "Add lists")
    expect(page.get_by_text("6 lists were added")).to_be_visible()
    assert_fits_and_is_accessible(page)
    assert world.query(f"{own}.filter(purpose='annotation').count()") == 18 * 2

    page.get_by_role("link", name="Annotators").click()
    press(page, "Release unopened lists (ada)")
    expect(page.get_by_text("unopened lists of ada are free")).to_be_visible()
    assert_fits_and_is_accessible(page)
    page.get_by_role("link", name="Rules").click()

    press(page, "Pause")
    press(page, "Re-open")
    press(page, "Close")
    press(page, "Archive")
    expect(page.get_by_role("button", name="Take out of the archive")).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="A campaign")).to_have_count(0)
    page.get_by_role("link", name="Archived studies (1)").click()
    expect(page.get_by_role("heading", name="A campaign")).to_be_visible()


def test_a_copy_takes_the_rules_and_people_along(page: Page, world: Site):
    run(world, FIRST)
    log_in(page, "rosa")
    page.get_by_role("link", name="The first", exact=True).click()
    page.get_by_role("link", name="Rules", exact=True).click()
    page.get_by_label("Title of the copy").fill("The second")
    press(page, "Duplicate the study")
    expect(page.get_by_text("“The second” is a draft now")).to_be_visible()
    expect(page.get_by_label("Minimum tokens")).to_have_value("6")
    page.get_by_role("link", name="Annotators").click()
    expect(page.get_by_role("rowheader", name="ada")).to_be_visible()
