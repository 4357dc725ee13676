"""An annotator's way around the lists, in a real browser: consent, home, hours, leaving."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.pages import log_in, log_out, look, stop_timers
from tests.e2e.site import Site, wait_for
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), ONCE]
PEOPLE = {"ada": "annotator", "ben": "annotator", "rosa": "researcher"}
# One person on the way: six lists submitted over two days, one skipped, one whose time runs out.
WORLD = """
import uuid
from datetime import timedelta
from django.utils import timezone
from annotation_site.annotation.work import submissions
from annotation_site.annotation.models import *
from annotation_site.accounts.models import User
from tests.annotation_site.factories import *
ada, ben, rosa = (User.objects.get(username=name) for name in ("ada", "ben", "rosa"))
study = make_study(
    people=[ada, ben, *UserFactory.create_batch(1)], researcher=rosa,
    title="Concepts in a small encoder", extraction=make_extraction(per_layer=4),
    consent="We keep **what you submit** for research.\\n\\n- It is shown without your name.",
)
Membership.objects.filter(user=ben).update(consent_version=None, consented_at=None)
own = Assignment.objects.filter(membership__user=ada).order_by("position")
now = timezone.now()
first = list(own[:8])  # all are open before one is skipped, after which unopened ones move
Assignment.objects.filter(pk__in=[row.pk for row in first]).update(
    state="in progress", opened_at=now - timedelta(hours=70)
)
for row in first:
    send = {"user": ada, "public_id": row.public_id, "base_version": 0, "key": uuid.uuid4(),
            "active_seconds": 60 + 25 * row.position}
    content = answer(*(pattern(n, [n]) for n in range(1, row.position % 3 + 1)))
    if row.position == 3:
        submissions.assignment_skip(**send, reason="Offensive or upsetting words")
    elif row.position < 8:
        submissions.assignment_submit(**send, annotation=content)
again = own[1]
again.refresh_from_db()
submissions.draft_save(user=ada, public_id=again.public_id, base_version=again.draft_version,
    content={"annotation": answer(pattern(1, [9]))}, active_seconds=0)
WorkedDay.objects.filter(assignment__position__lt=4).update(day=now.date() - timedelta(days=1))
"""


def test_a_newcomer_agrees_with_one_key_and_can_leave_again(page: Page):
    log_in(page, "ben")
    page.get_by_role("link", name="Start").click()
    expect(page.get_by_role("heading", name="Before you start")).to_be_visible()
    expect(page.get_by_text("shown without your name")).to_be_visible()
    expect(page.get_by_text("some lists contain offensive or upsetting words")).to_be_visible()
    expect(page.get_by_role("button", name="Agree and continue")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("option")).to_have_count(30)
    page.goto("/")
    page.get_by_role("link", name="My lists").click()
    page.get_by_role("link", name="Withdraw from this study").click()
    page.get_by_role("button", name="Withdraw from this study").click()
    expect(page.get_by_text("You have withdrawn from")).to_be_visible()
    expect(page.get_by_text("No study to work on")).to_be_visible()


def test_a_skip_names_offensive_words(page: Page, world: Site):
    log_in(page, "ada")
    page.get_by_role("link", name="Continue").click()
    page.locator("html[data-ready]").wait_for(state="attached")
    page.keyboard.press("q")
    page.get_by_label("Offensive or upsetting words").check()
    page.get_by_role("button", name="Skip and next").click()
    expect(page.locator("#position")).to_contain_text("List 9")
    skipped = world.query(
        "list(Assignment.objects.filter(position=8, state='skipped').values('skip_reason'))"
    )
    assert skipped == [{"skip_reason": "Offensive or upsetting words"}]


def test_what_could_not_be_saved_is_sent_from_home_and_before_logging_out(page: Page, world: Site):
    page.clock.install()
    log_in(page, "ada")
    page.get_by_role("link", name="Continue").click()
    page.locator("html[data-ready]").wait_for(state="attached")
    page.route("**/draft", lambda route: route.abort())
    page.keyboard.press("1")
    expect(page.locator("#save-state")).to_contain_text("Not saved")
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/")
    expect(page.get_by_text("Some of your work has not reached the server")).to_be_visible()
    stop_timers(page)  # else a busy server may not answer while logging out waits for it
    page.unroute("**/draft")
    log_out(page)
    assert page.evaluate("Object.keys(localStorage).filter((k) => /draft/.test(k))") == []
    draft = world.query("Assignment.objects.exclude(draft=None).get(position=8).draft")
    assert draft["annotation"]["patterns"][0]["ranks"] == [1]


def test_logging_out_never_waits_long_for_a_server_and_keeps_what_it_did_not_take(page: Page):
    page.clock.install()
    page.add_init_script("AbortSignal.timeout = () => new AbortController().signal")
    log_in(page, "ada")
    page.get_by_role("link", name="Continue").click()
    page.locator("html[data-ready]").wait_for(state="attached")
    page.route("**/draft", lambda route: route.abort())
    page.keyboard.press("1")
    expect(page.locator("#save-state")).to_contain_text("Not saved")
    page.on("dialog", lambda dialog: dialog.accept())
    page.unroute("**/draft")
    page.route("**/draft", lambda route: None)  # nobody ever answers
    page.goto("/")
    stop_timers(page)
    page.get_by_role("button", name="Log out").click()
    page.clock.run_for(3_000)
    expect(page.get_by_role("link", name="Log in").first).to_be_visible()
    assert len(page.evaluate("Object.keys(localStorage).filter((k) => /draft/.test(k))")) == 1
    page.unroute("**/draft")
    page.route("**/draft", lambda route: route.abort())
    log_in(page, "ben")  # on the same computer: not ben's work, so it is neither shown nor sent
    page.wait_for_load_state("networkidle")  # what is sent would have been refused by now
    expect(page.locator("#unsent")).to_be_hidden()
    page.unroute("**/draft")
    log_out(page)
    log_in(page, "ada")
    # Not wait_for_function: it evaluates in the page, which the page's policy forbids.
    sent = "Object.keys(localStorage).every((k) => !/draft/.test(k))"
    wait_for(lambda: page.evaluate(sent))


def test_active_time_goes_on_after_a_reload(page: Page, world: Site):
    log_in(page, "ada")
    page.clock.install()
    stop_timers(page)  # else the seconds that a busy machine takes count as well
    page.get_by_role("link", name="Continue").click()
    page.locator("html[data-ready]").wait_for(state="attached")
    active = "Assignment.objects.get(position=8, membership__user__username='ada').active_seconds"
    for _ in range(2):
        for _ in range(40):
            page.clock.run_for(1_000)
        page.keyboard.press("1")
        page.clock.run_for(2_000)
        expect(page.locator("#save-state")).to_have_text("Saved")
        page.reload()
        page.locator("html[data-ready]").wait_for(state="attached")
    assert 80 <= world.query(active) <= 90


def test_no_barrier_that_axe_finds_and_no_sideways_scrolling(page: Page):
    study = "/studies/concepts-in-a-small-encoder/"
    for name, paths in (
        ("ada", {"home": "/", "study": study, "withdraw": f"{study}withdraw/", "hours": "/hours/",
                 "agreed": f"{study}consent/"}),
        ("ben", {"start": "/", "consent": f"{study}consent/", "no-hours": "/hours/"}),
        ("rosa", {"run": "/", "texts": f"{study}texts/", "new": "/studies/new/"}),
    ):  # fmt: skip
        log_in(page, name)
        for what, path in paths.items():
            response = page.goto(path)
            assert response is not None
            assert response.status == 200, path
            look(page, what)
        log_out(page)


def test_times_are_told_on_the_persons_own_clock(browser: Browser, world: Site):
    context = browser.new_context(
        base_url=world.address, locale="en-GB", timezone_id="Asia/Kathmandu"
    )
    page = context.new_page()
    log_in(page, "ada")
    lease = page.locator(".leases time")
    utc = re.search(r"T(\d\d):(\d\d)", lease.get_attribute("datetime") or "")
    assert utc is not None
    minutes = (int(utc[1]) * 60 + int(utc[2]) + 345) % 1440  # Nepal is 5:45 ahead
    expect(lease).to_contain_text(f"{minutes // 60:02}:{minutes % 60:02}")
    context.close()
