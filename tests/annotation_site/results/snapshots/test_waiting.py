"""`manage.py export` gives the table, whoever computes it, and says meanwhile who does."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation_site.errors import Invalid
from annotation_site.results.files import archive
from annotation_site.results.files.archive_annotations import TableSettings
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots import services, waiting
from annotation_site.results.snapshots.versions import data_version
from annotation_site.results.snapshots.waiting import snapshot_finished
from annotation_site.results.tables.filters import Filters
from tests.annotation_site.results.snapshots.test_services import (
    assert_is_the_calculation_by_hand,
    labelled_study,
)

pytestmark = pytest.mark.django_db
State = Snapshot.State


@pytest.fixture
def study():
    return labelled_study()


def begun(study) -> Snapshot:
    """The newest snapshot, as a worker that is alive computes it."""
    now = timezone.now()
    return Snapshot.objects.create(
        study=study,
        data_version=data_version(study.pk),
        filter_key=Filters.of(study).key,
        measures_version=services.MEASURES_VERSION,
        filters=Filters.of(study).canonical(),
        state=State.RUNNING,
        started_at=now,
        heartbeat_at=now,
        step="Agreement and its intervals",
        step_done=3,
        step_total=9,
    )


def worker_ends(snapshot, **changes):
    """What the worker has made of it by the time somebody looks again."""

    def pause(seconds):
        Snapshot.objects.filter(pk=snapshot.pk).update(**changes)

    return pause


def computed(study) -> dict:
    """What a worker stores."""
    found = services.snapshot_refresh_now(study=study)
    stored = {"tables": found.tables, "figures": {}, "counts": {}, "measures": {}}
    found.delete()
    return {"state": State.READY, "finished_at": timezone.now(), **stored}


def test_a_table_is_computed_where_no_worker_runs(study):
    assert snapshot_finished(study=study, pause=pytest.fail).state == State.READY


def test_the_worker_that_computes_it_is_waited_for(study):
    done = computed(study)
    snapshot, told = begun(study), []
    found = snapshot_finished(study=study, report=told.append, pause=worker_ends(snapshot, **done))
    assert (found.pk, found.state) == (snapshot.pk, State.READY)
    assert [one.step for one in told] == ["Agreement and its intervals"]


def test_the_place_of_a_worker_that_dies_is_taken(study):
    snapshot = begun(study)
    long_ago = timezone.now() - timedelta(minutes=5)
    found = snapshot_finished(study=study, pause=worker_ends(snapshot, heartbeat_at=long_ago))
    assert (found.pk, found.state) == (snapshot.pk, State.READY)


def test_a_snapshot_that_goes_is_computed_anew(study):
    snapshot = begun(study)
    found = snapshot_finished(study=study, pause=lambda seconds: snapshot.delete())
    assert found.state == State.READY


def test_a_worker_that_fails_is_said(study):
    snapshot = begun(study)
    fails = worker_ends(
        snapshot, state=State.FAILED, finished_at=timezone.now(), error="A bug stopped it."
    )
    with pytest.raises(Invalid, match=r"could not be computed\. A bug stopped it\."):
        snapshot_finished(study=study, pause=fails)


def test_the_command_waits_and_tells_on_stderr_alone(study, tmp_path, monkeypatch):
    done = computed(study)
    snapshot, out, err = begun(study), io.StringIO(), io.StringIO()
    monkeypatch.setattr(waiting.time, "sleep", worker_ends(snapshot, **done))
    file = tmp_path / "coverage.csv"
    call_command("export", study.slug, "coverage", "--out", str(file), stdout=out, stderr=err)
    assert_is_the_calculation_by_hand(file.read_bytes())
    assert out.getvalue() == f"Wrote {file}\n"
    assert err.getvalue() == "Waiting for a worker: Agreement and its intervals (3 of 9)\n"


def test_the_command_does_not_wait_where_it_was_told_not_to(study, tmp_path):
    begun(study)
    file = tmp_path / "coverage.csv"
    with pytest.raises(CommandError, match="Run the command again in a minute"):
        call_command("export", study.slug, "coverage", "--no-wait", "--out", str(file))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["labels", "archive"])
def test_labels_and_archives_tell_how_far_they_are(study, tmp_path, monkeypatch, what):
    monkeypatch.setattr(
        archive, "TableSettings", lambda *chosen: TableSettings(*chosen, resamples=20)
    )
    out, err = io.StringIO(), io.StringIO()
    file = tmp_path / "file"
    call_command("export", study.slug, what, "--out", str(file), stdout=out, stderr=err)
    assert out.getvalue() == f"Wrote {file}\n"
    assert err.getvalue() == "0 of 7 annotations\n7 of 7 annotations\n"
