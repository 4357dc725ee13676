"""A worker computes a proxy of every value vector: equal to a brute force, resumed after a kill."""

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS
from annotation_site.corpus.models import Token, Vector
from annotation_site.errors import SiteError
from annotation_site.proxies import services
from annotation_site.proxies.models import ProxyLayer, ProxyRun
from annotation_site.proxies.registry import PROXIES, Proxy, registered
from annotation_site.proxies.selectors import proxies_of_study, proxy_numbers
from annotation_site.proxies.sweeps import proxies_sweep
from annotation_site.proxies.tasks import proxy_work
from annotation_site.results.snapshots.versions import data_version
from annotation_site.workers import claims
from ffn_extract.wordnet import open_wordnet
from tests.annotation_site.proxies.made import (
    LAYERS,
    PER_LAYER,
    make_census,
    make_statistics,
    make_value_study,
    values_of,
)

pytestmark = pytest.mark.django_db
State = ProxyRun.State


@pytest.fixture
def study():
    return make_value_study()


def request(study, proxy="machine-affixes", by=None):
    (run,) = services.study_proxy_request(study=study, proxy=proxy, by=by)
    return run


def numbers_of(study, places=()):
    """The study's numbers of each proxy, by its name."""
    (found,) = proxy_numbers(study, {study.extractions.get().pk: places}).values()
    return {one.proxy.name: one for one in found}


def brute_force(extraction, annotator, min_tokens):
    """Coverage of each value vector's list, one at a time."""
    displays = dict(Token.objects.filter(extraction=extraction).values_list("token_id", "display"))
    propose, wordnet = MACHINE_ANNOTATORS[annotator].propose, open_wordnet()
    found = {}
    for place, vector in values_of(extraction).items():
        texts = [displays[token_id] for token_id in vector.token_ids]
        ranks = [rank for one in propose(texts, min_tokens, wordnet) for rank in one.ranks]
        found[place] = float(np.float32(len(set(ranks)) / len(texts)))
    return found


@pytest.mark.parametrize("name", list(PROXIES))
def test_each_proxy_gives_the_numbers_of_every_value_vector(name):
    extraction = make_census(statistics=True)
    study = make_value_study(extraction)
    proxy = PROXIES[name]
    if proxy.is_computed:
        run = request(study, name)
        proxy_work(run.pk)
        expected = brute_force(extraction, proxy.annotator, study.min_tokens)
        assert len(set(expected.values())) > 2  # else equality would say little
    else:
        rows = extraction.value_statistics.values_list("layer", "index", proxy.statistic)
        expected = {(layer, index): value for layer, index, value in rows}
    places = list(expected)
    numbers = numbers_of(study, places)[name]
    assert numbers.missing == ""
    assert numbers.values == expected
    for layer in numbers.census:
        of_layer = [value for (at, _), value in expected.items() if at == layer.layer]
        assert layer.vectors == PER_LAYER
        assert layer.mean == pytest.approx(np.mean(of_layer), rel=1e-12)
    assert [one.layer for one in numbers.census] == list(range(LAYERS))
    assert proxy.title
    assert proxy.description
    assert bool(proxy.annotator) != bool(proxy.statistic)


def test_the_registry_refuses_two_proxies_of_one_name():
    one = Proxy("norm", "a", "b", statistic="norm")
    with pytest.raises(ValueError, match="two proxies named norm"):
        registered([one, one])


def test_the_census_of_a_set_is_of_its_vectors_alone():
    extraction = make_census(statistics=True)
    members = [[0, 1], [0, 2], [2, 5]]
    study = make_value_study(extraction)
    study.drawn_from = {"title": "a", "weights": extraction.model.weights_digest, "places": members}
    study.save()
    proxy_work(request(study).pk)
    expected = brute_force(extraction, "machine-affixes", study.min_tokens)
    found = numbers_of(study)
    of_run = found["machine-affixes"].census
    assert [(one.layer, one.vectors) for one in of_run] == [(0, 2), (2, 1)]
    assert of_run[0].mean == pytest.approx((expected[0, 1] + expected[0, 2]) / 2)
    assert [(one.layer, one.vectors, one.mean) for one in found["kurtosis"].census] == [
        (0, 2, 1.5),
        (2, 1, 3.0),
    ]


def test_another_extraction_of_the_same_weights_is_the_census():
    census = make_census()
    other = make_census(model=census.model)
    Vector.objects.filter(extraction=other, kind="value", index__gte=4).delete()
    other.parameters = {**other.parameters, "per_layer": 4}
    other.save()
    study = make_value_study(other)
    run = request(study)
    assert run.extraction == census
    proxy_work(run.pk)
    found = numbers_of(study, [(1, 3)])["machine-affixes"]
    assert found.values == {(1, 3): brute_force(census, "machine-affixes", 4)[1, 3]}


@pytest.mark.parametrize("option", [{"projection": "fold"}, {"top_k": 20}, {"drop_special": True}])
def test_an_extraction_with_other_lists_is_no_census(option):
    census = make_census()
    other = make_census(model=census.model)
    other.parameters = {"kinds": ["value", "random"], "per_layer": 8, "seed": 0, **option}
    other.save()
    with pytest.raises(SiteError, match=r"no list of every value vector of model-.*per-layer all"):
        request(make_value_study(other))


def test_lacking_vectors_are_refused_with_numbers():
    extraction = make_census(statistics=True)
    study = make_value_study(extraction)
    used = study.items.values_list("vector__layer", "vector__index")
    layer, index = next(
        place for place in values_of(extraction) if place not in set(used) and place[1] < 7
    )
    Vector.objects.get(extraction=extraction, kind="value", layer=layer, index=index).delete()
    with pytest.raises(SiteError, match=f"Layer {layer} of .* has 7 of 8 value vectors"):
        request(study)
    extraction.value_statistics.filter(layer=2, index=3).update(skew=None)
    found = numbers_of(study)
    assert "this number of 7 of 8 value vectors" in found["skew"].missing


def test_a_killed_worker_loses_no_layer_and_doubles_none(study, monkeypatch):
    run = request(study)
    expected = brute_force(run.extraction, "machine-affixes", study.min_tokens)
    real = services.proxy_keep_layer

    class Killed(BaseException):
        pass

    def dies(*, run, layer, values):
        if layer == 1:
            raise Killed
        real(run=run, layer=layer, values=values)

    monkeypatch.setattr(services, "proxy_keep_layer", dies)
    with pytest.raises(Killed):
        proxy_work(run.pk)
    monkeypatch.setattr(services, "proxy_keep_layer", real)
    run.refresh_from_db()
    assert (run.state, services.layers_done(run)) == (State.RUNNING, {0})
    proxy_work(run.pk)  # its message, delivered again: nobody takes what is at work
    assert services.layers_done(run) == {0}
    kept = run.layers.get().pk
    ProxyRun.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    proxies_sweep()
    proxy_work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempts, run.done, run.total) == (State.READY, 2, 24, 24)
    layers = list(run.layers.all())
    assert [layer.layer for layer in layers] == [0, 1, 2]
    assert layers[0].pk == kept  # it was not computed again
    assert {
        (layer.layer, index): float(value)
        for layer in layers
        for index, value in enumerate(layer.values)
    } == expected


def test_a_message_delivered_twice_is_done_once(study):
    run = request(study)
    proxy_work(run.pk)
    stored = list(ProxyLayer.objects.values_list("pk", "packed"))
    proxy_work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.READY, 1)
    assert list(ProxyLayer.objects.values_list("pk", "packed")) == stored


def test_cancelling_stops_a_worker_and_keeps_what_is_done(study, monkeypatch):
    person = study.memberships.get(role="researcher").user
    run = request(study, by=person)
    real = services.proxy_keep_layer

    def then_cancel(*, run, layer, values):
        real(run=run, layer=layer, values=values)
        if layer == 0:
            services.proxy_cancel(run=ProxyRun.objects.get(pk=run.pk), by=person)

    monkeypatch.setattr(services, "proxy_keep_layer", then_cancel)
    proxy_work(run.pk)
    run.refresh_from_db()
    assert (run.state, services.layers_done(run)) == (State.CANCELLED, {0})
    monkeypatch.setattr(services, "proxy_keep_layer", real)
    again = request(study, by=person)
    assert (again.pk, again.state) == (run.pk, State.QUEUED)
    proxy_work(run.pk)
    run.refresh_from_db()
    assert (run.state, services.layers_done(run)) == (State.READY, {0, 1, 2})


def test_a_worker_that_lost_its_claim_keeps_nothing(study):
    run = services.proxy_claim(run_id=request(study).pk)
    ProxyRun.objects.update(claim=None)
    with pytest.raises(claims.ClaimLost):
        services.proxy_keep_layer(run=run, layer=0, values=np.zeros(8, dtype=np.float32))
    assert not run.layers.exists()


def test_a_worker_without_wordnet_says_so(study, monkeypatch):
    monkeypatch.setenv("FFN_HIDE_WORDNET", "1")
    run = request(study, "machine-hypernyms")
    proxy_work(run.pk)
    run.refresh_from_db()
    assert run.state == State.FAILED
    assert "does not have WordNet" in run.error
    assert request(study, "machine-hypernyms").state == State.QUEUED  # tried again


def test_a_ready_proxy_has_the_tables_of_all_studies_of_the_model_computed_again(study):
    other, stranger = make_value_study(study.extractions.get()), make_value_study()
    services.studies_tell()
    before = [data_version(one.pk) for one in (study, other, stranger)]
    proxy_work(request(study).pk)
    after = [data_version(one.pk) for one in (study, other, stranger)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 0]
    services.studies_tell()
    assert [data_version(one.pk) for one in (study, other, stranger)] == after


def test_value_statistics_that_come_later_reach_the_tables(study):
    proxies_sweep()
    before = data_version(study.pk)
    make_statistics(make_census(model=study.extractions.get().model))
    proxies_sweep()
    assert data_version(study.pk) == before + 1


def test_deleting_an_extraction_deletes_its_proxies(study):
    from annotation_site.corpus.services import extraction_delete

    census = make_census(model=study.extractions.get().model)
    run = ProxyRun.objects.create(extraction=census, proxy="machine-affixes", min_tokens=4)
    claimed = services.proxy_claim(run_id=run.pk)
    proxies_sweep()
    before = data_version(study.pk)
    extraction_delete(extraction=census)
    assert not ProxyRun.objects.exists()
    with pytest.raises(claims.ClaimLost):
        services.proxy_finish(run=claimed)
    proxies_sweep()
    assert data_version(study.pk) == before + 1


def test_cancelled_drafts_do_not_use_up_an_extraction(study, monkeypatch):
    monkeypatch.setattr(services, "MOST_OF_EXTRACTION", 2)
    person = study.memberships.get(role="researcher").user
    for tokens in (2, 3, 4):
        study.min_tokens = tokens
        services.proxy_cancel(run=request(study, by=person), by=person)
    assert [run.min_tokens for run in ProxyRun.objects.all()] == [4]  # the others are forgotten
    proxy_work(request(study, by=person).pk)
    study.min_tokens = 5
    request(study, by=person)
    study.min_tokens = 6
    with pytest.raises(SiteError, match="has 2 computed proxies, which is the limit"):
        request(study, by=person)


def test_the_reason_of_a_failed_one_stays_for_a_day(study):
    failed = request(study)
    ended = timezone.now() - timedelta(hours=23)
    ProxyRun.objects.update(state=State.FAILED, error="A cold.", finished_at=ended)
    request(study, "machine-hypernyms")
    assert ProxyRun.objects.filter(pk=failed.pk).exists()
    ProxyRun.objects.filter(pk=failed.pk).update(finished_at=ended - timedelta(hours=2))
    study.min_tokens = 5
    request(study)
    assert not ProxyRun.objects.filter(pk=failed.pk).exists()


def test_a_complete_census_is_taken_where_an_earlier_one_lacks_vectors():
    lacks = make_census(statistics=True)
    whole = make_census(model=lacks.model)
    make_statistics(whole)
    Vector.objects.filter(extraction=lacks, kind="value", layer=2).delete()
    lacks.value_statistics.filter(layer=2).delete()
    study = make_value_study(make_census(model=lacks.model))
    own = study.extractions.get()
    own.parameters = {**own.parameters, "per_layer": 8}
    own.save()
    run = request(study)
    assert run.extraction == whole
    found = numbers_of(study, [(2, 1)])["norm"]
    assert (found.missing, found.values) == ("", {(2, 1): pytest.approx(3.1)})
    Vector.objects.filter(extraction=whole, kind="value", layer=1).delete()
    run.delete()
    with pytest.raises(SiteError, match="in 2 of the model’s 3 layers"):
        request(study)


def test_of_two_models_the_one_with_every_vector_has_its_proxy_computed():
    census, sampled = make_census(), make_census()
    sampled.parameters = {**sampled.parameters, "per_layer": 8}
    sampled.save()
    study = make_value_study(census)
    study.extractions.add(sampled)
    (line,) = [one for one in proxies_of_study(study) if one.proxy.name == "machine-affixes"]
    assert [one.state for one in line.of_models] == ["possible", "impossible"]
    assert line.can_compute
    assert request(study).extraction == census


def test_a_process_that_was_overtaken_puts_no_old_knowledge_over_new(study, monkeypatch):
    services.studies_tell()
    real, before = services._known_now, data_version(study.pk)

    def overtaken():
        monkeypatch.setattr(services, "_known_now", real)
        old = dict.fromkeys(real(), "old")
        proxy_work(request(study).pk)  # another process finishes one, and tells
        return old

    monkeypatch.setattr(services, "_known_now", overtaken)
    assert services.studies_tell() == 0
    assert data_version(study.pk) == before + 1
    assert services.studies_tell() == 0


def test_what_an_archive_says_of_proxies_is_read_without_its_numbers(
    study, django_assert_num_queries
):
    told = {"titles": [["norm", "N"], ["skew", "S"]], "missing": [["skew", "It lacks."]]}
    study.extractions.update(restored={"value_vectors": {}, "proxies": {**told, "values": []}})
    with django_assert_num_queries(2):  # no census is looked for, so no run either
        found = proxies_of_study(study)
    states = {
        one.proxy.name: (one.of_models[0].state, str(one.of_models[0].reason)) for one in found
    }
    assert states["norm"] == ("known", "")
    assert states["skew"] == ("impossible", "It lacks.")
    assert states["kurtosis"][1].startswith("The study was restored from an archive")
    # SQL names the column in expressions, too, so ask the row what it holds.
    assert "restored" in found[0].of_models[0].extraction.get_deferred_fields()
