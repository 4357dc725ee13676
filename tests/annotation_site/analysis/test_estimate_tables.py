"""Tables of estimates: their rows, the conditions of intervals, and every refusal in a sentence."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from annotation_site.analysis.estimates.estimator import (
    Census,
    Sample,
    classical_estimate,
    difference_estimate,
)
from annotation_site.analysis.estimates.lists import layer_groups
from annotation_site.analysis.estimates.models import (
    CHOSEN,
    CONSTANT,
    EXACT,
    FEW_OF_PART,
    LEFT_OFF,
    PEOPLE_ALONE,
    EstimateInput,
)
from annotation_site.analysis.estimates.proxies import Proxies, proxies_of
from annotation_site.analysis.estimates.tables import (
    DIFFERENCE_COLUMNS,
    ESTIMATE_COLUMNS,
    OUTSIDE,
    PAIRED,
    estimate_differences_table,
    estimates_table,
)
from annotation_site.analysis.strata import ALL_VECTORS, NO_SPREAD, ONE_ANNOTATOR, Populations
from annotation_site.analysis.stratified import half_widths

SIZE = 500  # vectors of a layer


def study(
    *,
    layers: int = 4,
    per_layer: int = 12,
    models: tuple[str, ...] = ("m",),
    people: int = 2,
    size: int = SIZE,
    seed: int = 0,
    **changes,
) -> EstimateInput:
    """Value and random lists of a seeded study; the proxy "p" is the outcome with some noise."""
    generator = np.random.default_rng(seed)
    rows, said, values, census = [], [], [], []
    for model in models:
        for kind in ("value", "random"):
            for layer in np.repeat(np.arange(layers), per_layer).tolist():
                number = len(rows)
                answers = generator.integers(1, 30, 1) / 30 + generator.integers(0, 2, people) / 30
                mean = float(answers.mean())
                rows.append((number, model, kind, layer, people, mean, 10 * mean))
                said += [(number, one, 10 * one) for one in answers.tolist() if people > 1]
                if kind == "value":
                    values.append((number, "p", mean + float(generator.normal()) / 20))
        census += [("p", model, layer, size, 0.5) for layer in range(layers)]
    measures = ["coverage", "concepts"]
    columns = ["list_id", "model", "kind", "layer", "annotations", *measures]
    sizes = {(m, "value", layer): size for m in models for layer in range(layers)}
    given = EstimateInput(
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(said, columns=["list_id", *measures]),
        measures,
        counts=["concepts"],
        populations=Populations(sizes),
        proxies=proxies_of({"p": "A proxy"}, values, census),
    )
    return replace(given, **changes)


def row(given: EstimateInput, proxy: str = "p", layer: int | None = None, measure="coverage"):
    """The row of all layers, or of one."""
    table = estimates_table(given)
    table = table[(table["proxy"] == proxy) & (table["measure"] == measure)]
    if layer is None:
        return table[table["layer_from"].isna()].iloc[0]
    return table[(table["layer_from"] == layer) & (table["layer_to"] == layer)].iloc[0]


def changed_lists(given: EstimateInput, rows, **columns) -> EstimateInput:
    lists = given.lists.copy()
    for column, value in columns.items():
        lists.loc[rows(lists), column] = value
    return replace(given, lists=lists)


def with_proxies(given: EstimateInput, values=None, census=None, **changes) -> EstimateInput:
    """The study with other rows of its proxies."""
    known = given.proxies
    return replace(
        given,
        proxies=Proxies(
            changes.get("titles", known.titles),
            known.values if values is None else values,
            known.census if census is None else census,
            changes.get("missing", known.missing),
        ),
    )


def test_the_rows_are_all_layers_each_layer_and_groups_of_them():
    table = estimates_table(study())
    assert {name: str(kind) for name, kind in table.dtypes.items()} == ESTIMATE_COLUMNS
    first = table[(table["measure"] == "coverage") & (table["proxy"] == "")]
    spans = first[["layer_from", "layer_to"]].astype(object).where(lambda one: one.notna(), None)
    # 12 lists of a layer are too few, 24 of two are, and more equal parts there are none.
    assert spans.to_numpy().tolist() == [[None, None], [0, 0], [1, 1], [2, 2], [3, 3]]
    assert first["vectors"].tolist() == [2000, *[500] * 4]
    assert list(dict.fromkeys(table["proxy"])) == ["", "p"]
    grouped = estimates_table(study(per_layer=15))
    last = grouped.iloc[-1]
    assert (last["layer_from"], last["layer_to"], last["lists"], last["vectors"]) == (
        2,
        3,
        30,
        1000,
    )
    assert np.isfinite([last["low"], last["high"], last["relative_width"]]).all()


@pytest.mark.parametrize(
    ("lists", "groups"),
    [
        ([30, 30], []),
        ([15] * 4, [(0, 1), (2, 3)]),
        ([10] * 12, [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)]),
        ([12] * 5, [(0, 1, 2), (3, 4)][:0]),  # two layers have 24
        ([15] * 5, [(0, 1, 2), (3, 4)]),
        ([60, 60, 0], [(0, 1), (2,)][:0]),
        ([20], []),
        ([], []),
    ],
)
def test_groups_of_layers_are_the_smallest_equal_ones(lists, groups):
    assert layer_groups(lists) == groups


def test_a_row_has_the_numbers_of_the_estimator():
    given = study(seed=3)
    values = given.lists[given.lists["kind"] == "value"]
    known = given.proxies.values["value"].to_numpy()[:, None]
    sizes = np.full(4, float(SIZE))
    within = given.annotations[given.annotations["list_id"].isin(values["list_id"])]
    of_people = within.groupby("list_id")["coverage"].var().mean() / 2
    sample = Sample(
        values[["coverage"]].to_numpy(), values["layer"].to_numpy(), sizes / sizes.sum(), sizes,
        np.arange(4),
    )  # fmt: skip
    options = {"disagreement": np.full((4, 1), of_people)}
    found = difference_estimate(sample, known, Census(np.full((4, 1), 0.5)), **options)
    classical = classical_estimate(sample, **options)
    got, plain = row(given), row(given, "")
    half, other = found.half_widths()[0], classical.half_widths()[0]
    assert got[["value", "low", "high"]].tolist() == pytest.approx(
        [found.value[0], found.value[0] - half, found.value[0] + half]
    )
    assert got["coefficient"] == pytest.approx(found.coefficient[0])
    assert got["correlation"] == pytest.approx(found.correlation[0])
    assert got["relative_width"] == pytest.approx(half / other)
    assert got["degrees_of_freedom"] == 48 - 4 - 1
    assert plain[["value", "low", "high"]].tolist() == pytest.approx(
        [classical.value[0], classical.value[0] - other, classical.value[0] + other]
    )
    assert plain["degrees_of_freedom"] == 48 - 4
    assert plain[["correlation", "coefficient", "relative_width"]].isna().all()
    assert got["warning"] == plain["warning"] == ""


def test_layers_have_the_weights_of_their_vectors_not_of_their_lists():
    given = study(layers=2)
    sizes = {("m", "value", 0): 100, ("m", "value", 1): 900}
    lists = given.lists[~((given.lists["layer"] == 1) & (given.lists.index % 2 == 0))]
    uneven = replace(given, lists=lists, populations=Populations(sizes), proxies=None)
    values = lists[lists["kind"] == "value"].groupby("layer")["coverage"].mean()
    assert row(uneven, "")["value"] == pytest.approx(0.1 * values[0] + 0.9 * values[1])


@pytest.mark.parametrize("per_layer", [7, 8])
def test_fewer_than_30_lists_have_a_value_and_no_interval(per_layer):
    found = row(study(per_layer=per_layer))
    assert np.isfinite(found["value"])
    assert np.isfinite(found["low"]) == (per_layer == 8)
    assert ("fewer than 30 lists: annotate more" in found["warning"]) == (per_layer == 7)
    layer = row(study(per_layer=per_layer), layer=0)
    assert "take neighbouring layers together" in layer["warning"]


@pytest.mark.parametrize(("kept", "shown"), [(14, False), (15, True)])
def test_an_interval_needs_15_lists_that_are_not_0_and_15_that_are_not_1(kept, shown):
    given = study()

    def some(lists):
        return (lists["kind"] == "value") & (lists.groupby("kind").cumcount() >= kept)

    nothing = changed_lists(given, some, coverage=0.0, concepts=0.0)
    for measure in ("coverage", "concepts"):
        found = row(nothing, measure=measure)
        assert np.isfinite(found["low"]) == shown
        assert (found["warning"] == "no interval: fewer than 15 lists are above 0") != shown
    everything = changed_lists(given, some, coverage=1.0, concepts=1.0)
    found = row(everything)
    assert np.isfinite(found["low"]) == shown
    assert (found["warning"] == "no interval: fewer than 15 lists are below 1") != shown
    assert np.isfinite(row(everything, measure="concepts")["low"])  # a count has no upper end


def test_without_resamples_there_are_values_and_no_intervals():
    found = estimates_table(study(per_layer=30, intervals=False))
    assert found["value"].notna().all()
    assert found[["low", "high", "relative_width"]].isna().all().all()
    assert set(found["warning"]) == {""}


def test_a_layer_of_one_list_shares_the_variance_of_the_nearest_and_says_so():
    given = study(per_layer=15)
    lists = given.lists
    single = lists[(lists["kind"] == "value") & (lists["layer"] == 3)].index[1:]
    found = row(replace(given, lists=lists.drop(single)))
    assert np.isfinite(found["low"])
    assert found["degrees_of_freedom"] == 46 - 3 - 1
    assert "1 of 4 groups of kind and layer has one list and is pooled" in found["warning"]


def test_a_layer_without_a_judged_list_is_named_and_the_others_stay():
    given = changed_lists(
        study(per_layer=30), lambda lists: lists["layer"].isin([1, 2]), annotations=0
    )
    given = replace(given, lists=given.lists)
    for proxy in ("", "p"):
        found = row(given, proxy)
        assert np.isnan(found["value"])
        assert found["warning"] == (
            "no estimate: layers 1, 2 have no annotated list of value vectors: annotate a list "
            "of each layer, or take layers that have one"
        )
        assert np.isfinite(row(given, proxy, layer=0)["low"])
        assert "layer 1 has no annotated list" in row(given, proxy, layer=1)["warning"]


def refusals():
    given = study()
    proxies = given.proxies
    chosen = Populations(given.populations.sizes, frozenset({("m", "value")}))
    sizes = {key: n for key, n in given.populations.sizes.items() if key[2] != 2}
    fewer = proxies.census.assign(vectors=[500, 499, 500, 500])
    more = proxies.census.assign(vectors=[500, 500, 500, 501])
    late = {"titles": {"p": "A proxy"}, "missing": {"p": "It is not computed yet. Wait for it."}}
    constant = proxies.values.assign(value=2.0)
    yield "chosen", replace(given, populations=chosen), CHOSEN, ("", "p")
    yield (
        "unknown", replace(given, populations=Populations(sizes)),
        "the number of vectors of layer 2 is not known", ("", "p"),
    )  # fmt: skip
    yield (
        "unfinished", with_proxies(given, proxies.values.head(0), proxies.census.head(0), **late),
        "It is not computed yet. Wait for it", ("p",),
    )  # fmt: skip
    yield (
        "too few vectors", with_proxies(given, census=fewer),
        "the proxy is known of 499 of 500 vectors of layer 1, and must be known of "
        "all: compute it again", ("p",),
    )  # fmt: skip
    yield (
        "too many", with_proxies(given, census=more),
        "the proxy is known of 501 of 500 vectors of layer 3, and must be known of "
        "all: compute it again", ("p",),
    )  # fmt: skip
    yield (
        "another model", with_proxies(given, census=proxies.census.assign(model="other")),
        "the proxy is known of 0 of 500 vectors of layer 0, and must be known of all: "
        "compute it again", ("p",),
    )  # fmt: skip
    yield (
        "lists without", with_proxies(given, values=proxies.values.iloc[2:]),
        "the proxy is not known of 2 annotated lists: compute it again", ("p",),
    )  # fmt: skip
    yield "constant", with_proxies(given, values=constant), CONSTANT, ("p",)


@pytest.mark.parametrize("case", list(refusals()), ids=lambda case: case[0])
def test_each_refusal_is_a_sentence_and_no_number(case):
    _, given, sentence, proxies = case
    for proxy in proxies:
        found = row(given, proxy)
        assert found["warning"] == f"no estimate: {sentence}"
        numbers = ["value", "low", "high", "correlation", "coefficient", "degrees_of_freedom"]
        assert found[numbers].isna().all()
    others = {"", "p"} - set(proxies)
    assert all(np.isfinite(row(given, other)["value"]) for other in others)
    differences = estimate_differences_table(given)
    refused = differences[differences["proxy"].isin(proxies) & differences["layer_from"].isna()]
    assert set(refused["warning"]) == {f"no estimate: {sentence}"}
    assert refused[["difference", "low", "high"]].isna().all().all()


def test_29_lists_of_a_layer_are_too_few_for_a_proxy_and_30_are_enough():
    for per_layer, value in ((29, False), (30, True)):
        given = study(per_layer=per_layer)
        found = row(given, layer=0)
        assert np.isfinite(found["value"]) == value
        assert (found["warning"] == f"no estimate: {FEW_OF_PART}") != value
        assert np.isfinite(row(given, "", layer=0)["value"])


def test_a_census_of_people_has_no_sampling_error_but_their_disagreement():
    whole = study(size=12)
    for proxy in ("", "p"):
        found = row(whole, proxy)
        values = whole.lists[whole.lists["kind"] == "value"]
        assert found["value"] == pytest.approx(values["coverage"].mean())
        assert found["warning"] == PEOPLE_ALONE
        assert found["degrees_of_freedom"] == 48  # each of 48 lists has one between its two people
        own = whole.annotations[whole.annotations["list_id"].isin(values["list_id"])]
        half = (
            2.0106347576242314 * (own.groupby("list_id")["coverage"].var().mean() / 2 / 48) ** 0.5
        )
        assert (found["high"] - found["low"]) / 2 == pytest.approx(half)
        assert np.isnan(found["coefficient"])
    alone = study(size=12, people=1)
    assert row(alone)["warning"] == ALL_VECTORS
    assert np.isnan(row(alone)["low"])


def test_the_correction_is_left_off_where_no_list_has_two_annotators():
    corrected, alone = study(size=24), study(size=24, people=1)
    assert row(corrected)["warning"] == ""
    assert row(alone)["warning"] == LEFT_OFF
    infinite = replace(
        alone, populations=Populations(dict.fromkeys(alone.populations.sizes, 10**9))
    )
    infinite = with_proxies(infinite, census=alone.proxies.census.assign(vectors=10**9))
    bounds = ["low", "high", "coefficient"]
    assert row(alone)[bounds].tolist() == pytest.approx(row(infinite)[bounds].tolist())
    assert row(infinite)["warning"] == ""  # there is nothing to leave off


def test_disagreement_makes_the_correction_smaller():
    given = study(size=24)
    agreed = given.annotations.copy()
    agreed["coverage"] = agreed.groupby("list_id")["coverage"].transform("mean")
    narrower = row(replace(given, annotations=agreed))
    assert narrower["high"] - narrower["low"] < row(given)["high"] - row(given)["low"]


def test_an_exact_proxy_and_equal_lists_have_intervals_without_width():
    given = study()
    values = given.lists[given.lists["kind"] == "value"]
    exact = given.proxies.values.assign(value=values["coverage"].to_numpy())
    still = given.annotations.iloc[:0]
    # An infinite population, as disagreement is unknown without a second annotator.
    found = row(with_proxies(replace(given, annotations=still), values=exact))
    assert found["value"] == found["low"] == found["high"] == pytest.approx(0.5)
    assert EXACT in found["warning"]
    equal = changed_lists(
        replace(given, annotations=still), lambda x: x["kind"] == "value", coverage=0.4
    )
    assert NO_SPREAD in row(equal, "")["warning"]


def test_an_estimate_beyond_what_is_possible_says_so():
    given = study()
    found = row(with_proxies(given, census=given.proxies.census.assign(mean=3.0)))
    assert found["value"] > 1
    assert found["high"] == found["value"]
    assert OUTSIDE in found["warning"]


def test_one_annotator_alone_is_said_where_the_numbers_are():
    one = {
        ("m", kind, layer): frozenset({"ana"}) for kind in ("value", "random") for layer in range(4)
    }
    given = study(people=1, annotators=one)
    assert ONE_ANNOTATOR in row(given)["warning"]
    assert estimate_differences_table(given)["warning"].str.contains(ONE_ANNOTATOR).all()
    two = study(annotators={**one, ("m", "value", 2): frozenset({"ben"})})
    assert ONE_ANNOTATOR not in row(two)["warning"]
    assert ONE_ANNOTATOR in row(two, layer=0)["warning"]


def test_value_minus_random_has_the_proxy_on_the_value_side_alone():
    given = study(seed=5)
    table = estimate_differences_table(given)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == DIFFERENCE_COLUMNS
    rows = table[table["layer_from"].isna() & (table["measure"] == "coverage")]
    assert rows[["first", "second", "proxy"]].to_numpy().tolist() == [
        ["m: value", "m: random", ""],
        ["m: value", "m: random", "p"],
    ]
    assert rows[["lists_first", "lists_second"]].to_numpy().tolist() == [[48, 48]] * 2
    random = given.lists[given.lists["kind"] == "random"]
    layer, quarter = random["layer"].to_numpy(), np.full(4, 1 / 4)
    sample = Sample(
        random[["coverage"]].to_numpy(), layer, quarter, np.full(4, np.inf), np.arange(4)
    )
    control = classical_estimate(sample)
    (model,) = given.models
    part = model.part(model.whole, "p")
    half = half_widths(np.array([[part.variance[0]], control.variance]), np.array([43, 44]))[0]
    last = rows.iloc[-1]
    difference = row(given)["value"] - control.value[0]
    assert last[["difference", "low", "high"]].tolist() == pytest.approx(
        [difference, difference - half, difference + half]
    )
    assert half > part.half[0]


def test_a_layer_without_random_lists_has_no_difference_and_says_which():
    given = changed_lists(
        study(per_layer=30), lambda x: (x["kind"] == "random") & (x["layer"] == 2), annotations=0
    )
    table = estimate_differences_table(given).set_index(["proxy", "measure"])
    rows = table.loc[("p", "coverage")]
    whole, third = rows[rows["layer_from"].isna()].iloc[0], rows[rows["layer_from"] == 2].iloc[0]
    for one in (whole, third):
        assert np.isnan(one["difference"])
        assert "layer 2 has no annotated list of the control" in one["warning"]
    assert np.isfinite(rows[rows["layer_from"] == 1].iloc[0]["low"])


def test_two_models_are_compared_over_all_their_layers():
    given = study(models=("a", "b"), seed=2)
    table = estimate_differences_table(given)
    rows = table[(table["second"] == "b: value") & (table["measure"] == "coverage")]
    assert rows["first"].tolist() == ["a: value"] * 2
    assert rows["layer_from"].isna().all()
    estimates = estimates_table(given)
    whole = estimates[estimates["layer_from"].isna() & (estimates["measure"] == "coverage")]
    value = whole[whole["proxy"] == "p"].set_index("model")["value"]
    last = rows.iloc[-1]
    assert last["proxy"] == "p"
    assert last["difference"] == pytest.approx(value["a"] - value["b"])
    assert last["low"] < last["difference"] < last["high"]


def test_a_proxy_of_one_model_alone_is_refused_in_the_difference_of_two():
    given = study(models=("a", "b"))
    census = given.proxies.census
    given = with_proxies(given, census=census[census["model"] == "a"])
    table = estimate_differences_table(given)
    rows = table[(table["second"] == "b: value") & (table["proxy"] == "p")]
    assert rows["difference"].isna().all()
    assert rows["warning"].str.startswith("no estimate: the proxy is known of 0 of 500").all()


def test_a_study_without_value_lists_has_no_rows():
    given = study()
    lists = given.lists[given.lists["kind"] == "random"]
    empty = replace(given, lists=lists)
    for table, columns in (
        (estimates_table(empty), ESTIMATE_COLUMNS),
        (estimate_differences_table(empty), DIFFERENCE_COLUMNS),
    ):
        assert len(table) == 0
        assert list(table.columns) == list(columns)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"values": [(1, "p", 0.5), (1, "p", 0.6)]}, "two rows of the same list_id, proxy"),
        ({"values": [(1, "q", 0.5)]}, "The proxies q have no title"),
        ({"values": [(1, "p", np.inf)]}, "not finite"),
        ({"values": [(1, "p", np.nan)]}, "missing cells in value"),
        ({"census": [("p", "m", 0, 5, 0.1)] * 2}, "two rows of the same proxy, model, layer"),
        ({"census": [("p", "m", 0, 0, 0.1)]}, "a layer without vectors"),
        ({"missing": {"q": "Why?"}}, "The proxies q have no title"),
        ({"titles": {"": "Nothing"}}, "no name"),
    ],
)
def test_proxies_that_cannot_be_are_refused(changes, sentence):
    options = {"titles": {"p": "A proxy"}, "values": [], "census": [], **changes}
    with pytest.raises(ValueError, match=sentence):
        proxies_of(**options)
    frames = proxies_of({"p": "A proxy"}, [], [])
    with pytest.raises(ValueError, match="lacks the columns value"):
        Proxies({}, frames.values.drop(columns="value"), frames.census, {})


def test_two_extractions_of_one_model_are_compared_without_an_interval():
    names = ("m (raw, extraction 1)", "m (fold, extraction 2)")
    for models, paired in ((names, True), (("m", "n"), False)):
        differences = estimate_differences_table(study(models=models))
        beside = differences[differences["second"].str.endswith("value")]
        assert beside["difference"].notna().all()
        assert set(beside["low"].isna()) == {paired}
        assert set(beside["warning"].str.startswith(PAIRED)) == {paired}
