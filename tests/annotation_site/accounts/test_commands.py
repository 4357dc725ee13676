"""`createadmin` makes a person who can log in, and refuses weak passwords."""

import io

import pytest
from django.core.management import CommandError, call_command

from annotation_site.accounts.models import User

pytestmark = pytest.mark.django_db


def createadmin(monkeypatch, name, password, **options):
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    call_command("createadmin", name, **options)


def test_the_first_admin_can_log_in(monkeypatch, client):
    createadmin(monkeypatch, "ida", "a long and odd one 7")
    assert client.login(username="ida", password="a long and odd one 7")
    assert User.objects.get().is_admin
    assert client.get("/models/").status_code == 200


@pytest.mark.parametrize("password", ["short", "password123", "12345678901", "ida"])
def test_a_weak_password_is_refused_with_the_reason(monkeypatch, password):
    with pytest.raises(CommandError, match="password"):
        createadmin(monkeypatch, "ida", password)
    assert User.objects.count() == 0


def test_a_taken_name_is_refused(monkeypatch):
    createadmin(monkeypatch, "ida", "a long and odd one 7", role="researcher")
    with pytest.raises(CommandError, match="already exists"):
        createadmin(monkeypatch, "ida", "a long and odd one 7")
