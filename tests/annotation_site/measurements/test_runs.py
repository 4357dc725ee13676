"""A worker runs measurements in a process apart, keeps what they gave, and resumes after a kill."""

import csv
import io
import json
import os
import signal
import subprocess
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.corpus.models import Extraction, LanguageModel
from annotation_site.measurements import files, runs, selectors, services
from annotation_site.measurements.models import Measurement
from annotation_site.measurements.sweeps import measurements_sweep
from annotation_site.notices.models import Notice
from annotation_site.workers import claims
from ffn_extract import measurements as registry
from ffn_extract.apart import MeasuringApart
from ffn_extract.measurements.declared import measure_options
from ffn_extract.measurements.run import measure
from ffn_extract.progress import MEASUREMENT_STEPS
from tests.annotation_site.factories import UserFactory
from tests.annotation_site.measurements.made import FEW, InThisProcess, extracted

pytestmark = pytest.mark.django_db(transaction=True)
State = Measurement.State


@pytest.fixture
def researcher(here):
    return UserFactory(role=Role.RESEARCHER)


@pytest.fixture
def in_this_process(monkeypatch, _one_processor):
    """Measure without a process apart, which takes seconds to start."""
    monkeypatch.setattr(runs, "MeasuringApart", InThisProcess)


def enqueue(model, name="saturation", **changes):
    given = {"options": FEW, "corpus": "thirty.txt", **changes}
    return services.measurement_enqueue(name=name, model=model, **given)


def work(measurement):
    runs.measurement_work(measurement_id=measurement.pk)
    measurement.refresh_from_db()
    return measurement


def content_of(measurement):
    return {
        file.name: files.file_content(file) for file in measurement.files.select_related("content")
    }


def died():
    """Its worker is silent: a sweep gives its work to another."""
    Measurement.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    measurements_sweep()


def test_a_ready_measurement_holds_the_bytes_that_the_command_writes(
    in_this_process, model, researcher, settings, tmp_path
):
    done = work(enqueue(model, requested_by=researcher))
    assert (done.state, done.error, done.claim) == (State.READY, "", None)
    values = {**FEW, "corpus": str(settings.CORPORA_DIR / "thirty.txt")}
    options = measure_options(values, {"name": model.name})
    (written,) = measure(["saturation"], settings.MODELS_DIR / "tiny", tmp_path / "out", options)
    kept = content_of(done)
    there = {path.name: path.read_bytes() for path in written.folder.iterdir()}
    assert {*kept} == {*there}
    mine = json.loads(kept.pop("manifest.json"))
    theirs = json.loads(there.pop("manifest.json"))
    assert done.digest == mine["digest"] == theirs["digest"]
    assert kept == there
    assert done.words == "\n".join(written.result.words)
    assert done.counts == {"examples": 6}
    assert json.loads(done.manifest) == mine
    assert [line.text.split(" vm")[0].split(" by worker")[0] for line in done.log.all()] == [
        "Queued.",
        "Taken",
        "Step: Find the model's files.",
        "Step: Draw examples from the corpus.",
        "Step: Load the model.",
        "Step: Run the model over the examples.",
        "Step: Compute tables and intervals.",
        "Ready.",
    ]
    (notice,) = Notice.objects.filter(user=researcher)
    assert (notice.kind, str(notice.text)) == (
        "measurement_ready", f"The measurement “{done.title}” is ready.",
    )  # fmt: skip
    assert not files.work_folder(done).exists()


def test_tables_are_read_as_numbers_and_words(in_this_process, model):
    done = work(enqueue(model, "contribution"))
    assert selectors.table_names(done) == ["contribution", "effective"]
    for name in selectors.table_names(done):
        table = selectors.table(done, name)
        rows = list(csv.DictReader(io.StringIO(content_of(done)[f"{name}.csv"].decode())))
        assert table.count == len(rows) == len(table.rows)
        assert set(table.about) == set(table.columns) == set(rows[0])
        for shown, row in zip(table.rows, rows, strict=True):
            as_text = ["" if cell is None else cell for cell in shown]
            assert [type(cell)(row[name]) for cell, name in zip(as_text, row, strict=True)] == (
                as_text
            )
    first = selectors.table(done, "contribution").rows[0]
    assert [type(cell) for cell in first[:4]] == [int, str, int, float]
    assert [figure.name for figure in selectors.figures(done)] == ["contribution"]
    assert {step.state for step in selectors.measurement_steps(done)} == {"done"}


@pytest.mark.parametrize("name", sorted(registry.MEASUREMENTS))
def test_the_registry_says_which_measurements_run_no_model(name):
    declared = registry.measurement_of(name)
    runs_it = declared.compute is not None or declared.run is not None
    assert runs_it != (name in registry.RUN_NO_MODEL)


@pytest.mark.parametrize("name", sorted(registry.MEASUREMENTS))
def test_the_registry_says_which_steps_a_measurement_has(name):
    declared = registry.measurement_of(name)
    some = {step for step, names in registry.STEPS_OF_SOME.items() if name in names}
    assert ("clusters" in some) == declared.clusters
    assert ("frequencies" in some) == declared.words
    assert bool(some & {"writing", "triggers"}) == (declared.run is not None)
    without = {step for step, names in registry.STEPS_WITHOUT.items() if name in names}
    assert ("reading" in without) == (declared.run is not None)
    assert ("examples" in without) == ("writing" in some)
    assert {*registry.STEPS_OF_SOME, *without} <= {key for key, _ in MEASUREMENT_STEPS}


def test_an_error_ends_a_measurement_with_the_sentence_of_the_command(
    in_this_process, model, settings
):
    (settings.CORPORA_DIR / "few.txt").write_text("the cat sat\nthe cat saw\n")
    failed = work(enqueue(model, corpus="few.txt"))
    assert failed.state == State.FAILED
    assert "2 " in str(failed.error)
    assert not failed.files.exists()


def test_other_weights_than_the_extractions_are_refused(in_this_process, model):
    LanguageModel.objects.update(weights_digest="sha256:other")
    failed = work(enqueue(model))
    assert failed.state == State.FAILED
    assert str(failed.error).startswith("The model's files are not those of the extraction")
    assert not failed.files.exists()


def test_an_encoder_is_refused_before_it_waits(here, settings, tiny_model):
    (settings.MODELS_DIR / "bert").symlink_to(tiny_model("bert"))
    encoder = extracted(settings.MODELS_DIR / "bert", here)
    with pytest.raises(services.Invalid, match="A bert model is an encoder"):
        enqueue(encoder)
    assert services.measurement_enqueue(name="norm", model=encoder, options=FEW).pk


def test_files_that_no_measurement_has_are_not_kept(in_this_process, model, monkeypatch):
    def write_more(self, *described):
        about = InThisProcess.measure(self, *described)
        (described[2] / "run.sh").write_text("rm -rf /")
        return about

    class Odd(InThisProcess):
        measure = write_more

    monkeypatch.setattr(runs, "MeasuringApart", Odd)
    failed = work(enqueue(model))
    assert (failed.state, str(failed.error)) == (
        State.FAILED, "The measurement left a file that has no place in its folder: run.sh.",
    )  # fmt: skip


def test_files_beyond_the_bound_are_not_kept(in_this_process, model, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 1_000)
    failed = work(enqueue(model))
    assert failed.state == State.FAILED
    assert str(failed.error).startswith("The measurement's files have more than 0 MB")


def test_a_token_that_a_database_does_not_store_is_replaced_in_words_alone(
    in_this_process, model, monkeypatch
):
    class Odd(InThisProcess):
        def measure(self, *described):
            about = super().measure(*described)
            return {**about, "words": ["top token: \0"]}

    monkeypatch.setattr(runs, "MeasuringApart", Odd)
    assert work(enqueue(model)).words == "top token: \ufffd"


def reading_steps(monkeypatch, *, stop_at=None):
    """The (done, total) of each report of the pass; at `stop_at` batches it is cancelled."""
    told = []
    report = services.measurement_report

    def tell(*, measurement, **changes):
        if changes.get("step") == "reading":
            told.append((changes["step_done"], changes["step_total"]))
            if stop_at is not None and changes["step_done"] >= stop_at:
                raise claims.ClaimLost
        report(measurement=measurement, **changes)

    monkeypatch.setattr(services, "measurement_report", tell)
    return told


class EveryReport(claims.ProgressReporter):
    """Writes each report: a tiny model is done before the next one is due."""

    def __call__(self, step, done, total):
        self.write(step, done, total)


def test_another_worker_goes_on_with_the_batches_of_a_dead_one(in_this_process, model, monkeypatch):
    whole = content_of(work(enqueue(model)))
    monkeypatch.setattr(runs, "ProgressReporter", EveryReport)
    lost = enqueue(model)
    with monkeypatch.context() as patch:
        assert reading_steps(patch, stop_at=2) == []
        work(lost)
    assert lost.state == State.RUNNING  # nobody said how it ended
    assert len(list(files.work_folder(lost).glob(".*/batch-*.npz"))) == 2
    died()
    told = reading_steps(monkeypatch)
    done = work(lost)
    assert (done.state, done.attempts) == (State.READY, 2)
    assert told[0] in ((0, 1), (2, 3))  # the step begins, and then with two of three batches
    assert [one for one in told if one != (0, 1)] == [(2, 3), (3, 3)]
    again = content_of(done)
    for kept in (whole, again):
        del kept["manifest.json"]  # has times
    assert again == whole


def test_a_worker_waits_for_one_that_does_not_let_go_and_then_says_so(
    in_this_process, model, monkeypatch
):
    monkeypatch.setattr(runs, "WAIT_SECONDS", 0)
    queued = enqueue(model)
    folder = files.work_folder(queued)
    folder.mkdir(parents=True)
    holds = f"import fcntl,sys; f=open({str(folder / '.work.lock')!r},'w'); fcntl.flock(f,2)"
    other = subprocess.Popen(
        ["python3", "-c", f"{holds}; print(1, flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        other.stdout.readline()
        failed = work(queued)
    finally:
        other.communicate()
    assert failed.state == State.FAILED
    assert str(failed.error).startswith("Another worker, which lost this measurement")


def test_the_next_of_a_model_is_taken_in_the_queues_turn(model, researcher):
    first, second = enqueue(model, requested_by=researcher), enqueue(model, requested_by=researcher)
    other = LanguageModel.objects.create(
        name="other", model_type="gpt2", n_layers=1, d_model=1, d_ff=1, vocab_size=1,
        vocabulary="subword", weights_digest="x",
    )  # fmt: skip
    Extraction.objects.create(
        model=other, model_source="tiny", state=Extraction.State.READY, title="another"
    )
    elsewhere = enqueue(other, requested_by=UserFactory(role=Role.RESEARCHER))
    Measurement.objects.update(enqueued_at=None)
    Measurement.objects.filter(pk=elsewhere.pk).update(
        created_at=timezone.now() - timedelta(hours=1)
    )
    claimed = services.measurement_claim(measurement_id=first.pk)
    Measurement.objects.filter(pk=first.pk).update(state=State.READY, claim=None)
    # Two places, and two that wait: both have their turn, and this process has the model of one.
    assert services.measurement_claim_next(after=claimed).pk == second.pk


def test_two_waiting_measurements_of_a_model_load_it_once(model, researcher, monkeypatch):
    """In a real process apart, with real kept files: the only such test that is not long."""
    started = []

    class Counted(MeasuringApart):
        def __init__(self):
            started.append(self)
            super().__init__()

    monkeypatch.setattr(runs, "MeasuringApart", Counted)
    first = enqueue(model, "contribution", requested_by=researcher)
    second = enqueue(model, "saturation", requested_by=researcher)
    Measurement.objects.update(enqueued_at=None)  # no message reached a worker
    work(first)
    second.refresh_from_db()
    assert (first.state, second.state) == (State.READY, State.READY)
    assert len(started) == 1
    in_memory = "The model was in memory already."
    assert [one.log.filter(text=in_memory).count() for one in (first, second)] == [0, 1]
    assert started[0]._process._running.poll() is not None  # it ended with the last of them


@pytest.mark.long
def test_a_killed_process_leaves_batches_and_the_next_run_goes_on(model, monkeypatch):
    monkeypatch.setattr(runs, "ProgressReporter", EveryReport)
    started = []

    class Known(MeasuringApart):
        def __init__(self):
            super().__init__()
            started.append(self._process._running.pid)

    monkeypatch.setattr(runs, "MeasuringApart", Known)
    report = services.measurement_report

    def kill(*, measurement, **changes):
        if changes.get("step") == "tables":  # the pass is done, and nothing is written
            os.kill(started[-1], signal.SIGKILL)
        report(measurement=measurement, **changes)

    queued = enqueue(model)
    with monkeypatch.context() as patch:
        patch.setattr(services, "measurement_report", kill)
        work(queued)
    assert queued.state == State.RUNNING
    assert len(list(files.work_folder(queued).glob(".*/batch-*.npz"))) == 3
    died()
    told = reading_steps(monkeypatch)
    done = work(queued)
    assert (done.state, done.attempts, len(started)) == (State.READY, 2, 2)
    assert (0, 3) not in told  # no batch was run again
