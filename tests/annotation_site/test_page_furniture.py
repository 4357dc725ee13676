"""One hand on every page: one main button, a heading, a way back, one format of dates."""

import re
from pathlib import Path

import pytest
from django.utils import translation

from annotation_site.templatetags.plain_words import day, moment
from tests.annotation_site.addresses import GET, address

SITE = Path(__file__).resolve().parents[2] / "annotation_site"
TEMPLATES = sorted((SITE / "templates").rglob("*.html"))
# Where a date is written; all others use these.
DATES = {"site/_time.html"}
MAIN = re.compile(r'class="[^"]*\bbutton-primary\b')
HEADING = re.compile(r"<h1\b")
# Homes, and pages that people come to from outside the site, have no page above them.
NO_WAY_BACK = {
    "home", "site", "login", "account_login", "account_signup", "account_inactive", "accounts:own",
    "account_reset_password", "account_reset_password_done", "account_reset_password_from_key",
    "account_reset_password_from_key_done", "account_reauthenticate", "corpus:models",
    "accounts:people", "accounts:invitations", "annotation:hours", "annotation:tutorial",
    "annotation:comparison", "socialaccount_login_cancelled", "socialaccount_login_error",
    "socialaccount_signup",
}  # fmt: skip
WAY_BACK = re.compile(r'class="crumbs"|data-home-url|<nav aria-label="[^"]*"')


def pages(world):
    """Each page that answers 200, by name and role, once it is more than a part of one."""
    study, assignment, clients = world
    for name, expected in GET.items():
        for role, client in enumerate(clients):
            # The world's public page is a file of the test; real ones are looked at in a browser.
            if expected[role] != 200 or name.startswith(("api:", "public:page", "public:file")):
                continue
            response = client.get(address(name, study, assignment))
            if response.streaming:
                list(response.streaming_content)
                continue
            if response["Content-Type"].startswith("text/html"):
                page = response.content.decode()
                if page.startswith("<!doctype html>"):
                    yield f"{name} ({role})", name, page


@pytest.mark.django_db
def test_every_page_has_a_heading_a_way_back_and_at_most_one_main_button(world):
    faults, seen = [], 0
    for who, name, page in pages(world):
        seen += 1
        asked = re.sub(r"<dialog\b.*?</dialog>", "", page, flags=re.DOTALL)  # has one of its own
        buttons = len(MAIN.findall(asked))
        if buttons > 1:
            faults.append(f"{who}: {buttons} main buttons")
        if len(HEADING.findall(page)) != 1:
            faults.append(f"{who}: {len(HEADING.findall(page))} headings")
        main = page[page.index("<main") :] if "<main" in page else page
        if name not in NO_WAY_BACK and 'class="crumbs"' not in main and 'href="/"' not in page:
            faults.append(f"{who}: no way back")
    assert seen > 100
    assert faults == [], "\n".join(map(str, faults))


def test_templates_write_dates_through_the_one_partial_and_its_filters():
    faults = []
    for path in TEMPLATES:
        name = str(path.relative_to(SITE / "templates"))
        text = path.read_text()
        # An attribute for programs is no date that people read.
        shown = re.sub(r"""(iso|datetime)="?[^>%]*?\|date:'(c|Y-m-d)'""", "", text)
        for found in re.findall(
            r"\|(?:date|time|timesince|timeuntil)\b:?\S*|{% now [^%]*%}", shown
        ):
            if name not in DATES:
                faults.append(f"{name}: {found}")
    assert faults == [], "\n".join(map(str, faults))


def test_scripts_write_dates_through_the_one_module():
    faults = [
        str(path.relative_to(SITE))
        for path in sorted((SITE / "static").rglob("*.js"))
        if path.name != "times.js"
        and re.search(
            r"toLocale(Date|Time)String|DateTimeFormat|toUTCString|toISOString", path.read_text()
        )
    ]
    assert faults == [], "\n".join(map(str, faults))


def test_a_moment_and_a_day_have_one_format_in_every_language():
    from datetime import UTC, datetime

    at = datetime(2026, 11, 29, 13, 32, 5, tzinfo=UTC)
    for language in ("en", "de"):
        with translation.override(language):
            assert moment(at) == "29 Nov 2026, 13:32 UTC"
            assert moment(at, True) == "29 Nov 2026, 13:32:05 UTC"
            assert day(at) == "29 Nov 2026"


@pytest.mark.django_db
def test_no_page_shows_a_date_in_another_format(world):
    other = re.compile(
        r">[^<]*(\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d|\b\d{1,2}/\d{1,2}/\d{4}|"
        r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z.]* \d{1,2}, \d{4})"
    )
    faults = [
        f"{who}: {found[0]}" for who, _, page in pages(world) if (found := other.search(page))
    ]
    assert faults == [], "\n".join(map(str, faults))
