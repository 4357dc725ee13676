"""What a study's lists were drawn from, and what archives of earlier versions say of it."""

from itertools import product

import pandas as pd
import pytest

from annotation_site.analysis.strata import Populations
from annotation_site.corpus.models import Extraction, ValueStatistics
from annotation_site.results.files.archive_annotations import TableSettings
from annotation_site.results.snapshots.computation import populations_of
from annotation_site.results.tables.proxies import study_proxies
from tests.annotation_site.factories import LanguageModelFactory, make_extraction, make_study


def populations(*, parameters=None, **changes) -> tuple[str, Populations]:
    """Of a study of one extraction, by the name of its model."""
    extraction = make_extraction(**changes)
    Extraction.objects.filter(pk=extraction.pk).update(
        parameters={**extraction.parameters, **(parameters or {})}
    )
    study = make_study(extraction=extraction, lists_per_layer=1)
    return extraction.model.name, populations_of(study)


@pytest.mark.django_db
@pytest.mark.parametrize(("layers", "d_ff"), [(1, 7), (3, 64), (2, 3072)])
def test_value_vectors_are_drawn_from_all_of_their_layer_and_no_other_kind_is(layers, d_ff):
    model = LanguageModelFactory(d_ff=d_ff)
    name, found = populations(model=model, layers=layers, kinds=("value", "random", "update"))
    assert found == Populations({(name, "value", layer): d_ff for layer in range(layers)})


@pytest.mark.django_db
def test_a_model_of_which_some_layers_were_read_has_populations_of_these_alone():
    model = LanguageModelFactory(d_ff=50, n_layers=12)
    name, found = populations(model=model, layers=2)
    assert sorted(found.sizes) == [(name, "value", 0), (name, "value", 1)]


@pytest.mark.django_db
@pytest.mark.parametrize(("d_ff", "held"), [(5, 5), (16, 4)])
def test_where_every_vector_was_extracted_a_layer_is_as_large_as_it_was_found(d_ff, held):
    """`d_ff` is the largest layer; where layers differ another one has fewer."""
    model = LanguageModelFactory(d_ff=d_ff)
    _, found = populations(model=model, per_layer=held, parameters={"per_layer": "all"})
    assert set(found.sizes.values()) == {held}


@pytest.mark.django_db
def test_a_layer_is_never_smaller_than_what_was_drawn_from_it():
    """Of experts, all together; a bundle made elsewhere may count one expert alone."""
    _, found = populations(model=LanguageModelFactory(d_ff=2), per_layer=6)
    assert set(found.sizes.values()) == {6}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "parameters",
    [
        {"vectors": ["0:1", "1:1"]},
        {"vectors": ["0:1", "1:1"], "per_layer": "listed"},
        {"per_layer": "listed"},
    ],
)
def test_vectors_that_somebody_chose_are_no_sample_but_the_other_kinds_are(parameters):
    name, found = populations(parameters=parameters, kinds=("value", "random"))
    assert found.chosen == {(name, "value")}


@pytest.mark.parametrize("chosen", [frozenset(), frozenset({("m, 2", "value")})])
def test_choices_are_read_as_they_were_written(chosen):
    sizes = {("m, 2", "value", layer): 10 + layer for layer in range(3)}
    choices = TableSettings(("semantic",), 3, Populations(sizes, chosen), 500, 7)
    assert TableSettings.of_json(choices.to_json()) == choices


EARLIER = {"categories": ["semantic"], "min_tokens": 4, "resamples": 100, "seed": 1}


@pytest.mark.parametrize("whole", [[], [["m", "value"]], [["m", "value"], ["n", "random"]]])
def test_an_archive_of_an_earlier_version_says_which_kinds_were_taken_whole(whole):
    choices = TableSettings.of_json({**EARLIER, "whole": whole})
    rows = list(product(("m", "n"), ("value", "random"), (0, 3), range(2)))
    lists = pd.DataFrame(rows, columns=["model", "kind", "layer", "number"])
    expected = {(model, kind, layer): 2 for model, kind in whole for layer in (0, 3)}
    assert choices.populations_of(lists) == Populations(expected)


@pytest.mark.parametrize(
    "change",
    [
        {},  # neither sizes nor what was whole
        {"whole": [["m"]]},
        {"whole": [], "resamples": 0},
        {"populations": [["m", "value", 0, 10]]},  # without `chosen`
        {"populations": [["m", "value", 0]], "chosen": []},
        {"populations": [["m", "value", "first", 10]], "chosen": []},
    ],
)
def test_choices_that_nothing_wrote_are_refused(change):
    with pytest.raises((KeyError, TypeError, ValueError)):
        TableSettings.of_json({**EARLIER, **change})


@pytest.mark.django_db
def test_layers_of_different_sizes_are_as_large_as_statistics_of_every_vector_say():
    model = LanguageModelFactory(n_layers=2, d_ff=16)
    sizes = {0: 16, 1: 4}
    extraction = make_extraction(model=model, layers=2, per_layer=3)
    ValueStatistics.objects.bulk_create(
        ValueStatistics(extraction=extraction, layer=layer, index=index, norm=1, kurtosis=0, skew=0)
        for layer, size in sizes.items()
        for index in range(size)
    )
    Extraction.objects.filter(pk=extraction.pk).update(counts={"value_statistics": 20})
    study = make_study(extraction=extraction, lists_per_layer=1)
    found = populations_of(study).sizes
    assert found == {(model.name, "value", layer): size for layer, size in sizes.items()}
    proxies = study_proxies(study)
    census = proxies.census[proxies.census["proxy"] == "norm"]
    assert dict(zip(census["layer"], census["vectors"], strict=True)) == sizes
