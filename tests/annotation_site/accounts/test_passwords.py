"""Passwords: changing one, and getting a new one by mail or from an admin."""

import re
import threading

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation_site.accounts.adapters import MAILS
from annotation_site.accounts.models import AuditEntry, Role
from tests.annotation_site.factories import PASSWORD, UserFactory, client_of, log_in

pytestmark = pytest.mark.django_db
NEW = "another long password 8"


@pytest.fixture
def _mail(settings) -> None:
    settings.MAIL_IS_SET_UP = True


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def use(link: str, password: str = NEW) -> str:
    """Follow a reset link and set a password; returns the page that came last."""
    client = Client()
    response = client.get(link)
    if response.status_code == 200:
        return response.content.decode()
    sent = {"password1": password, "password2": password}
    return client.post(response["Location"], sent, follow=True).content.decode()


def mails() -> list[mail.EmailMessage]:
    """What was sent, once the thread that sends has nothing left to do."""
    MAILS.submit(lambda: None).result()
    return mail.outbox


def link_in(text: str) -> str:
    return re.search(r"(http://\S+?)(/password/reset/[\w-]+/)", text)[2]


@pytest.mark.usefixtures("_mail")
def test_its_forms_speak_as_the_other_pages_do():
    user = UserFactory()
    reset = client_of(UserFactory(role=Role.ADMIN))
    link = re.search(
        r"/password/reset/[\w-]+/",
        reset.post(f"/people/{user.public_id}/reset-link/").content.decode(),
    )[0]
    key = Client().get(link, follow=True).content.decode()
    asked = Client().get("/password/reset/").content.decode()
    change = log_in(user).get("/account/password/").content.decode()
    help_text = "At least 8 characters, and not easy to guess."
    assert labels(asked) == ["E-mail"]
    assert labels(key) == ["New password", "New password again"]
    assert labels(change) == ["Current password", "New password", "New password again"]
    for page in (asked, key, change):
        assert "placeholder" not in page
        assert "<ul><li>" not in page  # a list of the checks
        assert (help_text in page) == (page != asked)


def labels(page: str) -> list[str]:
    return re.findall(r'<label for="id_[^"]+">([^<]+)</label>', page)


def test_changing_it_logs_out_everywhere_else_and_is_logged():
    user = UserFactory()
    here, there = log_in(user), log_in(user)
    key = there.session.session_key
    sent = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert here.post("/account/password/", {**sent, "oldpassword": "wrong"}).status_code == 200
    assert is_in(there)
    here.post("/account/password/", sent)
    assert (is_in(here), is_in(there)) == (True, False)
    assert not there.session.exists(key)
    assert is_in(log_in(user, password=NEW))
    entry = AuditEntry.objects.get(action="password_changed")
    assert (entry.actor, entry.details) == (user.public_id, {})


@pytest.mark.parametrize("weak", ["short", "password123", "12345678901", "person-with-a-name"])
def test_a_weak_password_is_refused_wherever_one_is_set(weak):
    user = UserFactory(username="person-with-a-name")
    sent = {"oldpassword": PASSWORD, "password1": weak, "password2": weak}
    assert "errorlist" in log_in(user).post("/account/password/", sent).content.decode()
    admin = client_of(UserFactory(role=Role.ADMIN))
    page = admin.post(f"/people/{user.public_id}/reset-link/").content.decode()
    assert "errorlist" in use(link_in(page), weak)
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_an_admins_link_works_once_and_ends_all_sessions():
    user, admin = UserFactory(), client_of(UserFactory(role=Role.ADMIN))
    logged_in = log_in(user)
    response = admin.post(f"/people/{user.public_id}/reset-link/")
    assert "no-store" in response["Cache-Control"]
    link = link_in(response.content.decode())
    assert "Your password is changed" in use(link)
    assert not is_in(logged_in)
    assert is_in(log_in(user, password=NEW))
    assert "was used already" in use(link)
    assert link not in repr(list(AuditEntry.objects.values()))


def test_an_admins_link_expires(settings):
    user, admin = UserFactory(), client_of(UserFactory(role=Role.ADMIN))
    link = link_in(admin.post(f"/people/{user.public_id}/reset-link/").content.decode())
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "has expired" in use(link)


def test_a_link_of_somebody_deactivated_lets_nobody_in():
    user, admin = UserFactory(), client_of(UserFactory(role=Role.ADMIN))
    link = link_in(admin.post(f"/people/{user.public_id}/reset-link/").content.decode())
    admin.post(f"/people/{user.public_id}/access/", {"active": "no"})
    use(link)
    assert not is_in(log_in(user, password=NEW))
    assert admin.post(f"/people/{user.public_id}/reset-link/").status_code == 422


@pytest.mark.usefixtures("_mail")
def test_a_mail_brings_a_link_to_whoever_has_the_address():
    user = UserFactory(email="ada@example.org")
    Client().post("/password/reset/", {"email": "ADA@example.org"})
    (message,) = mails()
    assert message.to == ["ada@example.org"]
    assert message.subject == "A new password for FFN Concepts"
    assert user.username in message.body
    assert "Your password is changed" in use(link_in(message.body))
    assert is_in(log_in(user, password=NEW))
    assert AuditEntry.objects.filter(action="reset_mail_sent").count() == 1


@pytest.mark.usefixtures("_mail")
def test_host_header_in_reset_mails_changes_nothing(settings):
    settings.SITE_URL = "https://labels.example.org"
    UserFactory(email="ada@example.org")
    for host in ("localhost:81", "127.0.0.1", "testserver:99"):
        mails().clear()
        Client().post("/password/reset/", {"email": "ada@example.org"}, headers={"host": host})
        addresses = re.findall(r"https?://\S+", mails()[0].body)
        assert len(addresses) == 1
        assert addresses[0].startswith("https://labels.example.org/password/reset/")
    refused = Client().post(
        "/password/reset/", {"email": "ada@example.org"}, headers={"host": "evil.example"}
    )
    assert refused.status_code == 400


@pytest.mark.usefixtures("_mail")
def test_user_enumeration_by_the_reset_page_is_not_possible():
    UserFactory(email="ada@example.org")
    pages = set()
    for address in ("ada@example.org", "nobody@example.org"):
        response = Client().post("/password/reset/", {"email": address}, follow=True)
        pages.add((response.status_code, response.redirect_chain[0], response.content))
    assert len(pages) == 1
    assert [message.to for message in mails()] == [["ada@example.org"], ["nobody@example.org"]]
    assert "http" not in mails()[1].body


@pytest.mark.usefixtures("_mail")
def test_a_mail_server_that_fails_answers_as_one_that_works(settings, caplog):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    UserFactory(email="ada@example.org")
    response = Client().post("/password/reset/", {"email": "ada@example.org"})
    assert response["Location"] == "/password/reset/sent/"
    MAILS.submit(lambda: None).result()
    assert [r.getMessage() for r in caplog.records] == [
        "A mail could not be sent. Check EMAIL_URL."
    ]


@pytest.mark.usefixtures("_mail")
def test_the_answer_waits_for_no_mail_and_takes_as_many_queries_for_a_stranger():
    UserFactory(email="ada@example.org")
    free = threading.Event()
    MAILS.submit(free.wait, 30)
    counts = []
    for address in ("first@example.org", "ada@example.org", "nobody@example.org"):
        with CaptureQueriesContext(connection) as queries:
            Client().post("/password/reset/", {"email": address})
        counts.append(len(queries))
        assert mail.outbox == []
    free.set()
    assert [message.to[0].split("@")[0] for message in mails()] == ["first", "ada", "nobody"]
    assert counts[1] == counts[2]


@pytest.mark.usefixtures("_mail")
def test_reset_mails_are_throttled_per_address_asked_for():
    UserFactory(email="ada@example.org")
    for n in range(5):
        Client(REMOTE_ADDR=f"192.0.2.{n}").post("/password/reset/", {"email": "ada@example.org"})
    assert len(mails()) == 3
    for n in range(20):
        Client().post("/password/reset/", {"email": f"{n}@example.org"})
    # What is refused is not logged either: nobody fills the log from outside.
    assert AuditEntry.objects.filter(action="reset_mail_sent").count() == len(mails()) == 13


def test_without_mail_the_page_says_whom_to_ask_and_sends_nothing():
    UserFactory(email="ada@example.org")
    assert "sends no e-mail" in Client().get("/password/reset/").content.decode()
    assert Client().post("/password/reset/", {"email": "ada@example.org"}).status_code == 404
    assert mails() == []


def test_an_address_that_was_changed_brings_no_link_any_more(settings):
    settings.MAIL_IS_SET_UP = True
    user = UserFactory(email="old@example.org")
    Client().post("/password/reset/", {"email": "old@example.org"})
    early = link_in(mails().pop().body)
    sent = {
        "username": user.username, "email": "new@example.org", "current_password": PASSWORD,
    }  # fmt: skip
    log_in(user).post("/account/", sent)
    Client(REMOTE_ADDR="192.0.2.1").post("/password/reset/", {"email": "old@example.org"})
    assert "no account has it" in mails().pop().body
    assert "was used already" in use(early)
    assert not EmailAddress.objects.exists()


def test_name_and_address_change_only_with_the_password():
    user = UserFactory()
    client = log_in(user)
    sent = {"username": "ada", "email": "ada@example.org"}
    assert client.post("/account/", sent).status_code == 422
    assert client.post("/account/", {**sent, "current_password": "wrong"}).status_code == 422
    user.refresh_from_db()
    assert user.email == ""
    assert client.post("/account/", {**sent, "current_password": PASSWORD}).status_code == 302
    user.refresh_from_db()
    assert (user.username, user.email) == ("ada", "ada@example.org")
    UserFactory(username="ben")
    taken = client.post("/account/", {**sent, "username": "ben", "current_password": PASSWORD})
    assert "already exists" in taken.content.decode()
