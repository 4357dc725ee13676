"""API tokens: made where somebody has just shown who they are, shown once, and mortal."""

import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from annotation_site.accounts import services
from annotation_site.accounts.models import ApiToken, AuditEntry, Role, User
from annotation_site.accounts.tokens import MOST_TOKENS, token_create
from annotation_site.errors import Invalid
from tests.annotation_site.accounts.second_factor import code_of, confirm, set_up
from tests.annotation_site.factories import PASSWORD, UserFactory, client_of, log_in

pytestmark = pytest.mark.django_db
NEW = "/account/tokens/new/"
FORM = {"name": "my laptop", "scopes": ["read"], "days": "30"}


def works(secret: str) -> bool:
    reply = Client().get("/api/me", headers={"Authorization": f"Bearer {secret}"})
    assert reply.status_code in (200, 401)
    return reply.status_code == 200


def make(user: User, **changes) -> str:
    return token_create(user=user, **{"name": "x", "scopes": ["read"], **changes})[1]


def test_a_token_is_shown_once_and_only_its_hash_is_stored():
    user = UserFactory()
    client = log_in(user)
    confirm(client)
    shown = client.post(NEW, FORM).content.decode()
    secret = re.search(r'value="(ffn_\w+)"', shown)[1]
    assert works(secret)
    assert secret not in client.get("/account/tokens/").content.decode()
    row = ApiToken.objects.get()
    stored = {str(getattr(row, field.attname)) for field in row._meta.fields}
    assert all(secret not in value and secret[20:] not in value for value in stored)
    assert (row.name, row.scopes) == ("my laptop", ["read"])
    assert timedelta(days=29) < row.expiry - timezone.now() <= timedelta(days=30)


def test_the_form_asks_for_the_password_again():
    client = client_of(UserFactory())
    response = client.post(NEW, FORM)
    assert response.status_code == 302
    assert response["Location"].startswith("/confirm/")
    assert not ApiToken.objects.exists()


def test_a_session_older_than_the_second_factor_makes_no_token():
    user = UserFactory()
    older = log_in(user)
    confirm(older)
    secret, _ = set_up(user)
    refused = older.post(NEW, FORM)
    assert refused.status_code == 403
    assert "second factor" in refused.content.decode()
    assert not ApiToken.objects.exists()
    newer = log_in(user)
    newer.post("/login/second-factor/", {"code": code_of(secret)})
    confirm(newer)
    assert newer.post(NEW, FORM).status_code == 200
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"name": " "},
        {"scopes": []},
        {"scopes": ["manage"]},
        {"scopes": ["everything"]},
        {"days": "0"},
        {"days": "367"},
        {"days": ""},
    ],
)
def test_a_token_that_makes_no_sense_is_refused(changes):
    client = log_in(UserFactory())
    confirm(client)
    assert client.post(NEW, {**FORM, **changes}).status_code == 422
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        (Role.ANNOTATOR, ["read", "annotate"]),
        (Role.RESEARCHER, ["read", "annotate", "manage"]),
        (Role.ADMIN, ["read", "annotate", "manage", "admin"]),
    ],
)
def test_the_form_offers_what_the_role_can_do(role, scopes):
    client = log_in(UserFactory(role=role))
    confirm(client)
    page = client.get(NEW).content.decode()
    assert re.findall(r'name="scopes" value="(\w+)"', page) == scopes


def test_revoking_ends_ones_own_token_and_nobody_elses():
    user = UserFactory()
    secret, others = make(user), make(UserFactory())
    mine, theirs = ApiToken.objects.get(user=user), ApiToken.objects.exclude(user=user).get()
    client = client_of(user)
    assert client.post(f"/account/tokens/{theirs.public_id}/revoke/").status_code == 404
    assert client.post(f"/account/tokens/{mine.public_id}/revoke/").status_code == 302
    assert (works(secret), works(others)) == (False, True)


def test_an_expired_token_opens_nothing_and_is_listed_as_expired():
    user = UserFactory()
    secret = make(user)
    assert works(secret)
    ApiToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert not works(secret)
    assert "expired" in client_of(user).get("/account/tokens/").content.decode()


def test_a_token_dies_with_its_persons_access_and_does_not_come_back():
    admin, user = UserFactory(role=Role.ADMIN), UserFactory()
    secret = make(user)
    services.person_deactivate(person=user, by=admin)
    assert not works(secret)
    services.person_activate(person=user, by=admin)
    assert not works(secret)


def test_a_token_of_somebody_inactive_opens_nothing():
    user = UserFactory()
    secret = make(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert not works(secret)
    user.refresh_from_db()
    with pytest.raises(Invalid, match="cannot log in"):
        make(user)


def test_erasing_a_person_and_another_role_end_tokens():
    admin = UserFactory(role=Role.ADMIN)
    erased, promoted = UserFactory(), UserFactory(role=Role.RESEARCHER)
    secrets = [make(erased), make(promoted)]
    services.person_forget(person=erased, by=admin)
    services.role_change(person=promoted, role=Role.ANNOTATOR, by=admin)
    assert [works(secret) for secret in secrets] == [False, False]


def test_a_new_password_ends_tokens():
    user = UserFactory()
    secret = make(user)
    client = log_in(user)
    new = "a wholly different phrase"
    fields = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert client.post("/account/password/", fields).status_code == 302
    assert not works(secret)


def test_use_is_noted_at_most_once_a_minute():
    secret = make(UserFactory())
    works(secret)
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    works(secret)
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    works(secret)
    assert ApiToken.objects.get().last_used_at >= first


def test_making_and_revoking_is_logged_without_the_secret():
    user = UserFactory()
    secret = make(user, scopes=["annotate", "read"], days=7)
    client_of(user).post(f"/account/tokens/{ApiToken.objects.get().public_id}/revoke/")
    made, revoked = AuditEntry.objects.filter(action__startswith="token").order_by("pk")
    assert made.details == {
        "person": str(user.public_id), "scopes": ["read", "annotate"], "days": 7,
    }  # fmt: skip
    assert (revoked.action, revoked.actor) == ("token_revoked", user.public_id)
    assert secret not in repr(list(AuditEntry.objects.values()))


def test_nobody_hoards_tokens():
    user = UserFactory()
    for _ in range(MOST_TOKENS):
        make(user)
    with pytest.raises(Invalid, match="Revoke those"):
        make(user)


def test_a_token_is_made_on_the_server_too(capsys):
    UserFactory(username="rosa", role=Role.RESEARCHER)
    call_command("createtoken", "rosa", "--scopes", "read,manage", "--days", "3")
    assert works(capsys.readouterr().out.strip())
    assert ApiToken.objects.get().scopes == ["read", "manage"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody"], "nobody called"),
        (["rosa", "--scopes", "admin"], "Choose one or more"),
        (["rosa", "--days", "400"], "1 to 366"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, sentence):
    UserFactory(username="rosa", role=Role.RESEARCHER)
    with pytest.raises(CommandError, match=sentence):
        call_command("createtoken", *arguments)
    assert not ApiToken.objects.exists()
