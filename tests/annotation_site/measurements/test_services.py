"""Measurements are enqueued within bounds, by those who may, and end in one of few ways."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.accounts.audit import entries
from annotation_site.accounts.models import Role
from annotation_site.corpus import corpora
from annotation_site.corpus.models import Extraction, LanguageModel
from annotation_site.corpus.services import extraction_delete
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.measurements import files, options, runs, services
from annotation_site.measurements.models import (
    Measurement,
    MeasurementContent,
    MeasurementFile,
)
from annotation_site.measurements.sweeps import measurements_sweep
from annotation_site.notices.models import Notice
from annotation_site.workers import claims
from ffn_extract.measurements import MEASUREMENTS, declared
from ffn_extract.option_types import Text
from ffn_extract.options import OPTIONS, Option
from tests.annotation_site.factories import (
    LanguageModelFactory,
    UserFactory,
    make_extraction,
    make_measurement,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("here")]
State = Measurement.State


@pytest.fixture
def known():
    """A model with an extraction, whose files are elsewhere."""
    return make_extraction(layers=1, per_layer=1, kinds=("value",)).model


@pytest.fixture
def researcher():
    return UserFactory(role=Role.RESEARCHER)


@pytest.fixture
def uploaded(tmp_path, researcher):
    path = tmp_path / "three.txt"
    path.write_text("one cat\ntwo cats\nthree cats\n")
    return corpora.corpus_add(name="three", licence="", path=path, by=researcher)


def enqueue(model, **changes):
    return services.measurement_enqueue(**{"name": "saturation", "model": model, **changes})


def test_a_measurement_is_enqueued_with_every_option_and_wakes_a_worker(
    known, researcher, messages
):
    queued = enqueue(known, options={"examples": 10, "seed": 7}, requested_by=researcher)
    queued.refresh_from_db()
    assert queued.state == State.QUEUED
    assert queued.title == f"Saturation of {known.name}, 10 examples, seed 7"
    assert queued.parameters == {
        **{name: one.default for name, one in options.OFFERED.items()}, "examples": 10, "seed": 7,
    }  # fmt: skip
    assert (queued.corpus_source, queued.corpus_name, queued.corpus) == ("wordnet", "wordnet", None)
    assert queued.expected_seconds > 0
    assert messages == [("measurement_work", queued.pk)]
    assert [line.in_full for line in queued.log.all()] == [f"Queued. ({researcher})"]
    (entry,) = entries(action="measurement_enqueued")
    assert (entry.actor, entry.target) == (
        researcher.public_id, f"measurement:{queued.public_id}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "nothing"}, f"There are: {', '.join(MEASUREMENTS)}."),
        ({"options": {"examples": 1}}, "examples must be a whole number from 2 to 20000, not 1."),
        ({"options": {"examples": 20_001}}, "from 2 to 20000"),
        ({"options": {"examples": True}}, "from 2 to 20000"),
        ({"options": {"resamples": 10**9}}, "from 100 to 100000"),
        ({"options": {"seed": -1}}, "from 0 to"),
        ({"options": {"control": "yes"}}, "control must be true or false"),
        ({"options": {"extreme_below": 1.0}}, "belong together"),
        ({"options": {"prepend": "eos"}}, "prepend is none, bos or a token id"),
        ({"options": {"workers": 64}}, "workers cannot be chosen here."),
        ({"options": {"scorer": "os:system"}}, "scorer cannot be chosen here."),
        ({"options": {"corpus": "/etc/passwd"}}, "corpus cannot be chosen here."),
        ({"corpus": "/etc/passwd"}, "There are no texts “/etc/passwd”"),
        ({"corpus": "../corpora/thirty.txt"}, "There are no texts"),
        ({"corpus": "uploaded:nobodys"}, "The corpus was deleted."),
    ],
)
def test_what_cannot_be_measured_is_refused(known, changes, said):
    with pytest.raises(Invalid) as refused:
        enqueue(known, **changes)
    assert said in refused.value.message
    assert not Measurement.objects.exists()


def test_no_text_is_offered_that_nobody_looked_at(monkeypatch):
    """An import path or a file's name, of whatever measurement, stays with the command line."""
    kind = Option(name="scorer", default=None, type=Text(), heading="", help="imported")
    monkeypatch.setitem(declared.MEASURE_OPTIONS, "scorer", kind)
    offered = options._offered()
    texts = {name for name, one in offered.items() if isinstance(one.type, Text)}
    assert texts == options.TEXTS & {*declared.MEASURE_OPTIONS}
    assert "scorer" not in offered


def test_every_offered_option_has_words():
    for one in options.OFFERED.values():
        assert one.help or one.page_help is not None, one.name


def test_a_corpus_with_too_few_sentences_is_refused_with_the_number_needed(known, uploaded):
    with pytest.raises(Invalid) as refused:
        enqueue(known, corpus=uploaded.reference, options={"examples": 4})
    assert "“three” has 3 sentences, and 4 examples need as many" in refused.value.message
    # The worker counts those of split texts.
    enqueue(known, corpus=uploaded.reference, options={"examples": 4, "split_sentences": True})


def test_a_corpus_stays_as_long_as_a_measurement_may_need_it(known, uploaded, researcher):
    queued = enqueue(known, corpus=uploaded.reference, options={"examples": 2})
    assert queued.corpus_name == "three"
    with pytest.raises(Invalid) as refused:
        corpora.corpus_delete(corpus=uploaded, by=researcher)
    assert "A measurement still needs this corpus." in refused.value.message
    services.measurement_cancel(measurement=queued)
    corpora.corpus_delete(corpus=uploaded, by=researcher)
    with pytest.raises(Invalid) as gone:
        services.measurement_retry(measurement=queued)
    assert "The corpus was deleted." in gone.value.message
    queued.refresh_from_db()
    assert (queued.state, queued.corpus_name) == (State.CANCELLED, "three")


def test_a_model_without_an_extraction_here_is_refused():
    with pytest.raises(Invalid) as refused:
        enqueue(LanguageModelFactory(name="unknown"))
    assert refused.value.message == (
        "unknown has no ready extraction here. Enqueue the model first."
    )


def test_files_are_found_as_the_extraction_found_them(known):
    extraction = Extraction.objects.get(model=known)
    extraction.model_source = "some/model"
    extraction.parameters |= {"tensors": {"norm_kind": "rms", "unheard_of": "x"}}
    extraction.environment = {"gguf_files": ["m-1-of-2.gguf", "m-2-of-2.gguf"]}
    extraction.manifest = '{"model": {"layers_read": [0]}}'
    extraction.save()
    LanguageModel.objects.update(revision="abc123")
    known.refresh_from_db()
    assert services.files_of(known) == (
        "some/model",
        {
            "norm_kind": "rms", "allow_fewer_layers": True, "revision": "abc123",
            "gguf_file": "m-1-of-2.gguf", "name": known.name,
        },
    )  # fmt: skip


def test_a_person_has_so_many_unfinished_and_no_more(known, researcher, monkeypatch):
    monkeypatch.setattr(services, "MOST_UNFINISHED", 2)
    first = enqueue(known, requested_by=researcher)
    enqueue(known, requested_by=researcher)
    with pytest.raises(Invalid, match="2 of your measurements are waiting or running"):
        enqueue(known, requested_by=researcher)
    enqueue(known, requested_by=UserFactory(role=Role.RESEARCHER))
    services.measurement_cancel(measurement=first, by=researcher)
    enqueue(known, requested_by=researcher)
    with pytest.raises(Invalid, match="2 of your measurements are waiting or running"):
        services.measurement_retry(measurement=first, by=researcher)


def test_a_person_keeps_so_many_and_no_more(known, researcher, monkeypatch):
    monkeypatch.setattr(services, "MOST_KEPT", 1)
    make_measurement(known, requested_by=researcher)
    with pytest.raises(Invalid, match="You have 1 measurements"):
        enqueue(known, requested_by=researcher)


def test_annotators_measure_nothing(known):
    with pytest.raises(NotAllowed):
        enqueue(known, requested_by=UserFactory(role=Role.ANNOTATOR))


CHANGES = {
    "cancel": lambda **given: services.measurement_cancel(**given),
    "retry": lambda **given: services.measurement_retry(**given),
    "rename": lambda **given: services.measurement_rename(**given, title="Mine"),
    "delete": lambda **given: services.measurement_delete(**given),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_measurement_is_changed_by_who_asked_for_it_and_by_admins(known, researcher, change):
    states = {"cancel": State.QUEUED, "retry": State.FAILED}
    for by in (UserFactory(role=Role.ADMIN), researcher):
        one = make_measurement(
            known, requested_by=researcher, state=states.get(change, State.READY)
        )
        for other in (UserFactory(role=Role.RESEARCHER), UserFactory(role=Role.ANNOTATOR)):
            with pytest.raises(NotAllowed):
                CHANGES[change](measurement=one, by=other)
        CHANGES[change](measurement=one, by=by)
    past = {"cancel": "cancelled", "retry": "retried", "rename": "renamed", "delete": "deleted"}
    assert entries(action=f"measurement_{past[change]}").count() == 2


@pytest.mark.parametrize("state", State.values)
def test_what_can_be_done_depends_on_the_state(known, state):
    one = make_measurement(known, state=state)
    can = {
        "cancel": state in ("queued", "running"),
        "retry": state in ("failed", "cancelled"),
        "delete": state not in ("queued", "running"),
    }
    for change, allowed in can.items():
        Measurement.objects.filter(pk=one.pk).update(state=state)
        if allowed:
            CHANGES[change](measurement=one)
        else:
            with pytest.raises(Invalid):
                CHANGES[change](measurement=one)


def test_a_cancelled_measurement_is_taken_by_nobody_and_keeps_its_batches(known):
    queued = enqueue(known)
    claimed = services.measurement_claim(measurement_id=queued.pk)
    kept = files.work_folder(queued) / "batch"
    kept.parent.mkdir(parents=True)
    kept.touch()
    services.measurement_cancel(measurement=queued)
    with pytest.raises(claims.ClaimLost):
        services.measurement_report(measurement=claimed, step="reading")
    assert services.measurement_claim(measurement_id=queued.pk) is None
    services.measurement_retry(measurement=queued)
    assert kept.exists()
    again = services.measurement_claim(measurement_id=queued.pk)
    assert (again.state, again.attempts) == (State.RUNNING, 1)


def test_two_deliveries_are_done_once(known):
    queued = enqueue(known)
    assert services.measurement_claim(measurement_id=queued.pk) is not None
    assert services.measurement_claim(measurement_id=queued.pk) is None
    runs.measurement_work(measurement_id=queued.pk)  # delivered again: somebody has it
    runs.measurement_work(measurement_id=queued.pk + 1)  # of one that is gone
    queued.refresh_from_db()
    assert (queued.state, queued.attempts) == (State.RUNNING, 1)


def test_a_worker_measures_one_thing_at_a_time(known):
    first, second = enqueue(known), enqueue(known)
    assert services.measurement_claim(measurement_id=first.pk) is not None
    assert services.measurement_claim(measurement_id=second.pk) is None
    Measurement.objects.filter(pk=first.pk).update(state=State.READY)
    Extraction.objects.update(state=Extraction.State.RUNNING, worker=claims.this_worker())
    assert services.measurement_claim(measurement_id=second.pk) is None  # it extracts


def test_a_measurement_of_a_dead_worker_waits_again_and_fails_at_the_third(known, researcher):
    queued = enqueue(known, requested_by=researcher)
    for attempt in (1, 2, 3):
        claimed = services.measurement_claim(measurement_id=queued.pk)
        assert claimed.attempts == attempt
        Measurement.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
        measurements_sweep()
    queued.refresh_from_db()
    assert queued.state == State.FAILED
    assert "The worker process stopped without an error message." in queued.error
    (notice,) = Notice.objects.filter(user=researcher)
    assert (notice.kind, notice.path) == (
        "measurement_failed", f"/measurements/{queued.public_id}/",
    )  # fmt: skip


def test_the_end_is_told_to_who_asked_and_a_failure_to_admins(known, researcher):
    admin = UserFactory(role=Role.ADMIN)
    other = UserFactory(role=Role.RESEARCHER)
    queued = enqueue(known, requested_by=researcher)
    claimed = services.measurement_claim(measurement_id=queued.pk)
    services.measurement_fail(claimed, "The disk is full.")
    services.measurement_fail(claimed, "Again.")  # its claim is lost
    told = {notice.user: str(notice.text) for notice in Notice.objects.all()}
    assert told == dict.fromkeys(
        (researcher, admin), f"The measurement “{queued.title}” failed. The disk is full."
    )
    assert other not in told


def test_a_deleted_measurement_leaves_nothing(known, researcher):
    one = make_measurement(known, requested_by=researcher)
    files.work_folder(one).mkdir(parents=True)
    services.measurement_delete(measurement=one, by=researcher)
    for table in (Measurement, MeasurementFile, MeasurementContent):
        assert not table.objects.exists()
    assert not files.work_folder(one).exists()
    assert LanguageModel.objects.filter(pk=known.pk).exists()  # the extraction has it


def test_an_interrupted_deletion_is_taken_up(known):
    one = make_measurement(known)
    Measurement.objects.update(
        state=State.DELETING, heartbeat_at=timezone.now() - timedelta(minutes=1)
    )
    assert list(Measurement.waiting()) == [one]
    runs.measurement_work(measurement_id=one.pk)
    assert not Measurement.objects.exists()
    assert not entries(action="measurement_deleted").exists()  # it was told when it began


def test_a_model_stays_until_its_last_measurement_goes(known):
    one = make_measurement(known)
    extraction = Extraction.objects.get(model=known)
    extraction_delete(extraction=extraction)
    assert LanguageModel.objects.filter(pk=known.pk).exists()
    services.measurement_delete(measurement=one)
    assert not LanguageModel.objects.filter(pk=known.pk).exists()


def test_options_of_extractions_that_say_how_a_model_is_read_are_not_asked_again():
    assert not {"revision", "device", "value_tensor", "gguf_file"} & {*options.OFFERED}
    assert {"top_k", "seed"} <= {*options.OFFERED} & {*OPTIONS}
