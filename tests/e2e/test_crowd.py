"""A participant of a crowd platform from the link to the code, and one who leaves on the way."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.pages import look, watched_page
from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
PEOPLE = {"rosa": "researcher"}
WORLD = """
from tests.annotation_site.factories import *
from tests.annotation_site.annotation.crowd.people import CHECK, make_link
from annotation_site.accounts.models import User
rosa = User.objects.get(username='rosa')
study = make_study(title='Concepts in a small encoder', researcher=rosa, annotators=1,
    annotators_per_list=1)
study.memberships.filter(role='annotator').get().assignments.update(state='expired')
make_link(study, name='First wave', preset='prolific', questions=CHECK, completion_code='DONE-42',
    most_lists=2)
"""
TOKEN = "list(OpenLink.objects.values_list('token', flat=True))[0]"


def take_place(page: Page, address: str) -> None:
    """From the link to the first list."""
    page.goto(address)
    look(page, "crowd-landing")
    page.get_by_role("button", name="Start").click()
    look(page, "crowd-consent")
    page.get_by_role("button", name="Continue to the lists").click()
    expect(page.get_by_role("heading", name="A few questions first")).to_be_visible()
    look(page, "crowd-check")
    page.get_by_label("one", exact=True).check()
    page.get_by_label("no", exact=True).check()
    page.get_by_role("button", name="Send my answers").click()
    expect(page.get_by_text("1 of 2 answers are correct.")).to_be_visible()
    page.get_by_label("four", exact=True).check()
    page.get_by_role("button", name="Send my answers").click()
    page.get_by_role("link", name="Start").click()
    expect(page.get_by_role("option")).to_have_count(30)


def submit_without_pattern(page: Page) -> None:
    page.get_by_role("checkbox", name="No pattern in this list").check()
    page.get_by_role("button", name="Submit").click()


def test_a_participant_goes_from_the_link_to_the_code_and_another_one_leaves(
    world: Site, browser: Browser
):
    link = f"{world.address}/open/{world.query(TOKEN)}/?STUDY_ID=s&SESSION_ID=x&PROLIFIC_PID="
    with watched_page(browser, world.address) as page:
        take_place(page, link + "p1")
        submit_without_pattern(page)
        expect(page.locator("#position")).to_have_text("List 2 of 2")
        page.goto(link + "p1")  # the platform's tab again: the same place, not another account
        page.get_by_role("link", name="Continue with list 2").click()
        submit_without_pattern(page)
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        expect(page.get_by_label("Completion code")).to_have_value("DONE-42")
        look(page, "crowd-done")
    with watched_page(browser, world.address) as page:
        take_place(page, link + "p2")
        page.goto(world.address)
        page.get_by_role("link", name="Leave the study").click()
        look(page, "crowd-leave")
        page.get_by_role("button", name="Withdraw from this study").click()
        expect(page.get_by_text("You have left the study")).to_be_visible()
        look(page, "crowd-ended")
    with watched_page(browser, world.address) as page:
        page.goto("/login/")
        page.get_by_label("Name").fill("rosa")
        page.get_by_label("Password").fill("correct horse battery staple")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Concepts in a small encoder", exact=True).click()
        expect(page.get_by_text("1 of 1 open", exact=True)).to_be_visible()
        page.get_by_role("link", name="Open links").click()
        look(page, "open-links")
        page.get_by_role("link", name="First wave", exact=True).click()
        look(page, "open-link")
        page.get_by_role("link", name="Payment").first.click()
        expect(page.get_by_text("2 participants: 1 left, 1 complete.")).to_be_visible()
        expect(page.get_by_text("DONE-42")).to_be_visible()
        look(page, "payment")
