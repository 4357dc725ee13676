"""A researcher watches a study and releases lists, in a real browser."""

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.pages import log_in, look, requests_from_now, stop_timers
from tests.e2e.site import Site, wait_for
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-studies"), ONCE]
PEOPLE = {"ada": "annotator", "ben": "annotator", "cleo": "annotator", "rosa": "researcher"}
STUDY = "/studies/concepts-in-a-small-encoder/"
# Three people, of whom two have answered four lists each; ben hurries.
WORLD = """
import uuid
from annotation_site.annotation.work import submissions
from annotation_site.annotation.models import *
from annotation_site.accounts.models import User
from annotation_site.analysis import MEASURES_VERSION
from annotation_site.results.tables.filters import Filters
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.versions import data_version
from tests.annotation_site.factories import *
from django.utils import timezone
ada, ben, cleo, rosa = (User.objects.get(username=n) for n in ("ada", "ben", "cleo", "rosa"))
study = make_study(people=[ada, ben, cleo], researcher=rosa, annotators_per_list=2,
    title="Concepts in a small encoder", extraction=make_extraction(per_layer=4))
shared = [i for i in study.items.order_by("pk")
          if {a.membership.user_id for a in i.assignments.all()} == {ada.pk, ben.pk}]
def send(user, item, content, seconds):
    row = item.assignments.get(membership__user=user)
    submissions.assignment_submit(user=user, public_id=row.public_id, base_version=0,
        key=uuid.uuid4(), annotation=content, active_seconds=0)
    Assignment.objects.filter(pk=row.pk).update(active_seconds=seconds)
for n, item in enumerate(shared[:5]):
    birds = pattern(1, [1, 2, 3, 4, 5 + n], description="birds that sing")
    owls = pattern(1, [1, 2, 3, 10], description="owls and other birds", category="syntactic")
    send(ada, item, answer(birds, pattern(2, [20, 21, 22, 23], description="tools")), 95 + n)
    send(ben, item, answer(owls), 4)
row = Assignment.objects.filter(membership__user=ada, state="waiting").first()
submissions.assignment_skip(user=ada, public_id=row.public_id, base_version=0, key=uuid.uuid4(),
    reason="I do not know enough of these words")
filters = Filters.of(study)
columns = [["model", "text"], ["kind", "text"], ["layer", "number"], ["coverage", "number"]]
ranking = [["list_id", "number"], ["mean_matched_jaccard", "number"]]
Snapshot.objects.create(study=study, data_version=data_version(study.pk), filter_key=filters.key,
    filters=filters.canonical(), state="ready", counts={"annotations": 10},
    finished_at=timezone.now(), measures_version=MEASURES_VERSION,
    tables={"coverage": {"columns": columns, "rows": [["model-0", "value", None, 0.31]]},
        "disagreement": {"columns": ranking, "rows": [[i.pk, 0.1 * n]
            for n, i in enumerate(shared[:5])]}})
"""


@pytest.fixture
def page(page: Page) -> Page:
    """A browser in which the researcher is logged in."""
    log_in(page, "rosa")
    return page


def test_an_answer_that_comes_in_shows_without_a_reload(page: Page, world: Site):
    page.clock.install()
    page.get_by_role("link", name="Concepts in a small encoder", exact=True).click()
    page.get_by_role("link", name="Progress", exact=True).click()
    expect(page.get_by_text("10 of 48 annotations")).to_be_visible()
    expect(page.get_by_text("Very fast: the median of the last 5 lists is 4 s")).to_be_visible()
    expect(page.get_by_text("31.0%")).to_be_visible()
    world.run(
        "import uuid\n"
        "from annotation_site.annotation.work import submissions\n"
        "from annotation_site.annotation.models import Assignment\n"
        "row = Assignment.objects.filter(membership__user__username='cleo').first()\n"
        "submissions.assignment_submit(user=row.membership.user, public_id=row.public_id,"
        " base_version=0, key=uuid.uuid4(), active_seconds=0,"
        " annotation={'patterns': [], 'no_pattern': True, 'comment': ''})",
    )  # fmt: skip
    page.clock.run_for(11_000)
    expect(page.get_by_text("11 of 48 annotations")).to_be_visible()


def test_a_hidden_page_asks_for_nothing_and_looks_again_when_it_is_seen(page: Page):
    page.clock.install()
    stop_timers(page)  # else the page may look again by itself before it is hidden
    page.goto(f"{STUDY}run/")
    expect(page.get_by_text("Very fast")).to_be_visible()
    expect(page.get_by_text("31.0%")).to_be_visible()
    asked = requests_from_now(page)
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
    page.evaluate(hide % "true")
    page.clock.run_for(35_000)
    assert asked == []
    page.evaluate(hide % "false")
    with page.expect_request("**/run/progress/**"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))")
    assert len(asked) == 1  # the browser tells of requests in order: none came before it


def test_news_that_come_while_a_question_is_open_do_not_take_its_form_away(page: Page):
    page.clock.install()
    page.goto(f"{STUDY}run/")
    waiting: list[Route] = []
    page.route("**/run/progress/**", lambda route: waiting.append(route))
    with page.expect_request("**/run/progress/**"):
        page.clock.run_for(11_000)
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="ben"))
    row.get_by_role("button", name="Release").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    with page.expect_response("**/run/progress/**"):
        waiting[0].fulfill(content_type="text/html", body='<div id="progress">News</div>')
    page.get_by_role("dialog").get_by_role("button", name="Release").click()
    expect(page.get_by_text("of ben are released")).to_be_visible()


def asked_by_key(page: Page, row: Locator) -> bool:
    dialog = page.get_by_role("dialog")
    if not dialog.is_visible():
        row.get_by_role("button", name="Release").press("Enter")
    return dialog.is_visible()


def test_unopened_lists_are_released_after_a_question(page: Page, world: Site):
    page.goto(f"{STUDY}run/")
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="ben"))
    row.get_by_role("button", name="Release").click()
    expect(page.get_by_role("dialog")).to_contain_text("of \u2068ben\u2069?")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    # News that come between the focus and the key take the button away with both.
    wait_for(lambda: asked_by_key(page, row))
    # News that come while the dialog closes would take the form away before it is sent.
    page.evaluate(
        """document.getElementById('question').addEventListener('close', () => {
            const news = new CustomEvent('htmx:beforeSwap', {bubbles: true, cancelable: true});
            sessionStorage.kept = !document.getElementById('progress').dispatchEvent(news);
        }, {capture: true})"""
    )
    page.get_by_role("dialog").get_by_role("button", name="Release").click()
    expect(page.get_by_text("of ben are released")).to_be_visible()
    assert page.evaluate("sessionStorage.kept") == "true"
    expect(row.get_by_role("button", name="Release")).to_have_count(0)
    left = world.query(
        "Assignment.objects.filter(membership__user__username='ben', state='waiting').count()"
    )
    assert left == 0


def test_no_barrier_that_axe_finds_and_no_sideways_scrolling(page: Page):
    for what, path in (
        ("run", f"{STUDY}run/"),
        ("lists", f"{STUDY}run/lists/?order=overlap"),
        ("queue", f"{STUDY}adjudication/"),
    ):
        page.goto(path)
        if what == "run":
            expect(page.get_by_text("Very fast")).to_be_visible()
            expect(page.get_by_text("31.0%")).to_be_visible()
        look(page, what)
