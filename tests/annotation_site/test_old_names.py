"""What version 0.1 left in browsers, scripts and the log is read under today's names."""

import uuid
from importlib import import_module

import pytest
from django.apps import apps

from annotation_site.accounts import audit
from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.accounts.selectors import log_rows
from annotation_site.old_names import ACTIONS, annotation_renamed
from annotation_site.results.models import Snapshot
from annotation_site.results.tables.filters import Filters
from tests.annotation_site.factories import UserFactory, answer, client_of, make_study, pattern

SAID = answer(pattern(1, [1, 2, 3, 4]))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"answer": SAID}, {"annotation": SAID}),
        ({"annotation": 1, "answer": 2}, {"annotation": 1, "answer": 2}),
        (
            {"answer": 1, "ui": {"current": 2, "past": [{"answer": 3}, None], "future": 4}},
            {"annotation": 1, "ui": {"current": 2, "past": [{"annotation": 3}, None], "future": 4}},
        ),
        ({"ui": {"future": [{"answer": 1}]}}, {"ui": {"future": [{"annotation": 1}]}}),
        ([], []),
        (None, None),
    ],
)
def test_a_draft_is_read_under_both_names(old, new):
    assert annotation_renamed(old) == annotation_renamed(new) == new


@pytest.mark.django_db
def test_a_page_that_was_open_during_the_upgrade_saves_and_submits():
    study = make_study()
    assignment = study.items.first().assignments.first()
    client = client_of(assignment.membership.user)
    url = f"/api/lists/{assignment.public_id}"
    body = {"base_version": 0, "content": {"answer": SAID}, "active_seconds": 1}
    assert client.put(f"{url}/draft", body, content_type="application/json").status_code == 200
    assignment.refresh_from_db()
    assert assignment.draft == {"annotation": SAID}
    body = {"base_version": 1, "key": str(uuid.uuid4()), "answer": SAID, "active_seconds": 2}
    assert client.post(f"{url}/submit", body, content_type="application/json").status_code == 200
    assert "annotation" in assignment.revisions.get().snapshot


@pytest.mark.django_db
@pytest.mark.parametrize(("old", "new"), ACTIONS.items())
def test_entries_of_the_log_are_found_and_shown_under_todays_name(old, new):
    AuditEntry.objects.create(action=old)
    (entry,) = audit.entries(action=new)
    assert entry.action == old
    assert [row["action"] for row in log_rows([entry])] == [audit.ACTIONS[new]]
    client = client_of(UserFactory(role=Role.ADMIN))
    (row,) = client.get(f"/api/log?action={new}").json()["results"]
    assert row["action"] == new


@pytest.mark.django_db
def test_stored_filters_and_their_keys_are_renamed_and_go_back():
    old = {"min_tokens": 4, "machine": True}
    row = Snapshot.objects.create(study=make_study(), data_version=1, filters=old, filter_key="x")
    name = "annotation_site.results.migrations.0005_machine_annotators_in_filters"
    migration = import_module(name)
    migration.machine_to_machine_annotators(apps, None)
    row.refresh_from_db()
    assert row.filters == {"min_tokens": 4, "machine_annotators": True}
    assert row.filter_key == Filters.read(row.filters).key
    migration.machine_annotators_to_machine(apps, None)
    row.refresh_from_db()
    assert row.filters == old


@pytest.mark.django_db
def test_stored_drafts_are_renamed_in_batches_and_go_back(monkeypatch):
    migration = import_module("annotation_site.annotation.migrations.0008_annotations_in_json")
    monkeypatch.setattr(migration, "ROWS_AT_ONCE", 2)
    study = make_study()
    drafts = [
        {"answer": SAID, "ui": {"past": [{"answer": SAID}, None], "future": "x"}},
        {"answer": None},
        {"answer": SAID},
        {"ui": {}},
        None,
    ]
    assignments = apps.get_model("annotation", "Assignment").objects.filter(item__study=study)
    for row, draft in zip(assignments.order_by("pk"), drafts, strict=False):
        assignments.filter(pk=row.pk).update(draft=draft)
    before = dict(assignments.values_list("pk", "draft"))
    assert len([one for one in before.values() if one]) == 4
    migration.answers_to_annotations(apps, None)
    now = dict(assignments.values_list("pk", "draft"))
    assert now == {pk: annotation_renamed(draft) for pk, draft in before.items()}
    migration.annotations_to_answers(apps, None)
    assert dict(assignments.values_list("pk", "draft")) == before
