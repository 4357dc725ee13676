"""Data sets that researchers ask for: whole, once, for their own study, and not for ever."""

import hashlib
import io
import uuid
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db.models import F
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry
from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.data_sets import services, writing
from annotation_site.data_sets.models import DataSet
from annotation_site.data_sets.selectors import data_set_download
from annotation_site.data_sets.services import (
    data_set_cancel,
    data_set_request,
    data_set_run,
    data_sets_sweep,
    file_path,
)
from annotation_site.errors import Invalid, NotFound
from annotation_site.notices.models import Notice
from annotation_site.operations.tidy import tidy
from annotation_site.public.standing import against_words
from tests.annotation_site.data_sets.made import few_draws, make_shareable
from tests.annotation_site.factories import (
    client_of,
    make_data_set,
    make_study,
    researcher_of,
)

pytestmark = pytest.mark.django_db
State = DataSet.State
LICENCE = {"licence": "cc-by-4.0"}


@pytest.fixture(autouse=True)
def folder(settings, tmp_path) -> Path:
    settings.EXPORTS_DIR = tmp_path / "exports"
    return settings.EXPORTS_DIR / "data-sets"


@pytest.fixture
def study():
    return make_shareable()


@pytest.fixture
def quick(monkeypatch):
    """In place of a whole folder, one file that says what it is."""

    def write(folder, study, options, *, report=lambda done, total: None):
        report(1, 2)
        (folder / "README.md").write_text(f"{study.title}, {options.licence}")

    monkeypatch.setattr(writing, "data_set_write", write)


def asked(study: Study, **options) -> DataSet:
    return data_set_request(study=study, by=researcher_of(study), **{**LICENCE, **options})


def written(study: Study, **options) -> DataSet:
    row = asked(study, **options)
    data_set_run(data_set_id=row.pk)
    row.refresh_from_db()
    return row


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_worker_writes_the_whole_folder_as_a_zip_file(study, folder):
    with few_draws():
        row = written(study, title=" Birds ", authors=["A. Bird"])
    assert (row.state, row.error) == (State.READY, "")
    data = file_path(row).read_bytes()
    assert (row.size, row.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert row.expires_at == row.finished_at + timedelta(days=django_settings.EXPORT_DAYS)
    submitted = Assignment.objects.filter(item__study=study, state="submitted").count()
    assert (row.done, row.total) == (2 * submitted, 2 * submitted)  # each is written twice
    assert names(folder) == [file_path(row).name]
    assert file_path(row).stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        said = {name: opened.read(name) for name in opened.namelist()}
    listed = dict(
        reversed(line.split("  ")) for line in said["checksums.sha256"].decode().splitlines()
    )
    assert listed == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in said.items()
        if name != "checksums.sha256"
    }
    assert b'pretty_name: "Birds"' in said["README.md"]
    assert b'- name: "A. Bird"' in said["CITATION.cff"]


def test_the_person_who_asked_is_told_and_the_log_says_what_was_chosen(study, quick):
    row = written(study, with_times=True)
    notice = Notice.objects.get()
    assert notice.user == row.requested_by
    assert str(notice.text) == "The data set of “Birds in layers” can be downloaded."
    assert notice.path == f"/studies/{study.slug}/data-set/"
    data_set_download(data_set=row, by=researcher_of(study)).content.close()
    entries = AuditEntry.objects.filter(action__startswith="data_set").order_by("pk")
    assert [(one.action, one.details) for one in entries] == [
        ("data_set_written",
         {"licence": "cc-by-4.0", "with_times": True, "with_comments": False}),
        ("data_set_downloaded", {}),
    ]  # fmt: skip


def test_a_message_that_comes_twice_writes_once(study, quick):
    row = written(study)
    data_set_run(data_set_id=row.pk)
    data_set_run(data_set_id=0)  # one that is gone
    again = DataSet.objects.get(pk=row.pk)
    assert (again.claim, again.attempts) == (row.claim, 1)


def test_a_run_that_was_killed_is_done_by_another_and_its_half_folder_goes(study, folder, quick):
    row = asked(study)
    dead = uuid.uuid4()
    half = folder / f"{row.public_id}-{dead}abc"
    half.mkdir(parents=True)
    (half / "README.md").write_text("half a li")
    long_ago = timezone.now() - timedelta(minutes=1)
    DataSet.objects.update(state=State.RUNNING, claim=dead, attempts=1, heartbeat_at=timezone.now())
    data_sets_sweep()  # it gave a sign of life a moment ago
    assert names(folder) == [half.name]
    DataSet.objects.update(heartbeat_at=long_ago)
    data_sets_sweep()
    row.refresh_from_db()
    assert (row.state, row.claim, names(folder)) == (State.DUE, None, [])
    data_set_run(data_set_id=row.pk)
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.READY, 2)


def test_a_cancelled_run_leaves_no_file(study, folder, monkeypatch):
    row = asked(study)

    def write(folder, study, options, *, report):
        data_set_cancel(data_set=row, by=researcher_of(study))
        report(2, 2)

    monkeypatch.setattr(writing, "data_set_write", write)
    data_set_run(data_set_id=row.pk)
    row.refresh_from_db()
    assert (row.state, row.error, names(folder)) == (State.CANCELLED, "", [])
    data_set_cancel(data_set=row, by=researcher_of(study))  # a no-op
    assert AuditEntry.objects.filter(action="data_set_cancelled").count() == 1


def test_a_failure_leaves_a_sentence_and_no_file(study, folder, monkeypatch):
    def write(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "data_set_write", write)
    row = asked(study)
    with pytest.raises(OSError, match="No space"):
        data_set_run(data_set_id=row.pk)
    row.refresh_from_db()
    assert row.state == State.FAILED
    assert "disk" in str(row.error)
    assert names(folder) == []
    assert "could not be written" in str(Notice.objects.get().text)


@pytest.mark.parametrize(
    "changes", [{"removals": F("removals") + 1}, {"may_share": False}], ids=str
)
def test_a_file_with_removed_annotations_is_gone(study, folder, quick, changes):
    row = written(study)
    Study.objects.filter(pk=study.pk).update(**changes)
    with pytest.raises(NotFound):
        data_set_download(data_set=row, by=researcher_of(study))
    data_sets_sweep()
    row.refresh_from_db()
    assert (row.state, names(folder)) == (State.EXPIRED, [])


def test_an_expired_file_is_tidied_up_and_later_its_row(study, folder, quick):
    row = written(study)
    DataSet.objects.update(expires_at=timezone.now())
    path = str(file_path(row))
    assert tidy(dry_run=True)["data set files"] == [path]
    tidy()
    assert names(folder) == []
    DataSet.objects.update(requested_at=timezone.now() - timedelta(days=10_000))
    tidy()
    assert not DataSet.objects.exists()


def test_a_study_on_the_same_vectors_stands_against_it(study, quick):
    row = written(study)
    other = make_study(extraction=study.extractions.get(), lists_per_layer=1, title="Secret")
    with pytest.raises(Invalid, match="annotate vectors of this study elsewhere") as refused:
        asked(study)
    assert "Secret" not in refused.value.message  # somebody else runs it
    with pytest.raises(Invalid):
        data_set_download(data_set=row, by=researcher_of(study))
    Study.objects.filter(pk=other.pk).update(state=Study.State.CLOSED)
    asked(study)


def test_a_list_of_training_is_published_too_so_it_stands_against_it(study):
    study.items.update(use=Item.Use.TRAINING)
    make_study(extraction=study.extractions.get(), lists_per_layer=1, title="Secret")
    assert against_words(study, reader=None) == ""  # a public page shows no training lists
    assert "elsewhere: “Secret”" in against_words(study, reader=None, own_lists=False)


def test_what_changed_before_the_worker_began_is_refused(study, folder):
    row = asked(study)
    Study.objects.filter(pk=study.pk).update(may_share=False)
    data_set_run(data_set_id=row.pk)
    row.refresh_from_db()
    assert row.state == State.FAILED
    assert "People did not agree to a data set" in str(row.error)


def test_there_are_bounds_to_what_can_be_asked_for(study):
    with pytest.raises(Invalid, match="Choose a licence"):
        asked(study, licence="")
    with pytest.raises(Invalid, match="at most 50 authors"):
        asked(study, authors=["A"] * 51)
    for _ in range(services.MOST_WAITING):
        asked(study)
    with pytest.raises(Invalid, match="Too many data sets"):
        asked(study)
    DataSet.objects.update(state=State.CANCELLED)
    for _ in range(services.MOST_A_DAY - services.MOST_WAITING):
        make_data_set(study, requested_by=researcher_of(study))
    with pytest.raises(Invalid, match="the limit for one day"):
        asked(study)


def test_the_page_says_why_there_is_none_or_offers_the_form(study):
    runs, address = client_of(researcher_of(study)), f"/studies/{study.slug}/data-set/"
    page = runs.get(address).content.decode()
    assert 'name="licence"' in page
    assert "Choose a licence" in page
    assert address in runs.get(f"/studies/{study.slug}/exports/").content.decode()
    assert address in runs.get(f"/studies/{study.slug}/publish/").content.decode()
    refused = runs.post(address, {"with_times": "on"})
    assert refused.status_code == 422
    assert runs.post(address, {**LICENCE, "authors": "A\n\n B \n"}).status_code == 302
    row = DataSet.objects.get()
    assert (row.authors, row.with_times, row.state) == (["A", "B"], False, State.DUE)
    page = runs.get(f"{address}status/").content.decode()
    assert "waiting for a worker" in page
    assert runs.post(f"{address}{row.public_id}/cancel/").status_code == 302
    assert "cancelled" in runs.get(address).content.decode()
    Study.objects.filter(pk=study.pk).update(may_share=False)
    page = runs.get(address).content.decode()
    assert "People did not agree to a data set" in page
    assert 'name="licence"' not in page


def test_the_team_downloads_it_from_the_page_and_by_the_api(study, quick):
    runs, address = client_of(researcher_of(study)), f"/api/studies/{study.slug}/data-sets"
    asked_for = runs.post(address, {**LICENCE, "title": "T"}, content_type="application/json")
    assert asked_for.status_code == 202
    one = f"{address}/{asked_for.json()['id']}"
    assert runs.get(f"{one}/file").status_code == 404
    data_set_run(data_set_id=DataSet.objects.get().pk)
    told = runs.get(one).json()
    assert (told["state"], told["title"], told["licence"]) == ("ready", "T", "cc-by-4.0")
    assert runs.get(address).json()["results"][0] == told
    for url in (f"{one}/file", f"/studies/{study.slug}/data-set/{told['id']}/"):
        response = runs.get(url)
        data = b"".join(response.streaming_content)
        assert hashlib.sha256(data).hexdigest() == told["sha256"]
        assert f"{study.slug}-data-set.zip" in response["Content-Disposition"]
    annotator = study.memberships.filter(role="annotator").first().user
    assert client_of(annotator).get(f"{one}/file").status_code in (403, 404)
    assert runs.delete(one).status_code == 204  # it is finished: a no-op
    assert DataSet.objects.get().state == State.READY
