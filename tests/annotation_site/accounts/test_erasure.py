"""Whoever is erased is gone: from every table, and from every byte of the files below VAR_DIR."""

from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.urls import reverse

from annotation_site.accounts.models import RequestKey, Role, User
from annotation_site.accounts.tokens import token_create
from annotation_site.annotation.models import Study
from annotation_site.annotation.people.joining import person_erase
from annotation_site.api.once import KEPT
from annotation_site.results.files import jobs
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.factories import (
    PASSWORD,
    UserFactory,
    client_of,
    log_in,
    make_invitation,
    make_study,
    newcomer,
    submit,
)

NAME, MAIL, OLDER_MAIL = "zephyrine-quux", "z.quux@mail.example", "older.quux@mail.example"
WORDS = (NAME, MAIL, OLDER_MAIL)


@pytest.fixture
def exports(settings) -> Path:
    settings.EXPORTS_DIR = Path(django_settings.VAR_DIR) / "exports"
    return settings.EXPORTS_DIR


def files_with(words: tuple[str, ...]) -> set[str]:
    """Files of the site, the database's and its log among them, that hold one of the words."""
    found = set()
    for path in Path(django_settings.VAR_DIR).rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            found |= {path.name for word in words if word.encode() in content}
    return found


def tables_with(words: tuple[str, ...]) -> set[str]:
    """Tables with one of the words in any column of any row."""
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            said = repr(cursor.fetchall()).lower()
            found |= {table for word in words if word in said}
    return found


def lives_here(admin: User) -> tuple[User, Study]:
    """Somebody who has left traces wherever somebody can."""
    _, link = make_invitation(by=admin)
    Client().post(link, newcomer(NAME, email=OLDER_MAIL))
    person = User.objects.get(username=NAME)
    study = make_study(people=[person, UserFactory()])
    rosa = bearer(study.created_by)
    log_in(person, password="not this one")
    browser = log_in(person)
    account = {"username": NAME, "email": MAIL, "current_password": PASSWORD}
    assert browser.post("/account/", account).status_code == 302
    Client().post(reverse("account_reset_password"), {"email": MAIL})
    submit(person.memberships.get().assignments.order_by("position")[0])
    # What others were answered about the person.
    url = f"/api/studies/{study.slug}/people"
    client_of(study.created_by).delete(f"{url}/{person.public_id}")
    added = rosa.post(
        url, {"person": str(person.public_id)}, format="json", headers={"Idempotency-Key": "add"}
    )
    assert (added.status_code, added.json()["name"]) == (201, NAME)
    client_of(admin).post(f"/people/{person.public_id}/role/", {"role": "researcher"})
    token_create(user=User.objects.get(username=NAME), name=f"of {NAME}", scopes=["read"])
    client_of(admin).get(f"/people/?name={NAME}")
    job = jobs.export_request(study=study, content="jsonl", with_names=True, by=study.created_by)
    jobs.export_run(job_id=job.pk)
    return person, study


@pytest.mark.django_db(transaction=True)
def test_no_byte_of_the_name_or_address_is_left_of_somebody_erased(exports):
    admin = UserFactory(role=Role.ADMIN)
    person, study = lives_here(admin)
    traces = {"accounts_user", "accounts_requestkey", "accounts_apitoken"}
    assert traces <= tables_with(WORDS)
    (job,) = study.exports.all()
    assert jobs.file_path(job).name in files_with(WORDS)

    address = f"/people/{person.public_id}/erase/"
    assert client_of(admin).post(address, {"name": NAME}).status_code == 302
    jobs.exports_sweep()  # a worker's, every few seconds
    assert tables_with(WORDS) == set()
    assert files_with(WORDS) == set()


@pytest.mark.django_db
def test_of_somebody_erased_no_answer_is_repeated_that_tells_their_name():
    admin = UserFactory(role=Role.ADMIN)
    study = make_study()
    rosa = bearer(study.created_by)
    person = UserFactory(username="Ünïque", email="u@mail.example")
    url = f"/api/studies/{study.slug}/people"
    for key, who in (("one", person), ("another", UserFactory())):
        sent = {"person": str(who.public_id)}
        headers = {"Idempotency-Key": key}
        assert rosa.post(url, sent, format="json", headers=headers).status_code == 201
    person_erase(person=person, by=admin)
    assert list(RequestKey.objects.values_list("key", flat=True)) == ["another"]
    again = rosa.post(
        url, {"person": str(person.public_id)}, format="json", headers={"Idempotency-Key": "one"}
    )
    assert again.status_code == 422
    assert "que" not in again.content.decode().replace("request", "")
    assert KEPT.days == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's pages")
def test_every_connection_to_sqlite_overwrites_what_it_deletes():
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA secure_delete")
        assert cursor.fetchone() == (1,)
    said = django_settings.DATABASES["default"]["OPTIONS"]["init_command"]
    assert "PRAGMA secure_delete=ON" in said  # whatever this build of SQLite does by itself
