"""No answer but a static file or a public page may be kept by a browser or a proxy."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import get_resolver

from annotation_site.accounts.models import Role
from tests.annotation_site.addresses import address, names
from tests.annotation_site.factories import UserFactory, client_of

pytestmark = pytest.mark.django_db
PRIVATE = "private, no-store"
# The words of scripts, the same for everybody, under an address that changes with them.
STATIC = {("annotation:script_words", 200): "public, max-age=31536000, immutable"}
# What everybody may read may be kept, if it is asked each time whether it still stands.
PUBLIC = {(f"public:{name}", 200): "public, no-cache" for name in ("listed", "page", "file")}
METHODS = ("GET", "HEAD", "OPTIONS")


def kept(client: Client, method: str, url: str) -> tuple[int, str]:
    """The status, and what the answer says about keeping it."""
    response = client.generic(method, url)
    if response.streaming:
        list(response.streaming_content)
    return response.status_code, response.get("Cache-Control", "nothing")


@pytest.mark.parametrize("everybody", [False, pytest.param(True, marks=pytest.mark.long)])
def test_no_answer_of_any_address_may_be_kept(world, everybody):
    study, assignment, clients = world
    seen = set()
    for name in names(get_resolver()):
        url = address(name, study, assignment)
        for client in clients:
            # The admin sees most; the other two methods of everybody take a minute.
            for method in METHODS if everybody or client is clients[-1] else METHODS[:1]:
                status, said = kept(client, method, url)
                assert said == (STATIC | PUBLIC).get((name, status), PRIVATE), (
                    method,
                    name,
                    status,
                )
                seen.add(status)
    assert {200, 302, 401, 403, 404, 405} <= seen


def test_no_address_keeps_a_session_for_a_stranger(world):
    """Anybody could ask again and again, and each session is a row for two weeks."""
    study, assignment, _ = world
    count, found = Session.objects.count(), []
    for name in names(get_resolver()):
        url = address(name, study, assignment)
        for method in ("GET", "POST"):
            kept(Client(), method, url)
            if Session.objects.count() > count:
                count = Session.objects.count()
                found.append((method, name))
    assert found == []


def test_no_refusal_and_no_error_may_be_kept(monkeypatch, settings):
    client = client_of(UserFactory(role=Role.ADMIN))
    client.raise_request_exception = False
    for url in ("/no/such/page", "/people", "/api/no/such/thing", "/api/me/", "/static/none.css"):
        assert kept(client, "GET", url)[1] == PRIVATE, url
    assert kept(Client(enforce_csrf_checks=True), "POST", "/login/") == (403, PRIVATE)
    assert kept(Client(headers={"host": "evil.example"}), "GET", "/") == (400, PRIVATE)

    def broken(*_, **__):
        raise RuntimeError

    monkeypatch.setattr("annotation_site.accounts.views.people.render", broken)
    assert kept(client, "GET", "/people/") == (500, PRIVATE)
    settings.SECURE_SSL_REDIRECT = True
    assert kept(Client(), "GET", "/login/") == (301, PRIVATE)


def test_static_files_may_be_kept_by_everybody(settings):
    settings.WHITENOISE_USE_FINDERS = settings.WHITENOISE_AUTOREFRESH = True
    status, said = kept(Client(), "GET", "/static/results/results.css")
    assert (status, "public" in said, "no-store" in said) == (200, True, False)
