"""How a person comes into a running study: an invitation's link, a name and a password, and the
first list at once."""

import re
import time

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.pages import look
from tests.e2e.site import PASSWORD, Site

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
# Its one annotator has every slot, until somebody else comes.
STUDY = (
    "from tests.annotation_site.factories import *; "
    "make_study(title='Concepts in a small encoder', annotators=1, annotators_per_list=1)"
)


def new_context(browser: Browser, **options) -> BrowserContext:
    """A browser of somebody's own, in which a script's error or a breach of the policy fails."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
    context.faults = []  # type: ignore[attr-defined]
    context.on("weberror", lambda error: context.faults.append(str(error.error)))  # type: ignore[attr-defined]
    context.on(
        "console",
        lambda said: context.faults.append(said.text) if "Security Policy" in said.text else None,  # type: ignore[attr-defined]
    )
    return context


def log_in(page: Page, site: Site, name: str) -> None:
    page.goto(site.address + "/login/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def invite(page: Page, browser_context: BrowserContext) -> str:
    """An admin makes an invitation into the study; returns what the copy button copied."""
    page.get_by_role("link", name="People").click()
    look(page, "people")
    page.get_by_role("link", name="Invitations").click()
    look(page, "invitations-empty")
    page.get_by_role("link", name="New invitation").click()
    page.get_by_label("Study", exact=False).first.select_option(index=1)
    look(page, "invitation-new")
    page.get_by_role("button", name="Make the link").click()
    expect(page.get_by_text("A newcomer would get about")).to_contain_text("unopened ones of")
    page.get_by_role("button", name="Copy the link").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    look(page, "invitation-made")
    link = page.get_by_label("Link").input_value()
    assert page.evaluate("navigator.clipboard.readText()") == link
    page.get_by_role("link", name="Invitations").click()
    look(page, "invitations")
    return link


def join(page: Page, link: str) -> None:
    page.goto(link)
    expect(page.get_by_text("Concepts in a small encoder")).to_be_visible()
    page.get_by_label("Name").fill("nina")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_text("This password is too short")).to_be_visible()
    look(page, "join")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Join").click()
    page.get_by_role("link", name="Start").click()
    page.get_by_role("button", name="Continue to the lists").click()
    expect(page.get_by_role("option")).to_have_count(30)


def protect(page: Page, site: Site) -> str:
    """Set up a second factor; returns its secret."""
    page.goto(site.address)
    page.get_by_role("link", name="nina").click()
    look(page, "account")
    page.get_by_role("link", name="Set up a second factor").click()
    look(page, "second-factor")
    page.get_by_role("link", name="Set up").click()
    look(page, "confirm")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("img")).to_be_visible()
    assert page.evaluate("document.querySelector('img').naturalWidth") > 0
    look(page, "second-factor-add")
    secret = page.get_by_label("Secret").input_value()
    page.get_by_label("code").fill(code_of(secret))
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    look(page, "recovery-codes")
    return secret


def code_of(secret: str, steps: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def test_from_an_invitation_to_the_first_list_and_back_in_with_a_second_factor(
    stopped_site: Site, browser: Browser
):
    site = stopped_site
    site.start_web()
    site.add_people(root="admin")
    site.run(STUDY)
    hers = new_context(browser, permissions=["clipboard-read", "clipboard-write"])
    admin = hers.new_page()
    log_in(admin, site, "root")
    link = invite(admin, hers)

    theirs = new_context(browser)
    nina = theirs.new_page()
    join(nina, link)
    secret = protect(nina, site)
    nina.get_by_role("link", name="nina").click()
    nina.get_by_role("link", name="See your sessions").click()
    look(nina, "sessions")
    nina.get_by_role("button", name="Log out").click()
    look(nina, "start")
    log_in(nina, site, "nina")
    expect(nina.get_by_role("heading", name="Second factor")).to_be_visible()
    look(nina, "login-second-factor")
    nina.get_by_label("code").fill(code_of(secret, 1))  # a code works once; the next one is due
    nina.get_by_role("button", name="Log in").click()
    expect(nina.get_by_role("heading", name="Studies", exact=True)).to_be_visible()

    second = new_context(browser).new_page()
    second.goto(link)
    expect(second.get_by_text(re.compile("used up"))).to_be_visible()
    look(second, "invitation-gone")

    admin.goto(site.address + "/people/")
    admin.get_by_role("link", name="nina").click()
    look(admin, "person")
    admin.get_by_role("button", name="Make a link").click()
    look(admin, "reset-link")
    admin.goto(site.address + "/log/")
    look(admin, "log")
    admin.goto(site.address + "/people/")
    admin.get_by_role("link", name="nina").click()
    admin.get_by_role("link", name="Erase").click()
    look(admin, "erase")
    admin.get_by_label("Type the name").fill("nina")
    admin.get_by_role("button", name="Erase this person").click()
    expect(admin.get_by_text("The person is erased.")).to_be_visible()
    nina.reload()
    expect(nina.get_by_role("link", name="Log in").first).to_be_visible()
    assert hers.faults == theirs.faults == []  # type: ignore[attr-defined]
