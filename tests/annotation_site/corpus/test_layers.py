"""An extraction of every value vector, layer by layer: the bundle of a single process, always."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.corpus import extraction_runs, layers, selectors, services
from annotation_site.corpus.models import Extraction, ExtractionLayer, LanguageModel, Vector
from annotation_site.corpus.sweeps import extractions_sweep
from annotation_site.errors import Invalid
from annotation_site.workers import claims
from annotation_site.workers.queues import EXTRACTION_QUEUE
from ffn_extract.errors import BundleError
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract, open_run
from ffn_extract.whole_layers import LayeredExtraction
from tests.annotation_site.factories import UserFactory, client_of, make_extraction, make_study
from tests.ffn_extract.tiny_models import SENTENCES

pytestmark = pytest.mark.django_db(transaction=True)
State = Extraction.State
LAYERS, D_FF, DRAWN = 2, 24, 3
EVERY = ExtractOptions(
    per_layer="all", drawn_per_layer=DRAWN, top_k=5, corpus=str(SENTENCES), glosses=()
)


class Here(LayeredExtraction):
    """Held open in this process, so that tests can look into it."""

    def __init__(self, model, out, options, report):
        super().__init__(open_run(model, out, options, extraction_runs.Steps(report)))

    def close(self):
        """There is no process to be ended."""


@pytest.fixture
def site(settings, tmp_path, tiny_model, messages, monkeypatch):
    """Folders of this test's own, with a tiny model in them; nothing kept open from before.

    Extractions run in this process; `test_extraction_apart.py` has those that do not.
    """
    monkeypatch.setattr(extraction_runs.apart, "LayersApart", Here)
    settings.BUNDLES_DIR = tmp_path / "bundles"
    settings.MODELS_DIR = tmp_path / "models"
    settings.CORPORA_DIR = SENTENCES.parent
    settings.MODELS_DIR.mkdir()
    (settings.MODELS_DIR / "tiny").symlink_to(tiny_model("bert"))
    extraction_runs._kept.forget()
    yield settings
    extraction_runs._kept.forget()


@pytest.fixture
def digest(site, tmp_path):
    options = replace(EVERY, name="tiny")
    return extract(str(site.MODELS_DIR / "tiny"), tmp_path / "direct", options).digest


def enqueued():
    options = replace(EVERY, corpus=SENTENCES.name)
    return services.extraction_enqueue(model_source="tiny", options=options)


def prepared():
    """An extraction that is cut into layers, none of them begun."""
    extraction = enqueued()
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert extraction.state == State.LAYERS, extraction.error
    return extraction


def work_until_it_ends(extraction):
    for _ in range(10):
        extraction.refresh_from_db()
        if not extraction.is_unfinished:
            break
        extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()


def attempts(extraction):
    return list(extraction.layers.values_list("attempts", flat=True))


def died(rows):
    """Make rows look as if the worker that held them died a while ago."""
    rows.update(heartbeat_at=timezone.now() - claims.DEAD_AFTER - timedelta(seconds=1))


def test_one_worker_makes_the_bundle_of_the_command_line(site, digest, messages):
    extraction = prepared()
    # At the start, and to a free worker for the layers.
    assert messages == [("extraction_work", extraction.pk)] * 2
    work_until_it_ends(extraction)
    assert (extraction.state, extraction.bundle_digest) == (State.READY, digest)
    assert attempts(extraction) == [1] * LAYERS
    assert extraction.vectors.count() == LAYERS * (D_FF + 2 * DRAWN)
    assert [path.name for path in site.BUNDLES_DIR.iterdir()] == [str(extraction.public_id)]


def test_layers_have_further_controls_and_statistics(site, tmp_path):
    kinds = ("value", "permuted", "shuffled")
    options = replace(EVERY, kinds=kinds, value_statistics=True, name="tiny")
    direct = extract(str(site.MODELS_DIR / "tiny"), tmp_path / "direct", options)
    extraction = services.extraction_enqueue(model_source="tiny", options=options)
    work_until_it_ends(extraction)
    assert (extraction.state, extraction.bundle_digest) == (State.READY, direct.digest)
    assert set(extraction.layers.values_list("total", flat=True)) == {2 * D_FF + 2 * DRAWN}
    assert extraction.value_statistics.count() == LAYERS * D_FF
    shuffled = extraction.vectors.filter(kind="shuffled")
    assert shuffled.count() == LAYERS * DRAWN
    assert set(shuffled.values_list("norm", "scores")) == {(None, None)}


def test_each_layer_goes_to_one_worker_however_many_ask_at_once(site, monkeypatch):
    extraction = prepared()
    ExtractionLayer.objects.bulk_create(
        ExtractionLayer(extraction=extraction, layer=layer, total=1) for layer in range(LAYERS, 12)
    )
    monkeypatch.setattr(claims, "this_worker", lambda: threading.current_thread().name)

    def ask(_):
        try:
            layer = layers.layer_claim(extraction=extraction)
            return layer and layer.layer
        finally:
            connection.close()

    begin = threading.Barrier(12)  # else the first thread may be free again before the second
    with ThreadPoolExecutor(12, initializer=begin.wait) as pool:
        taken = [layer for layer in pool.map(ask, range(40)) if layer is not None]
    assert len(taken) == len(set(taken)) > 1
    assert set(attempts(extraction)) <= {0, 1}


def test_a_worker_does_one_layer_at_a_time(site):
    extraction = prepared()
    assert layers.layer_claim(extraction=extraction) is not None
    assert layers.layer_claim(extraction=extraction) is None
    other = enqueued()
    assert services.extraction_claim(extraction_id=other.pk) is None


def test_a_layer_whose_worker_died_is_done_again_and_no_other(site, digest):
    extraction = prepared()
    layers.layer_claim(extraction=extraction)
    died(ExtractionLayer.objects.all())
    extractions_sweep()
    work_until_it_ends(extraction)
    assert (extraction.state, extraction.bundle_digest) == (State.READY, digest)
    assert attempts(extraction) == [2, 1]


def test_a_layer_that_was_stored_before_its_worker_died_is_not_computed_again(
    site, digest, monkeypatch
):
    extraction = prepared()
    layer = layers.layer_claim(extraction=extraction)
    opened = extraction_runs._kept.taking_part(extraction)
    opened.layer(layer.layer, extraction_runs.Steps(lambda p: None), lambda done: None)
    died(ExtractionLayer.objects.all())
    extractions_sweep()
    computed = []
    compute = LayeredExtraction.layer
    monkeypatch.setattr(
        LayeredExtraction,
        "layer",
        lambda self, number, *rest: computed.append(number) or compute(self, number, *rest),
    )
    work_until_it_ends(extraction)
    assert computed == [1]
    assert extraction.bundle_digest == digest


def test_a_layer_that_kills_every_worker_ends_the_extraction(site):
    extraction = prepared()
    for _ in range(claims.MOST_ATTEMPTS):
        assert layers.layer_claim(extraction=extraction) is not None
        died(ExtractionLayer.objects.all())
        extractions_sweep()
    extraction.refresh_from_db()
    assert extraction.state == State.FAILED
    said = "Layer 0: The worker process stopped without an error message. Attempts: 3."
    assert str(extraction.error).startswith(said)


def test_a_worker_that_was_taken_for_dead_writes_nothing_any_more(site):
    extraction = prepared()
    late = layers.layer_claim(extraction=extraction)
    died(ExtractionLayer.objects.all())
    extractions_sweep()
    with pytest.raises(claims.ClaimLost):
        claims.report(late, done=1)
    again = layers.layer_claim(extraction=extraction)
    layers.layer_fail(layer=late, reason="too late")
    extraction_runs.do_layer(layer=late, opened=extraction_runs._kept.taking_part(extraction))
    extraction.refresh_from_db()
    again.refresh_from_db()
    assert (extraction.state, again.state, again.layer) == (State.LAYERS, "running", late.layer)


def test_an_error_in_a_layer_ends_the_extraction_and_the_work_of_others(site, monkeypatch):
    extraction = prepared()
    other = layers.layer_claim(extraction=extraction)
    monkeypatch.setattr(layers, "has_work", lambda queue: False)

    def full(*_):
        raise BundleError("The disk is full.")

    monkeypatch.setattr(LayeredExtraction, "layer", full)
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert (extraction.state, extraction.error) == (State.FAILED, "The disk is full.")
    with pytest.raises(claims.ClaimLost):
        claims.report(other, done=1)


@pytest.mark.parametrize("ending", ["cancelled", "failed"])
def test_a_worker_keeps_nothing_open_of_an_extraction_that_ended(site, ending):
    extraction = prepared()
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    assert extraction_runs._kept._opened is not None
    if ending == "cancelled":
        services.extraction_cancel(extraction=extraction)
    else:
        services.extraction_fail(extraction=extraction, reason="The disk is full.")
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    assert extraction_runs._kept._opened is None


def test_a_worker_that_loses_its_layer_gives_back_what_layers_need(site):
    extraction = prepared()
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    opened = extraction_runs._kept.taking_part(extraction)
    assert opened._projector is not None
    layer = layers.layer_claim(extraction=extraction)
    ExtractionLayer.objects.filter(pk=layer.pk).update(claim=None)
    extraction_runs.do_layer(layer=layer, opened=opened)
    assert (opened._projector, opened._run._reader) == (None, None)


def test_no_layer_is_taken_of_an_extraction_that_ends_meanwhile(site, monkeypatch):
    extraction = prepared()

    def cancelled_after_the_look(*waiting, **changes):
        extraction.refresh_from_db()
        if extraction.is_unfinished:
            services.extraction_cancel(extraction=extraction)
        return claims.claim(*waiting, **changes)

    monkeypatch.setattr(layers, "claim", cancelled_after_the_look)
    assert layers.layer_claim(extraction=extraction) is None
    assert attempts(extraction) == [0] * LAYERS
    assert not ExtractionLayer.objects.filter(state="running").exists()


def test_a_layer_left_running_by_an_extraction_that_ended_holds_up_no_worker(site):
    extraction = prepared()
    layers.layer_claim(extraction=extraction)
    died(ExtractionLayer.objects.all())
    ExtractionLayer.objects.filter(state="running").update(attempts=claims.MOST_ATTEMPTS)
    Extraction.objects.update(state=State.CANCELLED, claim=None)
    extractions_sweep()
    assert not claims.has_work(EXTRACTION_QUEUE)
    extraction.refresh_from_db()
    assert (extraction.state, extraction.error) == (State.CANCELLED, "")


def test_a_worker_with_other_packages_takes_no_part_and_says_so(site, monkeypatch):
    extraction = prepared()
    extraction_runs._kept.forget()
    monkeypatch.setattr("ffn_extract.whole_layers.packages", lambda: {"torch": "0.1"})
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert extraction.state == State.LAYERS
    assert "does not take part. packages." in extraction.notice
    assert attempts(extraction) == [0] * LAYERS


def test_a_worker_that_does_not_share_the_folder_takes_no_part(site, tmp_path):
    extraction = prepared()
    extraction_runs._kept.forget()
    site.BUNDLES_DIR = tmp_path / "another machine's"
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert "Let all workers share one BUNDLES_DIR." in extraction.notice
    assert attempts(extraction) == [0] * LAYERS


def test_a_finisher_that_died_while_it_loaded_is_followed_by_one_that_only_loads(site, digest):
    extraction = prepared()
    for _ in range(LAYERS):
        extraction_runs.extraction_work(extraction_id=extraction.pk)
    claimed = services.extraction_claim_finish(extraction_id=extraction.pk)
    opened = extraction_runs._kept.taking_part(extraction)
    opened.finish(extraction_runs.Steps(lambda p: None), keep_parts=True)
    extraction_runs._kept.forget()  # the next worker opens the extraction anew
    died(Extraction.objects.filter(pk=claimed.pk))
    extractions_sweep()
    work_until_it_ends(extraction)
    assert (extraction.state, extraction.bundle_digest) == (State.READY, digest)
    assert attempts(extraction) == [1] * LAYERS
    assert [path.name for path in site.BUNDLES_DIR.iterdir()] == [str(extraction.public_id)]


def test_a_lost_message_is_sent_again_while_a_worker_has_nothing_to_do(site, messages, monkeypatch):
    extraction = prepared()
    messages.clear()
    claims.wake(EXTRACTION_QUEUE)
    assert messages == []  # the one of before is on its way
    ExtractionLayer.objects.update(enqueued_at=timezone.now() - timedelta(minutes=1))
    claims.wake(EXTRACTION_QUEUE)
    assert messages == [("extraction_work", extraction.pk)]
    monkeypatch.setattr(claims, "this_worker", lambda: "m:1:a")
    layers.layer_claim(extraction=extraction)
    ExtractionLayer.objects.update(enqueued_at=None)
    claims.wake(EXTRACTION_QUEUE)
    assert len(messages) == 1  # the only worker is at the layer


def test_a_cancelled_extraction_stops_its_workers_and_goes_on_where_it_was(site, digest):
    extraction = prepared()
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    layer = layers.layer_claim(extraction=extraction)
    services.extraction_cancel(extraction=extraction)
    with pytest.raises(claims.ClaimLost):
        claims.report(layer, done=1)
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert extraction.state == State.CANCELLED
    with pytest.raises(Invalid):
        services.extraction_cancel(extraction=extraction)
    services.extraction_retry(extraction=extraction)
    work_until_it_ends(extraction)
    assert (extraction.state, extraction.bundle_digest) == (State.READY, digest)
    assert attempts(extraction) == [0, 1]  # the first was kept


def test_a_layer_that_is_cancelled_in_its_middle_stops_and_stores_nothing(site, monkeypatch):
    extraction = prepared()

    def cancelled(layer, **changes):
        if "done" in changes:
            services.extraction_cancel(extraction=extraction)
        claims.report(layer, **changes)

    monkeypatch.setattr(extraction_runs, "report", cancelled)
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    (parts,) = site.BUNDLES_DIR.iterdir()
    assert list(parts.iterdir()) == []
    extraction.refresh_from_db()
    assert extraction.state == State.CANCELLED


def test_an_extraction_cancelled_while_it_loads_leaves_no_rows(site):
    extraction = prepared()
    for _ in range(LAYERS):
        extraction_runs.extraction_work(extraction_id=extraction.pk)
    claimed = services.extraction_claim_finish(extraction_id=extraction.pk)
    opened = extraction_runs._kept.taking_part(extraction)
    opened.finish(extraction_runs.Steps(lambda p: None))
    bundle = services.open_storable(services.bundle_path(extraction))

    def cancel(step, done, total):
        if step == "load_vectors":
            services.extraction_cancel(extraction=extraction)

    with pytest.raises(claims.ClaimLost):
        services.bundle_load(extraction=claimed, bundle=bundle, show=cancel)
    extraction.refresh_from_db()
    assert (extraction.state, extraction.bundle_digest) == (State.CANCELLED, None)
    assert (extraction.tokens.count(), extraction.vectors.count()) == (0, 0)


@pytest.mark.parametrize("ending", ["cancelled", "failed"])
def test_what_ends_while_it_loads_computes_no_layer_again(site, digest, monkeypatch, ending):
    extraction = prepared()
    for _ in range(LAYERS):
        extraction_runs.extraction_work(extraction_id=extraction.pk)

    def end(*_):
        if ending == "failed":
            raise BundleError("The disk is full.")
        services.extraction_cancel(extraction=extraction)

    with monkeypatch.context() as patched:
        rows_load = services.loading.rows_load
        patched.setattr(
            services.loading, "rows_load", lambda pk, bundle, *_: rows_load(pk, bundle, end, end)
        )
        extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert extraction.state == ending
    services.extraction_retry(extraction=extraction)
    work_until_it_ends(extraction)
    assert (extraction.state, extraction.bundle_digest) == (State.READY, digest)
    assert attempts(extraction) == [0] * LAYERS
    assert [path.name for path in site.BUNDLES_DIR.iterdir()] == [str(extraction.public_id)]


def test_an_extraction_is_deleted_whole_with_its_files(site):
    extraction = prepared()
    with pytest.raises(Invalid, match="Cancel it first"):
        services.extraction_delete(extraction=extraction)
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    services.extraction_cancel(extraction=extraction)
    services.extraction_delete(extraction=extraction)
    assert list(site.BUNDLES_DIR.iterdir()) == []
    done = prepared()
    work_until_it_ends(done)
    model = done.model
    services.extraction_delete(extraction=done)
    assert not Extraction.objects.exists()
    assert not type(model).objects.exists()
    assert list(site.BUNDLES_DIR.iterdir()) == []


def test_lists_that_a_study_uses_are_not_deleted():
    study = make_study()
    extraction = Extraction.objects.get()
    vectors = extraction.vectors.count()
    with pytest.raises(Invalid, match=f"These studies use its lists: “{study.title}”"):
        services.extraction_delete(extraction=extraction)
    assert extraction.vectors.count() == vectors


def test_a_deletion_that_is_cut_short_is_taken_up_and_its_lists_are_used_no_more(
    site, messages, monkeypatch
):
    extraction = make_extraction()
    rows_delete, seen = services.loading.rows_delete, []

    def cut_short(pk, beat):
        def killed():
            seen.append((connection.in_atomic_block, extraction.tokens.count()))
            raise KeyboardInterrupt

        rows_delete(pk, killed)

    with monkeypatch.context() as patched:
        patched.setattr(services.loading, "rows_delete", cut_short)
        patched.setattr(services.loading, "CHUNK", 5)
        with pytest.raises(KeyboardInterrupt):
            services.extraction_delete(extraction=extraction)
    assert seen == [(False, 100)]  # nobody waits for more than one chunk
    with pytest.raises(Invalid, match="has no lists"):
        make_study(extraction=extraction)  # which was ready when the researcher's page was made
    assert not selectors.extractions_ready().exists()
    with pytest.raises(Invalid):
        services.extraction_retry(extraction=extraction)
    admin = client_of(UserFactory(role=Role.ADMIN))
    page = admin.get(f"/models/{extraction.public_id}/").content.decode()
    assert "is being deleted" in page
    assert "Try again" not in page
    claims.wake(EXTRACTION_QUEUE)
    assert messages == []  # somebody may be at it
    died(Extraction.objects.all())
    claims.wake(EXTRACTION_QUEUE)
    assert messages == [("extraction_work", extraction.pk)]
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    assert not Extraction.objects.exists()
    assert not Vector.objects.exists()
    assert not LanguageModel.objects.exists()


def test_lists_that_later_runs_point_at_are_not_deleted(site):
    first = prepared()
    work_until_it_ends(first)
    second = prepared()
    work_until_it_ends(second)
    assert second.same_as == first
    with pytest.raises(Invalid, match="Delete those first"):
        services.extraction_delete(extraction=first)
    services.extraction_delete(extraction=second)
    services.extraction_delete(extraction=first)


def test_the_state_of_layers_tells_who_did_what_and_how_fast():
    extraction = Extraction.objects.create(model_source="tiny", state=State.LAYERS)
    assert selectors.layers_state(extraction) is None
    start = timezone.now()
    rows = [
        ("done", "a:1:x", 100, start, start + timedelta(seconds=2), 1),
        ("done", "b:2:x", 100, start, start + timedelta(seconds=4), 2),
        ("done", "", 100, None, None, 0),
        ("running", "a:1:x", 50, start, start + timedelta(seconds=1), 1),
        ("waiting", "", 0, None, None, 0),
    ]
    for number, (state, worker, done, began, until, tries) in enumerate(rows):
        ExtractionLayer.objects.create(
            extraction=extraction, layer=number, state=state, worker=worker, done=done, total=100,
            started_at=began, heartbeat_at=until, attempts=tries,
            finished_at=until if state == "done" else None,
        )  # fmt: skip
    found = selectors.layers_state(extraction)
    assert [(x.state, x.worker, x.seconds, x.rate) for x in found.layers] == [
        ("done", "a:1", 2, 50), ("done", "b:2", 4, 25), ("done", "", None, None),
        ("running", "a:1", 1, 50), ("waiting", "", None, None),
    ]  # fmt: skip
    assert [(w.name, w.layers_done, w.rate, w.layer) for w in found.workers] == [
        ("a:1", 1, 50, 3),
        ("b:2", 1, 25, None),
    ]
    # Only worker a is at work: 150 vectors are left, at 50 a second.
    assert (found.layers_done, found.done, found.total) == (3, 350, 500)
    assert (found.rate, found.seconds_left) == (50, 3)
