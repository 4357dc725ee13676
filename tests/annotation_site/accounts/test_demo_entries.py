"""One-click logins: once, for ten minutes, from this machine, in the demo's own processes alone."""

import json
import re
import tempfile
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.core.cache import cache
from django.core.cache.backends import db as cache_in_database
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation_site.accounts import demo_entries
from annotation_site.accounts.models import AuditEntry, Role, User
from annotation_site.accounts.services import person_create, person_deactivate
from tests.annotation_site.accounts.demo import HERE, KEY, allow
from tests.annotation_site.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(monkeypatch) -> list[User]:
    """The demo's four, as its own process lets them in."""
    monkeypatch.setattr(demo_entries, "_demo", None)  # and so again afterwards
    found = [
        person_create(username=name, password=f"{name}-3f9a-77c1", role=role)
        for name, role in (
            ("ada", Role.ANNOTATOR), ("ben", Role.ANNOTATOR), ("rosa", Role.RESEARCHER),
            ("admin", Role.ADMIN),
        )
    ]  # fmt: skip
    allow(*found)
    return found


def browser(**headers: str) -> Client:
    return Client(**{**HERE, **headers})


def links(client: Client) -> list[str]:
    """The addresses of the start page's buttons."""
    return re.findall(r'action="(/demo/enter/[^"]+)"', client.get("/").content.decode())


def who(client: Client) -> str | None:
    page = client.get("/account/")
    return page.context["user"].username if page.status_code == 200 else None


def test_each_button_lets_its_person_in_once_and_the_log_says_so(people):
    for number, person in enumerate(people):
        client = browser()
        link = links(client)[number]
        assert client.post(link)["Location"] == "/"
        assert who(client) == person.username
        again = browser()
        assert again.post(link).status_code == 404  # used
        assert who(again) is None
        entered = AuditEntry.objects.get(action="demo_entered", actor=person.public_id)
        assert entered.target == f"user:{person.public_id}"
        assert AuditEntry.objects.filter(action="login", actor=person.public_id).count() == 1


def test_the_session_is_bounded_as_that_of_any_login(people, settings):
    client = browser()
    client.post(links(client)[0])
    assert client.session.get_expiry_age() <= settings.SESSION_COOKIE_AGE
    person_deactivate(person=people[0], by=people[3])
    assert who(client) is None
    # It proves no password: what decides who gets in asks for one.
    other = browser()
    other.post(links(other)[0])
    assert who(other) == "ben"
    assert other.get(reverse("accounts:token_new"))["Location"].startswith("/confirm/")


def test_get_and_head_log_nobody_in_and_use_nothing_up(people):
    client = browser()
    link = links(client)[0]
    for ask in (client.get, client.head):
        assert ask(link).status_code == 200
        assert who(client) is None
    assert "Enter as" in client.get(link).content.decode()
    assert client.post(link).status_code == 302


def test_a_form_of_another_site_lets_nobody_in(people):
    client = Client(enforce_csrf_checks=True, **HERE)
    assert client.post(links(client)[0]).status_code == 403
    assert who(client) is None


def test_a_link_is_over_after_ten_minutes(people, monkeypatch):
    client = browser()
    early, late = links(client)[:2]
    now = timezone.now()
    for minutes, link, expected in ((9.9, early, 302), (10.1, late, 404)):
        later = now + timedelta(minutes=minutes)
        monkeypatch.setattr(cache_in_database, "tz_now", lambda later=later: later)
        assert browser().post(link).status_code == expected


def test_each_view_of_the_start_page_makes_other_links(people):
    client = browser()
    assert not set(links(client)) & set(links(client))


def test_so_many_are_outstanding_and_no_more(people, monkeypatch):
    monkeypatch.setattr(demo_entries, "VIEWS_PER_MINUTE", 3)
    client = browser()
    made = [links(client) for _ in range(5)]
    assert [len(found) for found in made] == [4, 4, 4, 0, 0]
    assert "Reload it in a minute" in client.get("/").content.decode()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM cache WHERE cache_key LIKE '%%demo-entry:%%'")
        assert cursor.fetchone() == (12,)


@pytest.mark.parametrize(
    "sent",
    [
        {"HTTP_HOST": "labels.example.org"},
        {"HTTP_HOST": "127.0.0.1.example.org"},
        {"HTTP_HOST": "10.0.0.7:8000"},
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "unix:"},
        *({name: "x"} for name in demo_entries.FORWARDING),
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_X_FORWARDED_HOST": "127.0.0.1"},
        {"HTTP_X_FORWARDED_PROTO": "http"},
        {"HTTP_X_FORWARDED": "x"},
    ],
    ids=str,
)
def test_through_a_proxy_from_elsewhere_or_under_another_name_there_is_nothing(
    people, settings, sent
):
    settings.ALLOWED_HOSTS = ["*"]
    link = links(browser())[0]
    stranger = browser(**sent)
    page = stranger.get("/")
    assert page.status_code == 200
    assert b"demo" not in page.content
    for ask in (stranger.get, stranger.post):
        assert ask(link).status_code == 404
    assert browser().post(link).status_code == 302  # it was good, and nobody used it up


def test_outside_the_demos_own_processes_there_is_nothing(people, settings, monkeypatch):
    """`serve`, gunicorn, a proxy, DEBUG: whatever the settings and the environment say."""
    link = links(browser())[0]
    demo_entries._demo = None
    settings.DEBUG = True
    for name in ("FFN_DEMO", "DEMO", "FFN_CONCEPTS_DEMO", "DEMO_KEY"):
        monkeypatch.setenv(name, "1")
        setattr(settings, name, True)
    client = browser()
    assert b"demo" not in client.get("/").content
    for ask in (client.get, client.post):
        assert ask(link).status_code == 404
    assert not demo_entries.is_demo()
    assert demo_entries.entries_make() == {}


def test_the_web_server_gets_its_key_from_an_inherited_file_alone(people, monkeypatch):
    from annotation_site.demo import wsgi

    demo_entries._demo = None
    with tempfile.TemporaryFile() as handed:
        for wrong in (b"", b"{}", json.dumps({"key": "00", "people": {}}).encode()):
            handed.seek(0)
            handed.truncate()
            handed.write(wrong)
            handed.flush()
            with pytest.raises((ValueError, KeyError)):
                wsgi.served(handed.fileno())
            assert not demo_entries.is_demo()
        handed.seek(0)
        handed.write(json.dumps({"key": KEY.hex(), "people": {}}).encode())
        handed.flush()
        assert wsgi.served(handed.fileno()) is wsgi.wsgi.application
        assert demo_entries.is_demo()
    with tempfile.TemporaryFile() as closed:
        number = closed.fileno()
    with pytest.raises(OSError, match="descriptor"):
        wsgi.served(number)


def test_a_link_of_an_earlier_run_or_a_made_up_one_opens_nothing(people):
    link = links(browser())[0]
    token = link.split("/")[-2]
    assert browser().post(link.replace(token, token.swapcase())).status_code == 404
    allow(*people, key=b"another key of another run of the demo")
    assert browser().post(link).status_code == 404


def test_only_a_digest_of_a_token_is_stored(people):
    token = links(browser())[0].split("/")[-2]
    with connection.cursor() as cursor:
        cursor.execute("SELECT cache_key, value FROM cache")
        assert token not in repr(cursor.fetchall())
    assert len(token) == 43


def test_a_deactivated_person_has_no_link_and_an_earlier_one_is_over(people):
    link = links(browser())[0]
    person_deactivate(person=people[0], by=people[3])
    assert browser().post(link).status_code == 404
    assert len(links(browser())) == 3


def test_an_account_whose_owner_chose_a_password_has_no_link(people):
    link = links(browser())[0]
    people[0].set_password("a password of my own")
    people[0].save()
    assert browser().post(link).status_code == 404
    assert len(links(browser())) == 3


def test_nobody_but_the_demos_people_has_a_link(people):
    UserFactory(role=Role.ADMIN)
    assert len(links(browser())) == 4
    stranger = UserFactory()
    token = "t" * 43
    cache.set(demo_entries._stored(token), str(stranger.public_id), 60)
    assert browser().post(reverse("accounts:enter", args=[token])).status_code == 404


def test_a_login_leads_nowhere_else(people):
    client = browser()
    link = links(client)[2]
    assert client.post(link, {"next": "https://evil.example/"})["Location"] == "/"
    client = browser()
    assert client.post(links(client)[2], {"next": "/account/"})["Location"] == "/account/"


def test_each_of_the_four_is_told_at_home_what_to_try_and_nobody_else(people):
    for number, person in enumerate(people):
        client = browser()
        client.force_login(person)
        assert str(demo_entries.TRIES[number]) in client.get("/").content.decode()
    other = browser()
    other.force_login(UserFactory())
    assert "Try this" not in other.get("/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_gets_in(people):
    token = links(browser())[0].split("/")[-2]
    found: list[User | None] = []
    start = Barrier(4)

    def enter() -> None:
        start.wait()
        try:
            found.append(demo_entries.entry_use(token))
        finally:
            connection.close()

    threads = [Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=bool) == [None, None, None, people[0]]
