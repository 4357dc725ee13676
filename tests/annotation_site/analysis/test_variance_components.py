"""Variance components against an analysis of variance, simulated studies and statsmodels."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from annotation_site.analysis import variance_components as module
from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.variance_components import NEGATIVE, variance_components
from tests.annotation_site.analysis.components import frames_from, only, simulated, two_people

TRUE = {"lists": 0.02, "people": 0.006, "by_kind": 0.002, "rest": 0.005}
NAMES = ["between_lists", "disagreement", "between_people", "people_by_kind"]


def balanced(rng: np.random.Generator) -> AnnotationFrames:
    """3 layers of 6 lists, each annotated by the same 4 people."""
    rows = simulated(rng, components=TRUE, layers=3, lists=6, people_per_list=4, people=4)
    return frames_from(rows, length=1000)


def coverages(frames: AnnotationFrames, kind: str) -> np.ndarray:
    """Shape (layers, lists, people) of a balanced study."""
    tokens = frames.members.groupby("annotation_id").size().rename("tokens")
    table = frames.annotations.join(tokens, on="annotation_id").merge(frames.lists, on="list_id")
    table = table[table["kind"] == kind].fillna({"tokens": 0})
    wide = table.pivot(index=["layer", "list_id"], columns="annotator", values="tokens") / 1000
    return wide.to_numpy().reshape(3, 6, 4)


def test_a_balanced_design_gives_the_estimates_of_an_analysis_of_variance():
    frames = balanced(np.random.default_rng(5))
    table = variance_components(frames, min_tokens=1)
    for kind in ("value", "random"):
        y = coverages(frames, kind)
        layers, n, m = y.shape
        layer = y.mean(axis=(1, 2), keepdims=True)
        of_list, of_person = y.mean(axis=2, keepdims=True), y.mean(axis=1, keepdims=True)
        ms_lists = m * ((of_list - layer) ** 2).sum() / (layers * (n - 1))
        ms_people = n * ((of_person - layer) ** 2).sum() / (layers * (m - 1))
        rest = y - of_list - of_person + layer
        ms_rest = (rest**2).sum() / (layers * (n - 1) * (m - 1))
        expected = [(ms_lists - ms_rest) / m, ms_rest, (ms_people - ms_rest) / n]
        found = only(table, kind)
        assert found[NAMES[:3]].astype(float).to_numpy() == pytest.approx(expected, abs=1e-12)


def test_statsmodels_estimates_the_same_variance_between_lists():
    """Restricted maximum likelihood, with people as fixed effects of each layer."""
    frames = balanced(np.random.default_rng(11))
    y = coverages(frames, "value")
    places = pd.MultiIndex.from_product([range(3), range(6), range(4)], names=list("lip"))
    data = pd.DataFrame({"y": y.ravel()}, index=places).reset_index()
    data["list"] = data["l"] * 6 + data["i"]
    fitted = smf.mixedlm("y ~ C(l) * C(p)", data, groups="list").fit(reml=True)
    found = only(variance_components(frames, min_tokens=1), "value")
    assert found["between_lists"] == pytest.approx(float(fitted.cov_re.iloc[0, 0]), rel=1e-3)
    assert found["disagreement"] == pytest.approx(fitted.scale, rel=1e-3)


def test_estimates_of_incomplete_designs_are_right_on_average(monkeypatch):
    """2 of 5 people per list, drawn at random; negative estimates are kept here."""
    monkeypatch.setattr(module, "_not_negative", lambda found, said: (found, ""))
    rng = np.random.default_rng(2)
    estimates = []
    for _ in range(60):
        rows = simulated(rng, components=TRUE, layers=4, lists=6, people_per_list=2, people=5)
        answers = pd.DataFrame(rows, columns=["list_id", "kind", "layer", "annotator", "coverage"])
        answers = answers.assign(coverage=answers["coverage"] / 1000, model="m")
        sample = module._Sample.of(answers)
        found, _ = module._components(sample, across=["value", "random"])
        estimates.append([found[name] for name in NAMES])
    mean = np.mean(estimates, axis=0)
    error = np.std(estimates, axis=0, ddof=1) / np.sqrt(len(estimates))
    expected = [TRUE["lists"], TRUE["rest"], TRUE["people"], TRUE["by_kind"]]
    assert (np.abs(mean - expected) < 3.5 * error).all(), (mean, expected, error)


def some(keep) -> pd.Series:
    """The whole row of the worked case with some of its annotations."""
    frames = two_people()
    kept = frames.annotations[[keep(*row) for row in frames.annotations.itertuples(index=False)]]
    members = frames.members[frames.members["annotation_id"].isin(kept["annotation_id"])]
    return only(
        variance_components(AnnotationFrames(frames.lists, kept, members), min_tokens=1), None
    )


@pytest.mark.parametrize(
    ("keep", "known", "said"),
    [
        (lambda _, item, who: who == "ana", ["between_lists"], module.ONE_PERSON),
        (lambda _, item, who: (item in "ac") == (who == "ana"), ["between_lists"],
         module.NO_SECOND),
        (lambda _, item, who: item in "ac", ["disagreement"], module.NO_TWO_LISTS),
        (lambda _, item, who: item in "ab",
         ["between_lists", "disagreement", "between_people"], module.ONE_KIND),
    ],
)  # fmt: skip
def test_a_component_that_cannot_be_estimated_is_missing_and_the_row_says_what_is_assumed(
    keep, known, said
):
    row = some(keep)
    assert [name for name in NAMES if not np.isnan(row[name])] == known
    assert said in row["warning"]


def test_a_negative_estimate_becomes_0_and_the_row_says_so():
    rows = [("a", "value", 0, "ana", 5), ("a", "value", 0, "ben", 1)]
    rows += [("b", "value", 0, "ana", 1), ("b", "value", 0, "ben", 5)]
    row = only(variance_components(frames_from(rows, length=10), min_tokens=1), "value")
    # W and P are 0.08, T is 0
    assert (row["between_lists"], row["between_people"]) == (0, 0)
    assert row["disagreement"] == pytest.approx(0.16)
    assert row["warning"] == f"{NEGATIVE['between_lists']}; {NEGATIVE['between_people']}"


def test_lists_that_nobody_annotated_and_models_apart_change_nothing():
    alone = variance_components(two_people(), min_tokens=1)
    frames = two_people()
    other = two_people()
    for one in (other.lists, other.annotations, other.members):
        for column in {"list_id", "annotation_id"} & set(one.columns):
            one[column] = one[column] + "-2"
    other.lists["model"] = "n"
    lists = pd.concat([frames.lists, other.lists, other.lists.assign(list_id="none").head(1)])
    both = AnnotationFrames(
        lists.reset_index(drop=True),
        pd.concat([frames.annotations, other.annotations], ignore_index=True),
        pd.concat([frames.members, other.members], ignore_index=True),
    )
    table = variance_components(both, min_tokens=1)
    assert table["model"].tolist() == ["m"] * 3 + ["n"] * 3 + [None] * 3
    pd.testing.assert_frame_equal(table.head(3), alone)
    together = table[table["model"].isna()].reset_index(drop=True)
    assert together["between_lists"].tolist() == pytest.approx(alone["between_lists"].tolist())
    assert together["annotations"].tolist() == [8, 8, 16]
