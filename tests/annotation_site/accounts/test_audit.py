"""The log: written by services, read by admins, changed by nobody."""

import io
import uuid

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from annotation_site.accounts import audit
from annotation_site.accounts.models import AppendOnly, AuditEntry, Role
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.corpus.services import extraction_enqueue
from annotation_site.results.snapshots.services import snapshot_refresh_now
from ffn_extract.options import ExtractOptions
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_invitation,
    make_study,
    newcomer,
)

pytestmark = pytest.mark.django_db


def logged() -> list[tuple]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", "actor", "target"))


def test_code_refuses_to_change_or_delete_an_entry():
    audit.record("login", actor=UserFactory())
    entry = AuditEntry.objects.get()
    entry.action = "logout"
    for change in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(action="logout"),
    ):
        with pytest.raises(AppendOnly):
            change()
    assert AuditEntry.objects.get().action == "login"


@pytest.mark.parametrize(
    "statement",
    ["UPDATE accounts_auditentry SET action = 'logout'", "DELETE FROM accounts_auditentry"],
)
def test_the_database_refuses_as_well(statement):
    audit.record("login")
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditEntry.objects.get().action == "login"


def test_an_action_that_nobody_has_named_cannot_be_logged():
    with pytest.raises(KeyError):
        audit.record("something")


def test_an_entry_is_written_with_what_it_tells_of_or_not_at_all():
    study = make_study()
    before = AuditEntry.objects.count()
    with transaction.atomic():
        study_state_change(study=study, state="paused")
        transaction.set_rollback(True)
    assert AuditEntry.objects.count() == before


def test_studies_models_exports_and_invitations_are_logged_with_who_did_it():
    admin = UserFactory(role=Role.ADMIN)
    study = make_study()
    rosa = study.created_by
    snapshot_refresh_now(study=study)
    before = len(logged())
    client_of(rosa).post(f"/studies/{study.slug}/state/", {"state": "paused"})
    b"".join(client_of(rosa).get(f"/studies/{study.slug}/results/coverage.csv"))
    extraction = extraction_enqueue(
        model_source="gpt2", options=ExtractOptions(), requested_by=admin
    )
    invitation, link = make_invitation(by=admin)
    Client().post(link, newcomer())
    nina = client_of(admin).get("/people/", {"name": "nina"}).context["page"][0]
    assert logged()[before:] == [
        ("study_state_changed", rosa.public_id, f"study:{study.slug}"),
        ("exported", rosa.public_id, f"study:{study.slug}"),
        ("model_enqueued", admin.public_id, f"extraction:{extraction.public_id}"),
        ("invitation_made", None, f"invitation:{invitation.public_id}"),
        ("person_created", None, f"user:{nina.public_id}"),
        ("invitation_accepted", nina.public_id, f"invitation:{invitation.public_id}"),
        ("login", nina.public_id, ""),
    ]


def test_the_log_names_nobody_so_that_erasing_needs_no_change(monkeypatch):
    from django.core.management import call_command

    monkeypatch.setattr("sys.stdin", io.StringIO("a long and odd one 7\n"))
    call_command("createadmin", "ida-the-admin")
    text = repr(list(AuditEntry.objects.values()))
    assert "ida" not in text
    assert "odd one" not in text


def test_admins_read_the_log_by_action_and_person():
    admin = client_of(UserFactory(role=Role.ADMIN))
    ada, ben = UserFactory(username="ada"), UserFactory(username="ben")
    audit.record("login", actor=ada)
    audit.record("logout", actor=ada)
    audit.record("login_failed", target=ben)

    def rows(**query: str) -> list[tuple]:
        return [
            (row["actor"], row["action"], row["target"])
            for row in admin.get("/log/", query).context["rows"]
        ]

    assert rows() == [
        ("", "failed to log in", "ben"), ("ada", "logged out", ""), ("ada", "logged in", ""),
    ]  # fmt: skip
    assert rows(action="login") == [("ada", "logged in", "")]
    assert rows(person="ben") == [("", "failed to log in", "ben")]
    assert rows(person="nobody") == []
    assert len(rows(action="no such action")) == 3


def test_the_log_is_paged_and_takes_few_queries(django_assert_max_num_queries):
    admin, ada = client_of(UserFactory(role=Role.ADMIN)), UserFactory()
    for _ in range(130):
        audit.record("login", actor=ada, target=ada)
    # session, person, count, entries, names, unread notices
    with django_assert_max_num_queries(6):
        first = admin.get("/log/")
    assert len(first.context["rows"]) == 100
    assert len(admin.get("/log/?page=2").context["rows"]) == 30


def test_an_entry_of_somebody_unknown_shows_their_id():
    somebody = uuid.uuid4()
    AuditEntry.objects.create(actor=somebody, action="login")
    page = client_of(UserFactory(role=Role.ADMIN)).get("/log/").content.decode()
    assert str(somebody) in page
