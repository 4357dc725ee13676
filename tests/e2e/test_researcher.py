"""A researcher and a study, in a real browser: preview, pilot, open, extend, close, archive."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.pages import RULES, log_in, look, picture, run
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


# Answers that vary with the list and its kind; then the study's results.
PAST = """
from tests.annotation_site.factories import *
from annotation_site.annotation.models import *
from annotation_site.results.snapshots.services import snapshot_refresh_now
ada, ben, rosa = (User.objects.get(username=name) for name in ("ada", "ben", "rosa"))
LanguageModel.objects.update(d_ff=3072)
study = make_study(
    title="What came before", researcher=rosa, people=[ada, ben],
    extraction=Extraction.objects.get(), lists_per_layer=3,
)
for one in Assignment.objects.filter(item__study=study).select_related(
    "item__vector", "item__study", "membership__user"
):
    tokens = {"value": 12, "random": 5}.get(one.item.vector.kind, 8)
    tokens += 4 * (one.item.vector.index % 3) + one.membership_id % 2
    submit(one, answer(pattern(1, list(range(1, tokens + 1)))))
snapshot_refresh_now(study=study)
"""


def press(page: Page, name: str | re.Pattern[str]) -> None:
    """The button of this name; of two that are alike, the one in the dialog that is open."""
    within = page.locator("dialog[open]") if page.locator("dialog[open]").count() else page
    within.get_by_role("button", name=name).click()


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
    page.get_by_text("Training and checks").click()
    page.get_by_label("Pilot lists").fill("3")
    page.get_by_label("Pilot lists").blur()
    expect(page.get_by_text("Lists of the study, 2 annotators per list")).to_be_visible()
    expect(page.get_by_text("3 pilot lists.")).to_be_visible()  # the folded group says so
    expect(page.get_by_text("a guess, until your studies have 20 annotations")).to_be_visible()
    expect(page.get_by_text("word0", exact=True)).to_be_visible()
    assert_fits_and_is_accessible(page)
    assert world.query("Study.objects.filter(title='A campaign').count()") == 0

    press(page, "Save as draft")
    expect(page.get_by_text("is saved as a draft")).to_be_visible()
    page.get_by_text("Patterns", exact=True).click()
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

    page.get_by_role("link", name="Annotators", exact=True).click()
    press(page, "Release unopened lists (ada)")
    expect(page.get_by_text("unopened lists of ada are free")).to_be_visible()
    assert_fits_and_is_accessible(page)
    page.get_by_role("link", name="Rules").click()

    press(page, "Pause…")
    expect(page.get_by_role("dialog")).to_contain_text("What they typed is kept.")
    press(page, "Cancel")
    press(page, "Pause…")
    press(page, "Pause")
    press(page, "Re-open")
    press(page, "Close…")
    press(page, "Close it")
    press(page, "Archive…")
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
    page.get_by_role("link", name="Copy this study").click()
    page.get_by_label("Title of the copy").fill("The second")
    press(page, "Duplicate the study")
    expect(page.get_by_text("“The second” is a draft now")).to_be_visible()
    expect(page.get_by_text("at least 6 tokens")).to_be_visible()
    page.get_by_role("link", name="Annotators", exact=True).click()
    expect(page.get_by_role("rowheader", name="ada")).to_be_visible()


def test_a_study_with_training_is_made_in_one_go(page: Page, world: Site):
    log_in(page, "rosa")
    page.get_by_role("link", name="New study").first.click()
    page.get_by_label("Title").fill("With training")
    page.get_by_label("ada").check()
    page.get_by_label("ben").check()
    page.get_by_text("Training and checks").click()
    page.get_by_label("Training lists").fill("2")
    press(page, "Create and open")
    expect(page.get_by_text("Write these annotations, then open it.")).to_be_visible()
    look(page, "references-missing")
    page.get_by_role("button", name="Annotate").first.click()
    for _ in range(2):  # the second list comes by itself
        before = page.url
        page.locator("html[data-ready]").wait_for(state="attached")
        page.keyboard.press("x")
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url, before=before: url != before)
    expect(page.get_by_text("All 2 lists have a reference annotation.")).to_be_visible()
    press(page, "Open the study")
    expect(page.get_by_text("0 of 68")).to_be_visible()
    look(page, "study-home-open")


def test_what_a_model_does_not_have_is_said_at_the_field_and_taken_with_one_click(page: Page):
    log_in(page, "rosa")
    page.get_by_role("link", name="New study").first.click()
    preview = page.get_by_role("complementary", name="Preview")
    expect(preview.get_by_role("cell", name="36")).to_be_visible()  # the only model is chosen
    page.get_by_label("Lists per layer").fill("500")
    expect(page.locator("#say-lists_per_layer")).to_contain_text("has only 6 lists per layer")
    expect(preview).to_contain_text("6 of 500")
    look(page, "new-study-remedy")
    press(page, "Use 6")
    expect(page.get_by_label("Lists per layer")).to_have_value("6")
    expect(page.locator("#say-lists_per_layer")).to_be_empty()
    page.get_by_label("ada").check()
    expect(page.locator("#say-annotators_per_list")).to_contain_text("Annotators chosen: 1.")
    press(page, "Use 1")
    expect(preview.get_by_text("1 person does all of it.")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    for place in (0, 10_000):  # at the page's top and at its end: the preview is in sight
        page.evaluate("(y) => scrollTo(0, y)", place)
        expect(preview.get_by_role("button", name="Create and open")).to_be_in_viewport()
        expect(preview.get_by_text("hours each")).to_be_in_viewport()
    expect(preview.get_by_text("A list, as annotators see it")).to_be_hidden()
    page.get_by_label("Details").check()
    expect(preview.get_by_text("A list, as annotators see it")).to_be_visible()
    picture(page, "new-study-unfolded-390.png")


def test_a_study_is_made_without_scripts(browser: Browser, world: Site):
    context = browser.new_context(base_url=world.address, java_script_enabled=False)
    page = context.new_page()
    log_in(page, "rosa")
    page.get_by_role("link", name="New study").first.click()
    page.get_by_label("Title").fill("Without scripts")
    page.get_by_label("ada").check()
    page.get_by_label("Lists per layer").fill("500")
    page.get_by_label("Annotators per list").fill("1")
    press(page, "Update the preview")
    expect(page.locator("#say-lists_per_layer")).to_contain_text("has only 6 lists per layer")
    press(page, "Use 6")
    expect(page.get_by_label("Lists per layer")).to_have_value("6")
    press(page, "Create and open")
    expect(page.get_by_role("heading", name="Progress")).to_be_visible()
    context.close()


def test_a_study_s_home_says_what_presses_and_asks_before_it_stops_work(page: Page, world: Site):
    run(world, FIRST)
    log_in(page, "rosa")
    page.get_by_role("link", name="The first", exact=True).click()
    expect(page.get_by_role("heading", name="Needs attention")).to_have_count(0)
    run(world, "from annotation_site.annotation.models import *\n"
        "from django.utils import timezone\nfrom datetime import timedelta\n"
        "ago = timezone.now() - timedelta(days=9)\n"
        "Membership.objects.filter(user__username='ada').update(consented_at=ago)\n"
        "Assignment.objects.filter(pk__in=Assignment.objects.filter("
        "membership__user__username='ben').values('pk')[:3])"
        ".update(state='in progress', opened_at=ago)")  # fmt: skip
    page.reload()
    expect(page.get_by_text("has not started in 9 days")).to_be_visible()
    expect(page.get_by_text("3 opened lists are past their time")).to_be_visible()
    look(page, "study-home")
    page.goto("/")
    look(page, "home-researcher")
    page.get_by_role("link", name="See their lists").first.click()
    expect(page.get_by_role("heading", name="Progress")).to_be_visible()
    page.get_by_role("link", name="The first").click()
    press(page, "Pause…")
    press(page, "Pause")
    expect(page.get_by_text("paused", exact=True)).to_be_visible()


def test_a_preview_predicts_the_precision_from_a_study_before(page: Page, world: Site):
    run(world, PAST)
    log_in(page, "rosa")
    page.get_by_role("link", name="New study").first.click()
    fold = page.locator("details.precision")
    expect(fold.locator("summary")).to_contain_text("points; detects")
    fold.locator("summary").click()
    expect(fold.get_by_role("combobox", name="Predicted from")).to_have_value("what-came-before")
    said = fold.get_by_text("With 6 lists per layer and kind and 2 people per list")
    page.get_by_label("Lists per layer").fill("6")
    page.get_by_label("ada").check()
    page.get_by_label("ben").check()
    expect(said).to_be_visible()  # the fold is open still
    expect(fold.locator("td[aria-current]")).to_contain_text("(your plan)")
    fold.get_by_role("combobox").focus()
    fold.get_by_role("combobox").dispatch_event("change")
    page.wait_for_load_state("networkidle")
    expect(fold.get_by_role("combobox")).to_be_focused()
    fold.locator("td[aria-current]").scroll_into_view_if_needed()
    look(page, "new-study-precision")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(said).to_be_hidden()
    page.get_by_label("Details").check()
    expect(said).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture(page, "new-study-precision-unfolded-390.png")
