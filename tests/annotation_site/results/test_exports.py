"""Files that researchers ask for: whole, once, for their own study, and not for ever."""

import hashlib
import io
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.models import Assignment, Study
from annotation_site.annotation.people.joining import person_erase
from annotation_site.errors import Invalid, NotFound
from annotation_site.exports import labels_jsonl
from annotation_site.results.files import jobs
from annotation_site.results.files.downloads import export_download
from annotation_site.results.models import ExportJob
from tests.annotation_site.annotation.answering import submit
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
    pattern,
    researcher_of,
)

pytestmark = pytest.mark.django_db
State = ExportJob.State


@pytest.fixture(autouse=True)
def folder(settings, tmp_path) -> Path:
    settings.EXPORTS_DIR = tmp_path / "exports"
    return settings.EXPORTS_DIR


@pytest.fixture
def study():
    study = make_study(extraction=make_extraction(layers=1, per_layer=1), lists_per_layer=1)
    submit(assignment_of(study), answer(pattern(1, [1, 2, 3, 4])))
    return study


def asked(study: Study, content: str = "jsonl", **options) -> ExportJob:
    return jobs.export_request(
        study=study, content=content, by=researcher_of(study), **{"with_names": False, **options}
    )


def written(study: Study, content: str = "jsonl", **options) -> ExportJob:
    job = asked(study, content, **options)
    jobs.export_run(job_id=job.pk)
    job.refresh_from_db()
    return job


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("content", jobs.CONTENTS)
def test_every_content_is_written_with_progress_size_and_checksum(study, folder, content):
    job = written(study, content)
    assert job.state == State.READY, job.error
    data = jobs.file_path(job).read_bytes()
    assert job.size == len(data) > 100
    assert job.sha256 == hashlib.sha256(data).hexdigest()
    assert (job.done, job.total) == (1, 1)
    assert job.expires_at == job.finished_at + timedelta(days=django_settings.EXPORT_DAYS)
    assert files(folder) == [jobs.file_path(job).name]
    assert jobs.file_path(job).stat().st_mode & 0o777 == 0o600


def test_a_message_that_comes_twice_writes_once(study):
    job = written(study)
    claim, finished = job.claim, job.finished_at
    jobs.export_run(job_id=job.pk)
    job.refresh_from_db()
    assert (job.claim, job.finished_at, job.attempts) == (claim, finished, 1)
    jobs.export_run(job_id=0)  # a job that is gone


def test_a_run_that_was_killed_is_done_by_another_and_its_half_file_goes(study, folder):
    job = asked(study)
    folder.mkdir()
    dead = uuid.uuid4()
    (folder / f"{job.public_id}-{dead}.jsonl.part").write_bytes(b"half a li")
    ExportJob.objects.update(
        state=State.RUNNING, claim=dead, attempts=1, heartbeat_at=timezone.now()
    )
    jobs.exports_sweep()  # it gave a sign of life a moment ago
    job.refresh_from_db()
    assert job.state == State.RUNNING
    assert len(files(folder)) == 1
    ExportJob.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    jobs.exports_sweep()
    job.refresh_from_db()
    assert (job.state, job.claim) == (State.DUE, None)
    assert files(folder) == []
    jobs.export_run(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.READY, 2)
    ExportJob.objects.update(
        state=State.RUNNING, attempts=3, heartbeat_at=timezone.now() - timedelta(minutes=1)
    )
    jobs.exports_sweep()
    job.refresh_from_db()
    assert job.state == State.FAILED
    assert "Attempts: 3." in job.error


def test_a_run_that_lost_its_claim_leaves_nothing_and_changes_nothing(study, folder, monkeypatch):
    job = asked(study)
    other = uuid.uuid4()

    def taken_over(*_, **__):
        ExportJob.objects.filter(pk=job.pk).update(claim=other)

    content = jobs.CONTENTS["jsonl"]
    monkeypatch.setitem(
        jobs.CONTENTS, "jsonl", type(content)(**{**vars(content), "write": taken_over})
    )
    jobs.export_run(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.claim, job.sha256) == (State.RUNNING, other, "")
    assert files(folder) == []


def test_a_bug_ends_the_job_with_a_sentence_and_is_not_hidden(study, folder, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    content = jobs.CONTENTS["jsonl"]
    monkeypatch.setitem(jobs.CONTENTS, "jsonl", type(content)(**{**vars(content), "write": broken}))
    job = asked(study)
    with pytest.raises(ZeroDivisionError):
        jobs.export_run(job_id=job.pk)
    job.refresh_from_db()
    assert job.state == State.FAILED
    assert str(job.error).startswith("A bug stopped this work (ZeroDivisionError)")
    assert files(folder) == []


def test_an_archive_of_nothing_says_so():
    job = written(make_study(), "archive")
    assert job.state == State.FAILED
    assert str(job.error).startswith("This study has no annotations yet")


def test_a_file_is_removed_when_its_days_are_over(study, folder):
    job, later = written(study), written(study)
    ExportJob.objects.filter(pk=job.pk).update(expires_at=timezone.now())
    job.refresh_from_db()
    with pytest.raises(NotFound):  # also before a worker has swept
        export_download(job=job, by=researcher_of(study))
    assert jobs.exports_expire() == 1
    job.refresh_from_db()
    assert job.state == State.EXPIRED
    assert files(folder) == [jobs.file_path(later).name]


def test_a_file_that_holds_removed_answers_goes(study, folder):
    job = written(study)
    Study.objects.filter(pk=study.pk).update(removals=1)
    job.refresh_from_db()
    with pytest.raises(NotFound):
        export_download(job=job, by=researcher_of(study))
    jobs.exports_sweep()
    assert files(folder) == []


def test_a_file_that_names_somebody_who_was_erased_goes(study, folder):
    named, coded = written(study, with_names=True), written(study)
    person = assignment_of(study).membership.user
    person_erase(person=person, by=UserFactory(role=Role.ADMIN))
    named.refresh_from_db()
    with pytest.raises(NotFound):
        export_download(job=named, by=researcher_of(study))
    later = written(study, with_names=True)  # does not know the name any more
    jobs.exports_sweep()
    assert files(folder) == sorted(jobs.file_path(job).name for job in (coded, later))


def test_files_of_a_deleted_job_and_strangers_in_the_folder_go(study, folder):
    job = written(study)
    (folder / "something.else").write_bytes(b"")
    job.delete()
    jobs.exports_expire()
    assert files(folder) == []


def test_what_is_not_offered_and_too_many_are_refused(study):
    with pytest.raises(Invalid, match="Choose one of these: jsonl"):
        asked(study, "../secrets")
    for _ in range(jobs.MOST_WAITING):
        asked(study)
    with pytest.raises(Invalid, match="waiting to be written"):
        asked(study)


def test_asking_waiting_and_fetching_on_the_page(study):
    client = client_of(researcher_of(study))
    url = reverse("results:exports", args=[study.slug])
    assert "No files yet" in client.get(url).content.decode()
    assert client.post(url, {"content": "nonsense"}).status_code == 422
    assert client.post(url, {"content": "jsonl"}).status_code == 302
    page = client.get(url).content.decode()
    assert "waiting for a worker" in page
    assert 'hx-trigger="every 1s"' in page
    job = ExportJob.objects.get()
    address = reverse("results:export_file", args=[study.slug, job.public_id])
    assert client.get(address).status_code == 404
    jobs.export_run(job_id=job.pk)
    job.refresh_from_db()
    page = client.get(url).content.decode()
    assert job.sha256 in page
    assert "hx-trigger" not in page
    response = client.get(address)
    data = b"".join(response.streaming_content)
    assert response["Content-Disposition"] == f'attachment; filename="{study.slug}-labels.jsonl"'
    assert hashlib.sha256(data).hexdigest() == job.sha256
    assert len(list(labels_jsonl.read(io.BytesIO(data)))) == 1
    logged = AuditEntry.objects.filter(action="exported").order_by("pk")
    assert [entry.details.get("downloaded", False) for entry in logged] == [False, True]


def test_names_are_in_a_file_only_where_somebody_chose_that(study):
    client = client_of(researcher_of(study))
    url = reverse("results:exports", args=[study.slug])
    client.post(url, {"content": "jsonl"})
    client.post(url, {"content": "jsonl", "with_names": "on"})
    name = assignment_of(study).membership.user.username.encode()
    found = []
    for job in ExportJob.objects.order_by("pk"):
        jobs.export_run(job_id=job.pk)
        job.refresh_from_db()
        found.append(b'"annotator_name":"' + name in jobs.file_path(job).read_bytes())
    assert found == [False, True]
    assert client.get(url).content.decode().count("with names") == 1


def test_a_file_is_handed_out_under_its_own_study_only(study):
    job = written(study)
    other = make_study(researcher=researcher_of(study))
    client = client_of(researcher_of(study))
    assert client.get(f"/studies/{other.slug}/exports/{job.public_id}/").status_code == 404
    for path in ("../../secret_key", "..%2f..%2fsecret_key", f"{job.public_id}/../..", "x"):
        assert client.get(f"/studies/{study.slug}/exports/{path}/").status_code in (301, 404)
    jobs.file_path(job).unlink()
    assert client.get(f"/studies/{study.slug}/exports/{job.public_id}/").status_code == 404


def test_a_title_is_text_on_the_page_and_the_file_keeps_a_plain_name():
    study = make_study(title='<script>alert("x")</script>')
    job = asked(study)
    ExportJob.objects.filter(pk=job.pk).update(state=State.FAILED, error="<b>bad</b>")
    page = client_of(researcher_of(study)).get(f"/studies/{study.slug}/exports/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "<b>bad</b>" not in page


def test_the_page_takes_few_queries(study, django_assert_max_num_queries):
    for _ in range(8):
        written(study)
    client = client_of(researcher_of(study))
    # session, person, study with counts, files with who asked, workers, whether it is made up
    # unread notices
    with django_assert_max_num_queries(7):
        client.get(f"/studies/{study.slug}/exports/")


def test_every_table_format_is_downloaded_from_the_results_page(study):
    from annotation_site.exports import EXPORT_FORMATS
    from annotation_site.results.snapshots import services

    services.snapshot_refresh_now(study=study)
    client = client_of(researcher_of(study))
    for name, export in EXPORT_FORMATS.items():
        response = client.get(f"/studies/{study.slug}/results/coverage.{name}")
        assert response.status_code == 200, name
        assert response["Content-Type"] == export.media_type
        assert b"".join(response.streaming_content)


def test_the_command_writes_tables_labels_and_archives(study, tmp_path):
    for what, options in (
        ("coverage", []), ("coverage", ["--format", "tex"]), ("labels", []),
        ("labels", ["--format", "parquet", "--with-names"]), ("archive", []),
    ):  # fmt: skip
        out = tmp_path / "out"
        call_command("export", study.slug, what, "--out", str(out), *options)
        assert out.stat().st_size > 100
        out.unlink()
    for what, options, sentence in (
        ("labels", ["--format", "csv"], "Labels are written as jsonl or parquet"),
        ("coverage", ["--format", "doc"], "Choose one of these: csv"),
        ("nothing", [], "There is no table nothing"),
    ):
        with pytest.raises(CommandError, match=sentence):
            call_command("export", study.slug, what, "--out", str(tmp_path / "out"), *options)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]


def test_a_withdrawn_answer_leaves_the_labels(study):
    Assignment.objects.update(state="withdrawn")
    assert jobs.file_path(written(study)).read_bytes() == b""
