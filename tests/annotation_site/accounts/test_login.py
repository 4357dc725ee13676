"""The way in and out, and the ways around it that must not exist."""

import pytest
from django.contrib.sessions.models import Session
from django.core import mail, signing
from django.test import Client

from annotation_site.accounts import known_devices
from annotation_site.accounts.models import AuditEntry, Role
from tests.annotation_site.factories import PASSWORD, UserFactory, client_of, log_in

pytestmark = pytest.mark.django_db


def attempt(client: Client, name: str, password: str, **headers: str):
    return client.post("/login/", {"login": name, "password": password}, **headers)


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def test_name_and_password_let_in_and_a_wrong_one_does_not():
    user = UserFactory()
    assert is_in(log_in(user))
    assert not is_in(log_in(user, password="wrong"))


def test_user_enumeration_by_login_is_not_possible():
    user, gone = UserFactory(username="ada"), UserFactory(username="bea")
    gone.is_active = False
    gone.save()
    answers = []
    for name in ("ada", "nobody", "bea"):
        response = attempt(Client(), name, "wrong")
        page = response.content.decode().replace(name, "NAME")
        token = page.split('csrfmiddlewaretoken" value="')[1].split('"')[0]
        answers.append((response.status_code, page.replace(token, "")))
    assert len(set(answers)) == 1
    assert "do not match" in answers[0][1]
    assert is_in(log_in(user))


def test_an_unknown_name_costs_as_many_hashes_as_a_known_one(monkeypatch):
    """Time tells nothing either: one password hash, whoever is asked for."""
    from django.contrib.auth import hashers

    counted = []
    encode = hashers.MD5PasswordHasher.encode
    monkeypatch.setattr(
        hashers.MD5PasswordHasher,
        "encode",
        lambda self, *args, **kw: (counted.append(1), encode(self, *args, **kw))[1],
    )
    user = UserFactory()
    costs = []
    for name in (user.username, "nobody"):
        counted.clear()
        attempt(Client(), name, "wrong")
        costs.append(len(counted))
    assert costs[0] == costs[1] == 1


def test_session_fixation_is_not_possible():
    user, client = UserFactory(), Client()
    client.get("/login/?next=/account/")
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies["sessionid"] = session.session_key
    before = session.session_key
    log_in(user, client=client)
    assert is_in(client)
    assert client.session.session_key != before
    assert not Session.objects.filter(session_key=before).exists()


def test_logout_ends_the_session_on_the_server():
    client = log_in(UserFactory())
    key = client.session.session_key
    thief = Client()
    thief.cookies["sessionid"] = key
    assert is_in(thief)
    assert client.get("/logout/").status_code == 405  # a link elsewhere cannot log out
    client.post("/logout/")
    assert not is_in(thief)
    assert not Session.objects.filter(session_key=key).exists()


def test_throttle_per_person_whatever_the_address_and_the_host_header():
    user = UserFactory()
    for n in range(30):
        attempt(Client(REMOTE_ADDR=f"192.0.2.{n}"), user.username, "wrong")
    for headers in ({}, {"headers": {"host": "testserver:81"}}, {"headers": {"host": "localhost"}}):
        client = Client(REMOTE_ADDR="192.0.2.99")
        page = attempt(client, user.username.upper(), PASSWORD, **headers).content.decode()
        assert "Too many attempts" in page
        assert not is_in(client)
    assert is_in(log_in(UserFactory()))  # nobody else is kept out


def test_one_address_has_five_guesses_at_a_name_and_keeps_nobody_else_out():
    user, stranger = UserFactory(), Client(REMOTE_ADDR="192.0.2.1")
    names = (user.username, user.username.upper(), user.username.title())
    pages = [attempt(stranger, names[n % 3], "wrong").content.decode() for n in range(8)]
    assert ["Too many attempts" in page for page in pages] == [False] * 5 + [True] * 3
    client = Client(REMOTE_ADDR="192.0.2.9")
    attempt(client, user.username, PASSWORD)
    assert is_in(client)


def test_a_stranger_cannot_keep_a_person_out_of_a_browser_they_know():
    user, other = UserFactory(username="ada"), UserFactory()
    own = log_in(user)
    own.post("/logout/")
    log_in(other, client=own).post("/logout/")  # a shared computer
    for n in range(40):
        attempt(Client(REMOTE_ADDR=f"192.0.2.{n}"), "Ada", "wrong")
    elsewhere = Client(REMOTE_ADDR="192.0.2.99")
    attempt(elsewhere, "ada", PASSWORD)
    assert not is_in(elsewhere)
    own.defaults["REMOTE_ADDR"] = "192.0.2.1"  # also from an address that did it
    attempt(own, "ada", PASSWORD)
    assert is_in(own)


def test_guesses_from_a_known_browser_and_from_copies_of_it_are_counted_together():
    user = UserFactory()
    own = log_in(user)
    own.post("/logout/")
    pages = []
    for n in range(8):
        copy = Client(REMOTE_ADDR=f"192.0.2.{n}")
        copy.cookies[known_devices.COOKIE] = own.cookies[known_devices.COOKIE].value
        pages.append(attempt(copy, user.username, "wrong").content.decode())
    assert ["Too many attempts" in page for page in pages] == [False] * 5 + [True] * 3


def test_a_browser_is_known_for_the_people_who_logged_in_there_and_for_nobody_else():
    mallory, ada = UserFactory(), UserFactory()
    browser = log_in(mallory)
    browser.post("/logout/")
    for forged in (None, "x", browser.cookies[known_devices.COOKIE].value[:-1] + "x"):
        if forged:
            browser.cookies[known_devices.COOKIE] = forged
        for n in range(40):
            browser.defaults["REMOTE_ADDR"] = f"192.0.2.{n}"
            attempt(browser, ada.username, "wrong")
        attempt(browser, ada.username, PASSWORD)
        assert not is_in(browser)
    cookie = log_in(UserFactory(username="zoe")).cookies[known_devices.COOKIE]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert "zoe" not in str(signing.loads(cookie.value, salt=known_devices.SALT))


def test_throttle_per_address_whoever_is_tried():
    client = Client(REMOTE_ADDR="192.0.2.1")
    pages = [attempt(client, f"name{n}", "wrong").content.decode() for n in range(22)]
    assert ["Too many attempts" in page for page in pages] == [False] * 20 + [True] * 2


def test_an_address_that_the_client_makes_up_is_not_believed(settings):
    def tries(client: Client) -> bool:
        for n in range(21):
            page = attempt(
                client,
                f"name{n}",
                "wrong",
                headers={"x-forwarded-for": f"198.51.100.{n}, 10.0.0.1"},
            ).content.decode()
        return "Too many attempts" in page

    assert tries(Client(REMOTE_ADDR="192.0.2.1"))
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1  # as BEHIND_PROXY sets it
    assert tries(Client(REMOTE_ADDR="192.0.2.2"))


def test_logging_in_rightly_is_not_throttled():
    user = UserFactory()
    assert all(is_in(log_in(user)) for _ in range(12))


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example",
        "http:///evil.example", "javascript:alert(1)", "http://localhost/", "http://127.0.0.1:9/",
    ],
)  # fmt: skip
def test_open_redirect_through_next_is_not_possible(address):
    user = UserFactory()
    client = Client()
    response = client.post(
        "/login/", {"login": user.username, "password": PASSWORD, "next": address}
    )
    assert response["Location"] == "/"
    assert client.get("/login/", {"next": address})["Location"] == "/"


def test_next_leads_to_the_page_that_was_asked_for():
    user = UserFactory()
    asked = Client().get("/account/")["Location"]
    assert asked == "/login/?next=/account/"
    sent = {"login": user.username, "password": PASSWORD, "next": "/account/"}
    assert Client().post(asked, sent)["Location"] == "/account/"


def test_sign_up_is_closed():
    for path in ("/signup/", "/oidc/signup/"):
        assert "invitation" in Client().get(path).content.decode()
        sent = {"username": "eve", "password1": PASSWORD, "email": "eve@example.org"}
        assert Client().post(path, sent).status_code == 405
    assert not AuditEntry.objects.filter(action="person_created").exists()


def test_somebody_deactivated_is_told_so_only_with_the_right_password():
    user = UserFactory(is_active=False)
    assert attempt(Client(), user.username, PASSWORD)["Location"] == "/inactive/"
    assert "do not match" in attempt(Client(), user.username, "wrong").content.decode()


def test_logins_and_what_fails_are_in_the_log_without_what_was_typed():
    user = UserFactory()
    log_in(user, password="hunter2-hunter2")
    attempt(Client(), "my-password-by-mistake", "x")
    log_in(user).post("/logout/")
    entries = list(AuditEntry.objects.order_by("pk").values_list("action", "actor", "target"))
    assert entries == [
        ("login_failed", None, f"user:{user.public_id}"),
        ("login_failed", None, ""),
        ("login", user.public_id, ""),
        ("logout", user.public_id, ""),
    ]
    assert "hunter2" not in repr(list(AuditEntry.objects.values()))
    assert "mistake" not in repr(list(AuditEntry.objects.values()))


def test_a_form_of_another_site_cannot_log_anybody_in():
    user = UserFactory()
    client = Client(enforce_csrf_checks=True)
    assert attempt(client, user.username, PASSWORD).status_code == 403


def test_every_session_is_listed_and_the_others_can_be_ended():
    user = UserFactory()
    here, there = log_in(user), log_in(user)
    page = here.get("/account/sessions/").content.decode()
    assert page.count("127.0.0.1") == 2
    here.post("/account/sessions/")
    assert (is_in(here), is_in(there)) == (True, False)


def test_one_persons_sessions_are_not_anothers():
    other = log_in(UserFactory())
    log_in(UserFactory()).post("/account/sessions/")
    assert is_in(other)


def test_the_login_page_sends_a_strict_policy():
    response = Client().get("/login/")
    assert "form-action 'self';" in response["Content-Security-Policy"] + ";"
    assert mail.outbox == []


def test_an_admins_session_is_checked_at_every_request():
    admin = UserFactory(role=Role.ADMIN)
    client = client_of(admin)
    assert client.get("/people/").status_code == 200
    admin.role = Role.ANNOTATOR
    admin.save()
    assert client.get("/people/").status_code == 403
