"""The second factor: setting up, logging in with it, losing it, and no way around it."""

import json
import re

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client

from annotation_site.accounts.models import AuditEntry, Role, User
from annotation_site.accounts.second_factors import second_factors_renew
from tests.annotation_site.accounts.second_factor import ADD, CODES, code_of, confirm, page, set_up
from tests.annotation_site.factories import PASSWORD, UserFactory, client_of, is_in, log_in

pytestmark = pytest.mark.django_db


def half_way(user: User, **credentials: str) -> Client:
    client = log_in(user, **credentials)
    assert client.get("/login/second-factor/").status_code == 200
    return client


def test_a_login_asks_for_a_code_and_takes_the_right_one():
    user = UserFactory()
    secret, _ = set_up(user)
    client = half_way(user)
    assert not is_in(client)
    assert "Incorrect" in client.post("/login/second-factor/", {"code": "000000"}).content.decode()
    assert not is_in(client)
    client.post("/login/second-factor/", {"code": code_of(secret)})
    assert is_in(client)


def test_a_code_works_once():
    user = UserFactory()
    secret, _ = set_up(user)
    code = code_of(secret)
    first, second = half_way(user), half_way(user)
    first.post("/login/second-factor/", {"code": code})
    second.post("/login/second-factor/", {"code": code})
    assert (is_in(first), is_in(second)) == (True, False)


def test_a_recovery_code_works_once():
    user = UserFactory()
    _, codes = set_up(user)
    assert len(codes) == 10
    first, second = half_way(user), half_way(user)
    first.post("/login/second-factor/", {"code": codes[0]})
    second.post("/login/second-factor/", {"code": codes[0]})
    assert (is_in(first), is_in(second)) == (True, False)


def test_second_factor_bypass_is_not_possible():
    user = UserFactory()
    set_up(user)
    client = half_way(user)
    for path in ("/account/", ADD, "/account/second-factor/remove/", CODES, CODES + "file/"):
        assert client.get(path)["Location"].startswith("/login/"), path
        assert client.post(path, {"code": "1"})["Location"].startswith("/login/"), path
    assert client.get("/login/?next=/account/")["Location"] == "/login/second-factor/"
    stranger = Client()
    assert stranger.get("/login/second-factor/")["Location"] == "/login/"
    assert not is_in(client)
    assert Authenticator.objects.filter(user=user, type="totp").exists()


def test_a_reset_link_is_no_way_around_the_second_factor():
    user, admin = UserFactory(), client_of(UserFactory(role=Role.ADMIN))
    set_up(user)
    page = admin.post(f"/people/{user.public_id}/reset-link/").content.decode()
    link = re.search(r'value="http://testserver(/password/reset/[^"]+)"', page)[1]
    client = Client()
    form = client.get(link)["Location"]
    new = "another long password 8"
    client.post(form, {"password1": new, "password2": new})
    assert not is_in(client)
    assert not is_in(half_way(user, password=new))


def test_guessing_codes_is_stopped_whatever_the_address():
    user = UserFactory()
    secret, _ = set_up(user)
    for n in range(5):
        client = log_in(user, client=Client(REMOTE_ADDR=f"192.0.2.{n}"))
        client.post("/login/second-factor/", {"code": "000000"})
    client = log_in(user, client=Client(REMOTE_ADDR="192.0.2.9"))
    answer = client.post("/login/second-factor/", {"code": code_of(secret)})
    assert "Too many attempts" in answer.content.decode()
    assert not is_in(client)
    assert AuditEntry.objects.filter(action="second_factor_failed").count() == 5


def test_who_lacks_the_password_keeps_nobody_from_their_codes():
    """Codes are counted for the person, and only of who got as far as being asked for one."""
    user = UserFactory()
    secret, _ = set_up(user)
    for n in range(25):  # fewer wrong passwords than a name has, from all addresses together
        stranger = log_in(user, password="wrong", client=Client(REMOTE_ADDR=f"192.0.2.{n}"))
        for _ in range(2):
            stranger.post("/login/second-factor/", {"code": "000000"})
    assert not AuditEntry.objects.filter(action="second_factor_failed").exists()
    client = log_in(user, client=Client(REMOTE_ADDR="198.51.100.7"))
    client.post("/login/second-factor/", {"code": code_of(secret)})
    assert is_in(client)


def test_setting_up_asks_for_the_password_again():
    user = UserFactory()
    old = log_in(user)
    asked = old.get(ADD)["Location"]
    assert asked.startswith("/confirm/")
    assert old.post(asked, {"password": "wrong"}).status_code == 200
    assert old.get(ADD).status_code == 302
    old.post(asked, {"password": PASSWORD})
    assert old.get(ADD).status_code == 200


@pytest.mark.django_db(transaction=True)  # allauth tells of a new factor once that is committed
def test_it_can_be_removed_and_codes_made_anew():
    user = UserFactory()
    _, codes = set_up(user)
    client = half_way(user)
    client.post("/login/second-factor/", {"code": codes[0]})
    confirm(client)
    client.post(CODES + "new/")
    text = page(client, CODES + "file/")
    assert len(text.split()) == 10
    assert not set(text.split()) & set(codes)
    client.post("/account/second-factor/remove/")
    assert is_in(log_in(user))
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"second_factor_added", "second_factor_removed", "recovery_codes_made"} <= actions


def test_an_admin_removes_a_lost_one_and_that_is_logged():
    user, admin = UserFactory(), UserFactory(role=Role.ADMIN)
    set_up(user)
    client = client_of(admin)
    assert "Remove the second factor" in page(client, f"/people/{user.public_id}/")
    client.post(f"/people/{user.public_id}/second-factor/")
    assert is_in(log_in(user))
    entry = AuditEntry.objects.get(action="second_factor_removed")
    assert (entry.actor, entry.target) == (admin.public_id, f"user:{user.public_id}")
    assert client.post(f"/people/{user.public_id}/second-factor/").status_code == 422


def test_its_pages_need_no_inline_style_or_script():
    user = UserFactory()
    _, codes = set_up(user)
    client = log_in(user)
    other = log_in(UserFactory())
    confirm(other)
    pages = [page(client, "/login/second-factor/"), page(other, ADD), page(other, "/account/")]
    client.post("/login/second-factor/", {"code": codes[0]})
    confirm(client)
    pages += [page(client, path) for path in ("/account/second-factor/", CODES, CODES + "new/")]
    pages.append(page(client, "/account/second-factor/remove/"))
    for text in pages:
        assert "<style" not in text
        assert " style=" not in text
        assert "<script>" not in text
        assert " onclick=" not in text
        assert "http://" not in text.replace("http://www.w3.org/", "")
    assert 'src="data:image/svg+xml;base64,' in pages[1]


def test_a_copy_of_the_database_makes_no_codes(settings):
    user = UserFactory()
    secret, codes = set_up(user)
    stored = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    assert stored.count("fernet:") == 2
    for readable in (secret, *codes):
        assert readable not in stored
    settings.SECRET_KEY = "another" * 10
    client = Client()
    log_in(user, client=client)
    refused = client.post("/login/second-factor/", {"code": code_of(secret)})
    assert (refused.status_code, is_in(client)) == (403, False)
    assert "Ask an admin to remove it" in refused.content.decode()


def test_a_change_of_the_secret_key_keeps_factors_and_logins(settings):
    user = UserFactory()
    secret, codes = set_up(user)
    inside = half_way(user)
    inside.post("/login/second-factor/", {"code": codes[0]})
    assert is_in(inside)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    assert is_in(inside)
    assert second_factors_renew(dry_run=True) == 2
    enters(user, code_of(secret))
    assert second_factors_renew() == 2
    assert second_factors_renew() == 0
    settings.SECRET_KEY_FALLBACKS = []
    cache.clear()
    for code in (code_of(secret), codes[1]):
        enters(user, code)


def test_what_no_key_reads_is_left_as_it_is(settings):
    set_up(UserFactory())
    settings.SECRET_KEY = "another" * 10
    before = list(Authenticator.objects.order_by("pk").values_list("data", flat=True))
    assert second_factors_renew() == 0
    assert list(Authenticator.objects.order_by("pk").values_list("data", flat=True)) == before


def enters(user: User, code: str) -> None:
    client = half_way(user)
    client.post("/login/second-factor/", {"code": code})
    assert is_in(client)


def test_a_factor_that_was_stored_before_it_was_encrypted_still_works():
    user = UserFactory()
    secret, _ = set_up(user)
    factor = Authenticator.objects.get(user=user, type="totp")
    factor.data["secret"] = secret
    factor.save()
    client = half_way(user)
    client.post("/login/second-factor/", {"code": code_of(secret)})
    assert is_in(client)
