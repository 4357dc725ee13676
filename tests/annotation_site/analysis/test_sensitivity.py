"""The table of sensitivity, against the whole computation for each setting."""

import numpy as np
import pandas as pd
import pytest

from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.comparisons import kind_comparison
from annotation_site.analysis.coverage import list_counts, list_coverage
from annotation_site.analysis.means import mean_intervals
from annotation_site.analysis.sensitivity import NO_LAYER, NOBODY_ELSE, sensitivity_table
from annotation_site.analysis.strata import NOTHING_KNOWN, ONE_ANNOTATOR, Populations
from tests.annotation_site.analysis.hand_worked import frames_of, hand_worked_labels

CATEGORIES = ["semantic", "syntactic", "names"]
MEASURES = {"without": "coverage", "with": "coverage_with_stopwords"}


def labels_of(lists: int = 36, people: int = 4, seed: int = 0) -> AnnotationFrames:
    """Lists of 9 tokens in 3 layers, with patterns of every size, in part flagged, in part none."""
    rng = np.random.default_rng(seed)
    rows = [(n, "toy", ("value", "random")[n % 2], n // 2 % 3, 9) for n in range(lists)]
    annotations, members = [], []
    for number in range(lists):
        for person in rng.permutation(people)[: 1 + number % 2]:
            one = len(annotations)
            annotations.append((one, number, f"p{person}"))
            for pattern in range(1, int(rng.integers(0, 4)) + 1):
                ranks = rng.permutation(9)[: int(rng.integers(1, 10))] + 1
                flag = bool(rng.random() < 0.3)
                members += [(one, pattern, int(rank), "semantic", flag) for rank in ranks]
    return frames_of(lists=rows, annotations=annotations, members=members)


def one_by_one(
    labels: AnnotationFrames, min_tokens: int, flag: str, populations: Populations
) -> dict[tuple[str, str | None], tuple[float, float, float, int]]:
    """Value, low, high and lists of each kind and of the difference, by the other modules."""
    measure = MEASURES[flag]
    lists = list_coverage(labels, min_tokens=min_tokens, categories=CATEGORIES)
    (means,) = mean_intervals(
        lists, columns=[measure], by=[("model", "kind")], populations=populations
    )
    found = {
        ("coverage", str(row.kind)): (row.value, row.low, row.high, row.lists)
        for row in means.itertuples()
    }
    counts = list_counts(labels, min_tokens=min_tokens)
    apart = kind_comparison(counts, columns=[measure], permutations=1, populations=populations)
    row = apart[apart["layer"].isna()].iloc[0]
    both = row["lists_first"] + row["lists_second"]
    found["difference", None] = (row["difference"], row["low"], row["high"], both)
    return found


@pytest.mark.parametrize(
    "populations",
    [NOTHING_KNOWN, Populations({("toy", "value", layer): 40 for layer in range(3)})],
    ids=["infinite", "finite"],
)
def test_each_row_is_that_of_the_whole_computation_for_its_setting(populations):
    labels = labels_of()
    table = sensitivity_table(labels, min_tokens=4, populations=populations)
    assert set(table["min_tokens"]) == set(range(2, 9))
    people = sorted(set(labels.annotations["annotator"]))
    assert sorted(table["left_out"].dropna().unique()) == people
    seen = 0
    for (size, flag, left_out), rows in table.groupby(
        ["min_tokens", "stopwords_concepts", "left_out"], dropna=False
    ):
        kept = labels
        if isinstance(left_out, str):
            annotations = labels.annotations[labels.annotations["annotator"] != left_out]
            inside = labels.members["annotation_id"].isin(annotations["annotation_id"])
            kept = AnnotationFrames(labels.lists, annotations, labels.members[inside])
        known = one_by_one(kept, int(size), flag, populations)
        for row in rows.itertuples():
            wanted = known[row.of, row.kind if isinstance(row.kind, str) else None]
            assert (row.value, row.low, row.high) == pytest.approx(wanted[:3], nan_ok=True)
            assert row.lists == wanted[3]
            seen += 1
    assert seen == len(table) == 3 * 2 * (7 + len(people))


def test_the_change_is_from_the_studys_own_setting_with_the_same_flagged_patterns():
    table = sensitivity_table(labels_of(), min_tokens=4)
    for (_, _, flag), rows in table.groupby(["of", "kind", "stopwords_concepts"], dropna=False):
        own = rows[(rows["min_tokens"] == 4) & rows["left_out"].isna()]["value"].item()
        assert (rows["change"] - (rows["value"] - own)).abs().max() < 1e-12, flag


def test_annotations_behind_a_row_are_those_of_the_others():
    labels = labels_of()
    table = sensitivity_table(labels, min_tokens=4)
    values = labels.lists.loc[labels.lists["kind"] == "value", "list_id"]
    given = labels.annotations[labels.annotations["list_id"].isin(values)]
    rows = table[(table["of"] == "coverage") & (table["kind"] == "value")]
    rows = rows[rows["stopwords_concepts"] == "without"]
    assert set(rows.loc[rows["left_out"].isna(), "annotations"]) == {len(given)}
    for row in rows.dropna(subset=["left_out"]).itertuples():
        assert row.annotations == (given["annotator"] != row.left_out).sum()


def test_the_hand_worked_study_has_the_coverage_of_both_minimums():
    table = sensitivity_table(hand_worked_labels(), min_tokens=4)
    plain = table[(table["stopwords_concepts"] == "without") & table["left_out"].isna()]
    value = plain[(plain["of"] == "coverage") & (plain["kind"] == "value")].set_index("min_tokens")
    assert value.loc[4, "value"] == pytest.approx(7 / 12)
    assert value.loc[3, "value"] == pytest.approx(19 / 30)
    # Without ana nobody annotated C; A and B have ben's 6/10 and 4/10.
    ana = table[(table["left_out"] == "ana") & (table["kind"] == "value")]
    ana = ana[ana["stopwords_concepts"] == "without"].iloc[0]
    assert (ana["value"], ana["lists"], ana["annotations"]) == (pytest.approx(0.5), 2, 2)
    assert ana["warning"].startswith(ONE_ANNOTATOR)


def test_one_person_alone_cannot_be_left_out():
    labels = labels_of()
    alone = AnnotationFrames(
        labels.lists,
        labels.annotations.drop_duplicates("list_id").assign(annotator="p0"),
        labels.members[
            labels.members["annotation_id"].isin(
                labels.annotations.drop_duplicates("list_id")["annotation_id"]
            )
        ],
    )
    table = sensitivity_table(alone, min_tokens=4)
    left_out = table[table["left_out"].notna()]
    assert left_out["value"].isna().all()
    assert set(left_out["warning"]) == {NOBODY_ELSE}
    assert (left_out[["lists", "annotations"]] == 0).all(axis=None)
    others = table[table["left_out"].isna()]
    assert others["warning"].str.startswith(ONE_ANNOTATOR).all()
    assert sensitivity_table(alone, min_tokens=4, apart=["p0"])["left_out"].isna().all()


def test_a_difference_needs_a_layer_with_both_kinds():
    lists = [(0, "toy", "value", 0, 9), (1, "toy", "random", 0, 9)]
    given = [(0, 0, "ana"), (1, 1, "ben")]
    table = sensitivity_table(frames_of(lists=lists, annotations=given), min_tokens=4)
    rows = table[(table["of"] == "difference") & table["left_out"].notna()]
    assert set(rows["warning"]) == {NO_LAYER}
    assert set(table.loc[table["of"] == "difference", "annotations"]) == {2, 0}


def test_prefixes_have_no_flags_and_short_lists_no_large_minimum():
    labels = frames_of(
        lists=[(0, "toy", "key", 0, 5), (1, "toy", "random-key", 0, 4)],
        annotations=[(0, 0, "ana"), (1, 1, "ana")],
    )
    table = sensitivity_table(labels, min_tokens=3, flagged=False)
    assert set(table["stopwords_concepts"]) == {"without"}
    assert sorted(table["min_tokens"].unique()) == [2, 3, 4, 5]
    assert set(table["of"]) == {"coverage", "difference"}
    own = sensitivity_table(labels, min_tokens=12)
    assert sorted(own["min_tokens"].unique()) == [2, 3, 4, 5, 12]


def test_no_intervals_where_none_are_wanted():
    table = sensitivity_table(labels_of(), min_tokens=4, intervals=False)
    assert table[["low", "high"]].isna().all(axis=None)
    assert (table["warning"] == "").all()


def test_rows_in_another_order_change_nothing():
    labels = labels_of()
    shuffled = AnnotationFrames(
        *(frame.sample(frac=1, random_state=1) for frame in
          (labels.lists, labels.annotations, labels.members))
    )  # fmt: skip
    one, other = (sensitivity_table(each, min_tokens=4) for each in (labels, shuffled))
    pd.testing.assert_frame_equal(one, other)
