"""Commands and the daily work around measurements: enqueueing, tidying up, the overview."""

import os
import time
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation_site.measurements import files
from annotation_site.measurements.models import Measurement, MeasurementLine
from annotation_site.operations import disk
from annotation_site.operations.overview import overview
from annotation_site.operations.tidy import tidy
from tests.annotation_site.factories import make_extraction, make_measurement

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("here")]
State = Measurement.State


@pytest.fixture
def known():
    return make_extraction(layers=1, per_layer=1, kinds=("value",)).model


def call(*arguments):
    out = StringIO()
    call_command("enqueue_measurement", *arguments, stdout=out)
    return out.getvalue()


def test_a_command_enqueues_a_measurement_of_a_model_by_its_name(known, messages):
    said = call("saturation", known.name, "--examples", "7", "--corpus", "thirty.txt", "--control")
    queued = Measurement.objects.get()
    assert said == f"Queued: Saturation of {known.name}, 7 examples as {queued.public_id}\n"
    assert (queued.parameters["examples"], queued.parameters["control"]) == (7, True)
    assert (queued.corpus_source, queued.requested_by) == ("thirty.txt", None)
    assert messages == [("measurement_work", queued.pk)]


def test_a_command_estimates_and_enqueues_nothing(known):
    said = call("saturation", "model", "--estimate")  # by what the extraction is called
    assert said.startswith("About ")
    assert said.endswith(" GB of memory.\n")
    assert not Measurement.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("saturation", "nobodys"), "No model nobodys has a ready extraction here."),
        (("saturation", "model", "--examples", "1"), "examples must be a whole number from 2"),
        (("saturation", "model", "--corpus", "none.txt"), "There are no texts “none.txt”"),
        (("saturation", "model", "--scorer", "os:system"), "unrecognized arguments: --scorer"),
        (("nothing", "model"), "invalid choice: 'nothing'"),
    ],
)
def test_a_command_refuses_with_a_sentence(known, arguments, said):
    with pytest.raises(CommandError) as refused:
        call(*arguments)
    assert said in str(refused.value)
    assert not Measurement.objects.exists()


def test_tidy_removes_batches_that_nobody_needs_and_old_lines(known, settings):
    old = timezone.now() - timedelta(days=settings.KEEP_ENDED_DAYS + 1)
    ago = {"finished_at": old}
    kept = [
        make_measurement(known, state=State.RUNNING),
        make_measurement(known, state=State.CANCELLED, finished_at=timezone.now()),
    ]
    over = [make_measurement(known), make_measurement(known, state=State.FAILED, **ago)]
    for one in (*kept, *over):
        folder = files.work_folder(one)
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - 2 * files.DAY,) * 2)
        MeasurementLine.objects.create(measurement=one, text="Queued.")
    MeasurementLine.objects.update(at=timezone.now() - timedelta(days=settings.KEEP_LOG_DAYS + 1))
    found = tidy(dry_run=True)
    assert found["measurement folders"] == sorted(str(files.work_folder(one)) for one in over)
    assert found["log lines"] == ["3 lines about measurements"]
    assert tidy() == found
    assert all(files.work_folder(one).exists() for one in kept)
    assert not any(files.work_folder(one).exists() for one in over)
    assert MeasurementLine.objects.get().measurement == kept[0]


def test_the_overview_shows_measurements_at_work_and_those_that_failed(known):
    make_measurement(known, state=State.RUNNING, worker="m:1:a", title="at work")
    make_measurement(known, state=State.QUEUED, title="waits")
    failed = make_measurement(
        known, state=State.FAILED, title="broken", finished_at=timezone.now(), error="No memory."
    )
    shown = overview()
    assert [(q.title, q.at_work) for q in shown.queue] == [
        ("Measurement “at work”", True), ("Measurement “waits”", False),
    ]  # fmt: skip
    (todo,) = [one for one in shown.attention if one.text == "No memory."]
    assert (todo.title, todo.address) == (
        "Measurement “broken”: failed", f"/measurements/{failed.public_id}/",
    )  # fmt: skip


def test_batches_at_work_are_a_kind_of_their_own_on_the_disk(known):
    one = files.work_folder(make_measurement(known, state=State.RUNNING))
    one.mkdir(parents=True)
    (one / "batch").write_bytes(os.urandom(50_000))
    found = disk._measure().sizes
    assert found["measurements"] >= 50_000
    assert found["bundles"] < 50_000
