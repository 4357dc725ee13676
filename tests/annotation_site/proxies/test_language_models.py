"""A language model that annotated every value vector is a proxy: its numbers, order and archive."""

import io
from datetime import timedelta
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone, translation

from annotation_site.accounts.models import Role
from annotation_site.analysis.coverage import annotation_coverage
from annotation_site.corpus.models import Token, Vector
from annotation_site.machine_annotators.models import MachineAnnotation, MachineRun
from annotation_site.machine_annotators.services import run_delete
from annotation_site.proxies import language_models
from annotation_site.proxies.registry import announced, title_of, title_sentence
from annotation_site.proxies.selectors import proxies_of_study, proxy_numbers
from annotation_site.proxies.services import study_proxy_request
from annotation_site.proxies.tasks import proxy_work
from annotation_site.results.files import archive
from annotation_site.results.files.archive_annotations import TableSettings
from annotation_site.results.files.archive_restore import study_restore
from annotation_site.results.snapshots.versions import data_version
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.machine_annotators import machine_frames
from annotation_site.results.tables.proxies import study_proxies
from annotation_site.verify import verify
from tests.annotation_site.archives import members, packed, stored
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    pattern,
    researcher_of,
    text_of,
)
from tests.annotation_site.proxies.made import (
    LAYERS,
    PER_LAYER,
    annotate,
    make_census,
    make_value_study,
)

pytestmark = pytest.mark.django_db
NAME = "machine-smollm2-135m"


def make_run(study, name=NAME, **changes):
    """A ready run over every value vector, without annotations."""
    facts = {
        "state": MachineRun.State.READY, "covers": MachineRun.Covers.VECTORS, "model": "SmolLM2",
        "prompt_version": 0, "guidelines_version": 0, "most_reply_tokens": 100,
        "most_requests": 100, "most_tokens": 10_000, "finished_at": timezone.now(),
    }  # fmt: skip
    return MachineRun.objects.create(study=study, name=name, **{**facts, **changes})


def said_of(vector):
    """By index: too few tokens, stop words, two patterns, none, a failure."""
    return {
        0: answer(pattern(1, [1, 2, 3], stopwords=None)),
        1: answer(pattern(1, [1, 2, 3, 4, 5], stopwords=None)),
        2: answer(
            pattern(1, list(range(1, 5 + vector.layer)), stopwords=None),
            pattern(2, [20, 21, 22, 23, 24], stopwords=None),
        ),
        3: answer(),
        4: None,
    }.get(vector.index % 5)


def annotated(study, census, run=None, vectors=None):
    """A run with annotations of every value vector of a census, and of the study's other lists."""
    run = run or make_run(study)
    every = census.vectors.filter(kind="value") if vectors is None else vectors
    items = study.items.filter(use="study").exclude(vector__kind="value")
    others = Vector.objects.filter(pk__in=items.values("vector"))
    rows = []
    for vector in (*every, *others):
        said = said_of(vector)
        failure = "" if said else "It is not valid JSON."
        rows.append(MachineAnnotation(run=run, vector=vector, annotation=said, failure=failure))
    MachineAnnotation.objects.bulk_create(rows)
    MachineRun.objects.filter(pk=run.pk).update(
        done=len(rows), total=len(rows), failed=sum(row.annotation is None for row in rows)
    )
    return run


@pytest.fixture
def census():
    extraction = make_census()
    # The only pattern of one vector is of stop words, which no other list has.
    vector = extraction.vectors.get(kind="value", layer=0, index=1)
    own = [900, 901, 902, 903, 904]
    Token.objects.bulk_create(
        Token(extraction=extraction, token_id=one, text="the", display="the", is_stopword=True)
        for one in own
    )
    vector.token_ids = [*own, *vector.token_ids[5:]]
    vector.save()
    return extraction


@pytest.fixture
def study(census):
    return make_value_study(census)


def numbers_of(study, places=()):
    (found,) = proxy_numbers(study, {study.extractions.get().pk: places}).values()
    return {one.proxy.name: one for one in found}


def test_its_numbers_are_the_coverage_that_tables_give_the_model_itself(study, census):
    annotated(study, census)
    places = {(one.layer, one.index): one for one in census.vectors.filter(kind="value")}
    numbers = numbers_of(study, places)[NAME]
    assert numbers.missing == ""
    lists = annotations_of(study).chosen_lists(Filters.of(study))
    frames = machine_frames(
        study, lists, min_tokens=study.min_tokens, categories=study.categories
    ).labels
    table = annotation_coverage(frames, min_tokens=study.min_tokens).set_index("list_id")
    table = table[table["annotator"] == NAME]
    compared = set()
    for item in study.items.filter(vector__kind="value", use="study").select_related("vector"):
        place = (item.vector.layer, item.vector.index)
        # A list at which the model failed has no row, and 0 as a proxy.
        expected = table["coverage"].get(item.pk, 0.0)
        assert numbers.values[place] == float(np.float32(expected))
        compared.add(item.vector.index % 5)
    assert len(compared) > 1
    assert numbers.values[0, 1] == 0  # stop words
    assert numbers.values[0, 0] == numbers.values[0, 3] == numbers.values[0, 4] == 0
    assert numbers.values[1, 2] == float(np.float32(10 / 30))
    assert [one.layer for one in numbers.census] == list(range(LAYERS))
    for layer in numbers.census:
        of_layer = [value for (at, _), value in numbers.values.items() if at == layer.layer]
        assert layer.vectors == len(of_layer) == PER_LAYER
        assert layer.mean == pytest.approx(np.mean(of_layer), rel=1e-12)


def test_the_minimum_of_tokens_is_the_study_s(census):
    study = make_value_study(census, min_tokens=3)
    annotated(study, census)
    assert numbers_of(study, [(0, 0)])[NAME].values == {(0, 0): pytest.approx(3 / 30)}


@pytest.mark.parametrize(
    "changes",
    [
        {"covers": MachineRun.Covers.LISTS},
        {"state": MachineRun.State.RUNNING},
        {"state": MachineRun.State.STOPPED},
        {"restored": True},
    ],
)
def test_other_runs_are_no_proxy(study, census, changes):
    annotated(study, census, run=make_run(study, **changes))
    assert NAME not in numbers_of(study)
    assert NAME not in {one.proxy.name for one in proxies_of_study(study)}


def test_a_run_of_another_study_is_no_proxy(study, census):
    annotated(make_value_study(census), census)
    assert NAME not in numbers_of(study)


def test_a_run_that_lacks_vectors_is_refused_with_numbers(study, census):
    vectors = census.vectors.filter(kind="value").exclude(layer=1, index=7)
    annotated(study, census, vectors=vectors)
    assert numbers_of(study)[NAME].missing == (
        f"The language model has annotated 7 of 8 value vectors of layer 1 of {census.model.name}. "
        "Request a run over every value vector."
    )
    told = study_proxies(study)
    assert "7 of 8 value vectors" in told.missing[NAME]
    assert told.values.empty


def test_a_model_without_every_vector_is_refused(study, census):
    annotated(study, census)
    census.parameters = {**census.parameters, "per_layer": 8}
    census.save()
    assert numbers_of(study)[NAME].missing.startswith("There is no list of every value vector of")


def test_the_annotations_can_be_of_another_extraction_of_the_same_weights(census):
    sampled = make_census(model=census.model)
    sampled.parameters = {**sampled.parameters, "per_layer": 8}
    sampled.save()
    study = make_value_study(sampled)
    annotated(study, census)
    assert numbers_of(study, [(1, 2)])[NAME].values == {(1, 2): pytest.approx(10 / 30)}


def test_of_a_set_its_vectors_alone_are_needed_and_counted(study, census):
    members = [[0, 1], [0, 2], [2, 5]]
    study.drawn_from = {"title": "a", "weights": census.model.weights_digest, "places": members}
    study.save()
    chosen = [
        one for one in census.vectors.filter(kind="value") if [one.layer, one.index] in members
    ]
    annotated(study, census, vectors=chosen)
    found = numbers_of(study, [(0, 2)])[NAME]
    assert [(one.layer, one.vectors) for one in found.census] == [(0, 2), (2, 1)]
    assert found.census[0].mean == pytest.approx(9 / 30 / 2)
    assert found.values == {(0, 2): pytest.approx(9 / 30)}


def test_the_registry_comes_first_then_runs_in_the_order_of_their_requests(study, census):
    now = timezone.now()
    for name, hours in (("machine-alpha", 1), ("machine-zeta", 2)):
        run = annotated(study, census, run=make_run(study, name))
        MachineRun.objects.filter(pk=run.pk).update(requested_at=now - timedelta(hours=hours))
    (run,) = study_proxy_request(study=study, proxy="machine-affixes")
    proxy_work(run.pk)
    assert list(study_proxies(study).titles) == ["machine-affixes", "machine-zeta", "machine-alpha"]
    names = [one.proxy.name for one in proxies_of_study(study)]
    assert names[-3:] == ["norm", "machine-zeta", "machine-alpha"]
    assert announced(["", "machine-zeta", "norm", "machine-alpha"]) == "norm"
    assert announced(["", "machine-zeta", "machine-alpha"]) == "machine-zeta"


def test_its_title_names_the_machine():
    assert title_of(NAME) == "Coverage by Machine: smollm2-135m"
    assert title_of("machine-affixes") == "Coverage by shared affixes"
    assert (
        '<bdi class="notranslate" translate="no">smollm2-135m</bdi>' in title_sentence(NAME).marked
    )
    assert title_of("letters") == str(title_sentence("letters")) == "letters"


def test_annotations_are_read_once_and_in_chunks(
    study, census, monkeypatch, django_assert_num_queries
):
    run = annotated(study, census)
    expected = numbers_of(study)[NAME].census
    # extractions, candidates, runs of proxies; runs of language models, their rules; parts
    with django_assert_num_queries(6):
        numbers_of(study)
    monkeypatch.setattr(language_models, "CHUNK", 3)
    MachineRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() + timedelta(1))
    assert numbers_of(study)[NAME].census == expected


def test_the_page_lists_it_without_a_button(study, census):
    annotated(study, census)
    client = client_of(researcher_of(study))
    text = text_of(client.get(f"/studies/{study.slug}/estimates/"))
    row = text[text.index("Coverage by Machine: <bdi") :].partition("</li>")[0]
    assert "annotated by a language model" in row
    assert "<form" not in row
    assert "A language model that has annotated every value vector is a proxy, too." in text
    found = client.get(f"/api/studies/{study.slug}/proxies").json()["results"][-1]
    assert found == {
        "name": NAME,
        "title": "Coverage by Machine: smollm2-135m",
        "description": "The share of a list’s tokens in a pattern of this language model. Lists at "
        "which it failed count as 0.",
        "is_computed": False,
        "models": [{"model": census.model.name, "state": "known", "reason": "", "run": None}],
    }


def test_the_command_takes_a_language_model_by_name(study, census):
    annotated(study, census)
    for name, sentence in (
        (NAME, "The study has no annotations yet"),  # so the name is known
        ("machine-other", "There is no proxy “machine-other”"),
    ):
        with pytest.raises(CommandError, match=sentence):
            call_command("estimate", study.slug, "--proxy", name, stderr=StringIO())


def test_deleting_the_run_makes_the_tables_stale(study, census):
    run = annotated(study, census)
    before = data_version(study.pk)
    run_delete(run=run, by=researcher_of(study))
    assert data_version(study.pk) > before
    assert NAME not in numbers_of(study)


def test_an_archive_has_it_and_a_restored_study_equal_estimates(study, census, tmp_path):
    annotated(study, census)
    annotate(study)

    def with_few_draws(one):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                archive, "TableSettings", lambda *chosen: TableSettings(*chosen, resamples=20)
            )
            return packed(one)

    data = with_few_draws(study)
    assert verify(stored(tmp_path, data)).differences == []
    assert NAME.encode() in members(data)["labels/census.csv"]
    by = UserFactory(role=Role.RESEARCHER)
    restored = study_restore(file=io.BytesIO(data), restored_by=by)
    again = members(with_few_draws(restored))
    told = {"parameters.json", "restore/study.json", "checksums.sha256"}
    assert {name for name, one in members(data).items() if one != again[name]} == told
    (line,) = [one for one in proxies_of_study(restored) if one.proxy.name == NAME]
    assert [(one.state, one.is_archived) for one in line.of_models] == [("known", True)]
    with translation.override("en"):
        assert str(line.title) == "Coverage by Machine: smollm2-135m"
