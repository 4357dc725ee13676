"""A deleted study is gone with all of its own, and with nothing else."""

import uuid
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry, Invitation, Role, User
from annotation_site.annotation.models import Assignment, Study
from annotation_site.corpus.models import Vector
from annotation_site.errors import Invalid, NotFound
from annotation_site.results.files import deletion
from annotation_site.results.files.deletion import (
    deletions_sweep,
    study_contents,
    study_delete,
    study_delete_run,
)
from annotation_site.results.files.jobs import export_request, export_run
from annotation_site.results.models import ExportJob, Snapshot, StudyDeletion
from annotation_site.results.snapshots.services import snapshot_refresh_now, snapshots_sweep
from annotation_site.workers.claims import DEAD_AFTER
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_draft,
    make_invitation,
    make_study,
    pattern,
    submit,
)

pytestmark = pytest.mark.django_db
STUDY_APPS = ("annotation", "results")


def annotated(**changes) -> Study:
    study = make_study(repeat_percent=50, **changes)
    submit(assignment_of(study), answer(pattern(1, [1, 2, 3, 4])))
    snapshot_refresh_now(study=study)
    job = export_request(study=study, content="jsonl", with_names=False, by=study.created_by)
    export_run(job_id=job.pk)
    make_invitation(study=study)
    return study


def close(study: Study) -> Study:
    Study.objects.filter(pk=study.pk).update(state="closed")
    study.refresh_from_db()
    return study


def counts() -> dict[str, int]:
    models = [m for app in STUDY_APPS for m in apps.get_app_config(app).get_models()]
    return {m.__name__: m.objects.count() for m in (*models, Invitation, Vector, User)}


def files() -> set[Path]:
    return {path for path in Path(settings.EXPORTS_DIR).rglob("*") if path.is_file()}


def delete_now(study: Study) -> None:
    study_delete(study=study, by=study.created_by)
    study_delete_run(deletion_id=StudyDeletion.objects.get(study=study).pk)


def test_a_deleted_study_leaves_everything_else_as_it_was(tmp_path, settings, monkeypatch):
    settings.EXPORTS_DIR = tmp_path
    monkeypatch.setattr(deletion, "CHUNK", 3)
    annotated()
    before, kept = counts(), files()
    people, extraction = 3, 12  # which stay
    study = close(annotated())
    assert files() > kept
    delete_now(study)
    after = counts()
    assert after.pop("User") - before.pop("User") >= people
    assert after.pop("Vector") - before.pop("Vector") == extraction
    assert after.pop("TakenTime") - before.pop("TakenTime") == 1  # of the person who worked
    assert after == before
    assert files() == kept
    entry = AuditEntry.objects.get(action="study_deleted")
    assert entry.target == f"study:{study.slug}"
    assert entry.details == {"annotations": 1}


def test_nobody_sees_a_study_that_is_being_deleted():
    study = annotated(title="Not to be seen")
    annotator = assignment_of(study).membership.user
    admin = UserFactory(role=Role.ADMIN)
    assigned = assignment_of(study, 2).public_id
    study_delete(study=close(study), by=study.created_by)
    for user in (study.created_by, admin, annotator):
        client = client_of(user)
        assert study.title not in client.get("/").content.decode()
        for url in (
            f"/studies/{study.slug}/", f"/lists/{assigned}/", f"/api/lists/{assigned}",
            f"/api/work/{study.slug}", f"/api/studies/{study.slug}",
        ):  # fmt: skip
            assert client.get(url).status_code in (403, 404), url
        assert client.get("/api/hours").json()["results"] == []
    snapshots_sweep()
    assert not Snapshot.waiting().filter(study=study).exists()
    with pytest.raises(NotFound):
        study_delete(study=study, by=admin)


def test_a_study_at_work_is_not_deleted():
    study = annotated()
    with pytest.raises(Invalid, match="Pause or close it"):
        study_delete(study=study, by=study.created_by)
    assert Study.objects.get(pk=study.pk).state == "open"


@pytest.mark.parametrize("kind", [Snapshot, ExportJob])
def test_a_study_that_a_worker_computes_is_not_deleted(kind):
    study = close(annotated())
    row = kind.objects.filter(study=study)
    row.update(state="running", heartbeat_at=timezone.now(), claim=uuid.uuid4())
    with pytest.raises(Invalid, match="A worker is computing"):
        study_delete(study=study, by=study.created_by)
    assert Study.objects.get(pk=study.pk).state == "closed"
    row.update(heartbeat_at=timezone.now() - 2 * DEAD_AFTER)  # the worker is dead
    study_delete(study=study, by=study.created_by)


def test_a_killed_deletion_is_taken_up_where_it_stood(monkeypatch):
    study = close(annotated())
    monkeypatch.setattr(deletion, "CHUNK", 1)
    study_delete(study=study, by=study.created_by)
    row = StudyDeletion.objects.get(study=study)
    total = Assignment.objects.filter(item__study=study).count()
    real, left = deletion.report, iter(range(3))

    def dies(*args: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(deletion, "report", dies)
    with pytest.raises(KeyboardInterrupt):
        study_delete_run(deletion_id=row.pk)
    monkeypatch.setattr(deletion, "report", real)
    assert Assignment.objects.filter(item__study=study).count() == total - 3
    study_delete_run(deletion_id=row.pk)  # not given back yet
    assert Study.objects.filter(pk=study.pk).exists()
    StudyDeletion.objects.update(heartbeat_at=timezone.now() - 2 * DEAD_AFTER)
    deletions_sweep()
    study_delete_run(deletion_id=row.pk)
    assert not Study.objects.filter(pk=study.pk).exists()


def test_a_deletion_that_lost_its_claim_deletes_no_more(monkeypatch):
    study = close(annotated())
    study_delete(study=study, by=study.created_by)
    row = StudyDeletion.objects.get(study=study)

    def lose(*_: object) -> None:
        StudyDeletion.objects.update(claim=uuid.uuid4())

    monkeypatch.setattr(deletion, "_files_remove", lose)
    study_delete_run(deletion_id=row.pk)
    assert Assignment.objects.filter(item__study=study).exists()


def test_a_failed_deletion_is_tried_again():
    study = close(annotated())
    study_delete(study=study, by=study.created_by)
    row = StudyDeletion.objects.filter(study=study)
    row.update(state="failed", attempts=3, finished_at=timezone.now())
    deletions_sweep()
    assert row.get().state == "failed"
    row.update(finished_at=timezone.now() - 2 * StudyDeletion.AGAIN_AFTER)
    deletions_sweep()
    assert row.get().state == "due"


def test_the_page_wants_the_title():
    study = close(make_draft(title="A study to delete"))
    client = client_of(study.created_by)
    url = f"/studies/{study.slug}/delete/"
    response = client.post(url, {"title": "Another"})
    assert response.status_code == 422
    assert "The title does not match" in response.content.decode()
    assert Study.objects.get(pk=study.pk).state == "closed"
    assert client.post(url, {"title": "A study to delete"}).status_code == 302
    assert Study.objects.get(pk=study.pk).state == "deleting"


def test_the_page_says_what_goes():
    study = annotated()
    assert study_contents(study).annotations == 1
    page = client_of(study.created_by).get(f"/studies/{study.slug}/delete/").content.decode()
    assert "1 annotation, with every earlier version" in page


def test_the_api_deletes():
    study = close(make_draft())
    client = client_of(study.created_by)
    assert client.delete(f"/api/studies/{study.slug}").status_code == 202
    assert client.get(f"/api/studies/{study.slug}").status_code == 404
