"""Each page is in one language: annotators' in the chosen one, researchers' in English."""

import re

import pytest
from django.conf import settings
from django.test import Client
from django.utils.translation import trans_real

from annotation_site.annotation.crowd.joining import participation_end
from annotation_site.annotation.crowd.links import open_link_close
from annotation_site.annotation.models import Study
from annotation_site.annotation.studies.services import study_state_change
from tests.annotation_site.accounts.second_factor import confirm
from tests.annotation_site.addresses import GET, address
from tests.annotation_site.annotation.crowd.people import (
    CHECK,
    RIGHT,
    WRONG,
    agree,
    joined,
    make_link,
    participant,
    path,
    start,
    work,
)
from tests.annotation_site.factories import client_of, log_in, make_invitation
from tests.annotation_site.german_pages import GERMAN
from tests.annotation_site.marked_words import world  # noqa: F401

pytestmark = pytest.mark.django_db
NAMES = {name for _, name in settings.LANGUAGES}  # each in itself
# Tokens of forms and policies, and times that pass between two requests.
CHANGING = re.compile(rb'value="[A-Za-z0-9]{64}"|nonce="[^"]*"|<time\b.*?</time>|\d+')


@pytest.fixture
def untranslated(monkeypatch) -> list[str]:
    """The messages that German was asked for and lacks, as they come."""
    german = trans_real.translation("de")
    known, one, many = german._catalog, german.gettext, german.ngettext
    missing: list[str] = []

    def gettext(message: str) -> str:
        if message and known.get(message, None) is None:
            missing.append(message)
        return one(message)

    def ngettext(singular: str, plural: str, n: int) -> str:
        if known.get((singular, german.plural(n)), None) is None:
            missing.append(singular)
        return many(singular, plural, n)

    monkeypatch.setattr(german, "gettext", gettext)
    monkeypatch.setattr(german, "ngettext", ngettext)
    return missing


def page(client: Client, url: str, **headers: str) -> bytes:
    """The page that an address leads to, or nothing if it is a file."""
    response = client.get(url, headers=headers, follow=True)
    if response.streaming:
        list(response.streaming_content)  # to its end, which closes the file
        return b""
    return CHANGING.sub(b"", response.content) if b"<html" in response.content else b""


def in_one_language(client: Client, url: str, missing: list[str]) -> str:
    """The language of a page for a person who prefers German; it has no other."""
    missing.clear()
    found = page(client, url, **GERMAN)
    if b'<html lang="de">' in found:
        assert set(missing) <= NAMES, url
        return "de"
    if found:
        assert b'<html lang="en">' in found, url
        assert found == page(client, url), url
        return "en"
    return ""


def test_every_page_is_wholly_in_one_language(world, untranslated):  # noqa: F811
    study, assignment, clients = world
    found: dict[str, set[str]] = {"de": set(), "en": set(), "": set()}
    for name in (name for name in GET if not name.startswith("api:")):
        for role, client in clients.items():
            language = in_one_language(client, address(name, study, assignment), untranslated)
            found[language].add(f"{role} {name}")
    people_s = {one for one in found["en"] if one.startswith(("stranger", "annotator"))}
    # Public pages are written once, in the site's own language.
    assert people_s == {"stranger public:listed", "annotator public:listed"}
    assert {f"annotator {name}" for name in ("home", "annotation:list", "accounts:own",
            "results:results", "corpus:models")} <= found["de"]  # fmt: skip
    assert {f"admin {name}" for name in ("accounts:own", "annotation:tutorial")} <= found["de"]
    assert {f"admin {name}" for name in ("home", "corpus:models", "corpus:enqueue",
            "accounts:people", "results:results", "annotation:run", "annotation:new",
            "accounts:log")} <= found["en"]  # fmt: skip


def test_pages_behind_forms_and_errors_are_german_too(world, untranslated):  # noqa: F811
    _study, assignment, clients = world
    person = assignment.membership.user
    for url, client in (
        (make_invitation()[1], Client()),
        ("/nowhere/", clients["annotator"]),
        *((f"/lists/{own.public_id}/", client_of(person))
          for own in person.memberships.get().assignments.all()[:3]),
    ):  # fmt: skip
        assert in_one_language(client, url, untranslated) == "de", url
    fresh = log_in(Study.objects.get().created_by)
    confirm(fresh)
    for url in ("/account/tokens/new/", "/account/second-factor/add/", "/account/tokens/"):
        assert in_one_language(fresh, url, untranslated) == "de", url


def test_pages_of_an_open_link_are_german_to_the_end(world, untranslated):  # noqa: F811
    study, _assignment, _clients = world
    link = make_link(study, questions=CHECK, preset="prolific", most_lists=1)
    address = path(link, PROLIFIC_PID="p1")
    client, failing, leaving = Client(), Client(), Client()

    def german(client: Client, url: str) -> None:
        assert in_one_language(client, url, untranslated) == "de", url

    def agreed(client: Client, n: int) -> None:
        start(client, link, PROLIFIC_PID=f"p{n}")
        german(client, "/")
        agree(client, study)
        german(client, "/part/check/")

    def sent(client: Client, url: str, body: dict[str, str]) -> None:
        untranslated.clear()
        assert b'<html lang="de">' in client.post(url, body, headers=GERMAN, follow=True).content
        assert set(untranslated) <= NAMES, url

    for url in (address, path(link), "/open/unknown/"):
        german(Client(), url)
    agreed(client, 1)
    sent(client, "/part/check/", {})
    sent(client, "/part/check/", WRONG)
    sent(client, "/part/check/", RIGHT)
    german(client, "/")
    german(client, "/account/")  # refused
    work(client)
    german(client, "/part/done/")
    agreed(failing, 2)
    for _ in range(2):
        sent(failing, "/part/check/", WRONG)
    german(failing, "/part/ended/")
    agreed(leaving, 3)
    german(leaving, "/part/leave/")
    leaving.post(f"/studies/{study.slug}/withdraw/")
    german(leaving, "/")
    for state in ("paused", "closed"):
        study_state_change(study=study, state=state)
        german(Client(), address)
    study_state_change(study=study, state="open")
    redirect = make_link(
        study, completion="redirect", redirect_url="https://example.org/", most_lists=1
    )
    back = joined(redirect)
    open_link_close(link=redirect, by=study.created_by)
    german(Client(), path(redirect))
    work(back)
    german(back, "/part/done/")
    away = joined(make_link(study))
    participation_end(participant=participant(away))
    german(away, "/")
