"""Shares of prefixes and counts of keys, on a study that is worked out by hand."""

from fractions import Fraction

import pandas as pd
import pytest

from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.annotation_frames import AnnotationFrames, typed_frame
from annotation_site.analysis.coverage import list_coverage
from annotation_site.analysis.prefix_shares import (
    KEY_COLUMNS,
    keys_table,
    list_prefix_shares,
    share_names,
)
from annotation_site.results.figures.canvas import INKS
from annotation_site.results.figures.prefix_shares import prefix_shares_figure
from annotation_site.results.tables.registry import TABLES, tables_for
from annotation_site.results.tables.request import TableRequest

CATEGORIES = ["shallow", "semantic"]
SHARES = ("only_shallow", "both", "only_semantic", "none")
# Lists A and B of keys in layer 0, B short; C of a random key; D in layer 1, which nobody judged.
LISTS = [
    ("A", "toy", "key", 0, 25),
    ("B", "toy", "key", 0, 10),
    ("C", "toy", "random-key", 0, 25),
    ("D", "toy", "key", 1, 25),
]
PATTERNS = {
    # Rank 4 is in patterns of both categories; the third pattern has two prefixes, too few.
    ("A", "ana"): [("shallow", [1, 2, 3, 4]), ("semantic", [4, 5, 25]), ("semantic", [9, 10])],
    ("A", "ben"): [],
    # Ranks 5 and 6 are in two patterns of one category, so they are not "both".
    ("B", "ana"): [("shallow", [1, 2, 3, 4, 5, 6]), ("shallow", [5, 6, 7])],
    ("C", "ana"): [("semantic", [1, 2])],
}
KEYS = [
    ("toy", "key", 0, 4, 1, 1),
    ("toy", "key", 1, 3, 0, 0),
    ("toy", "key", 2, 2, 2, 0),  # without any list
    ("toy", "random-key", 0, 1, 0, 0),
]


def prefix_labels() -> AnnotationFrames:
    members = [
        (f"{name}-{person}", number, rank, category, False)
        for (name, person), patterns in PATTERNS.items()
        for number, (category, ranks) in enumerate(patterns, start=1)
        for rank in ranks
    ]
    return AnnotationFrames(
        pd.DataFrame(LISTS, columns=["list_id", "model", "kind", "layer", "length"]),
        pd.DataFrame(
            [(f"{name}-{person}", name, person) for name, person in PATTERNS],
            columns=["annotation_id", "list_id", "annotator"],
        ),
        pd.DataFrame(
            members, columns=["annotation_id", "pattern", "rank", "category", "stopwords"]
        ),
    )


def prefix_request(**changes) -> TableRequest:
    keys = typed_frame(KEYS, KEY_COLUMNS)
    options = {"resamples": 50, "keys": keys, "several_patterns": True, **changes}
    return TableRequest(prefix_labels(), CATEGORIES, 3, **options)


def test_shares_of_each_list_are_those_worked_out_by_hand() -> None:
    table = list_prefix_shares(prefix_labels(), min_tokens=3, categories=CATEGORIES)
    found = table.set_index("list_id")
    # A: ana puts 3, 1 and 2 of 25 into patterns, ben none; the mean of both people.
    by_hand = {
        "A": (Fraction(3, 50), Fraction(1, 50), Fraction(2, 50), Fraction(44, 50)),
        "B": (Fraction(7, 10), 0, 0, Fraction(3, 10)),  # of the 10 prefixes that B shows
        "C": (0, 0, 0, 1),
    }
    for name, shares in by_hand.items():
        assert found.loc[name, list(SHARES)].tolist() == [float(one) for one in shares], name
    assert found["patterns_per_key"].tolist()[:2] == [1, 2]  # A: 2 and 0
    assert found.loc[["A", "B", "C"], "with_pattern"].tolist() == [0.5, 1, 0]
    assert found.loc["D"].isna().sum() == len(SHARES) + 2


@pytest.mark.parametrize("least", [1, 2, 3, 5])
def test_shares_add_up_to_one_and_those_in_patterns_to_the_coverage(least: int) -> None:
    labels, options = prefix_labels(), {"min_tokens": least, "categories": CATEGORIES}
    shares = list_prefix_shares(labels, **options).dropna()
    covered = list_coverage(labels, **options).dropna()["coverage"].to_numpy()
    assert shares[list(SHARES)].sum(axis=1).to_numpy() == pytest.approx(1)
    assert 1 - shares["none"].to_numpy() == pytest.approx(covered)


def test_a_category_that_the_study_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="hold the categories semantic"):
        list_prefix_shares(prefix_labels(), min_tokens=3, categories=["shallow"])
    with pytest.raises(ValueError, match="min_tokens is 0"):
        list_prefix_shares(prefix_labels(), min_tokens=0, categories=CATEGORIES)
    assert share_names(["shallow"]) == ("only_shallow", "none")


def test_the_table_has_means_over_lists_by_kind_and_by_layer() -> None:
    table = prefix_request().prefix_shares
    rows = table[(table["kind"] == "key") & (table["layer"] == 0)].set_index("measure")
    assert rows["value"].to_dict() == pytest.approx(
        {
            "only_shallow": Fraction(19, 50),  # (3/50 + 35/50) / 2
            "both": Fraction(1, 100),
            "only_semantic": Fraction(1, 50),
            "none": Fraction(59, 100),
            "patterns_per_key": Fraction(3, 2),
            "with_pattern": Fraction(3, 4),
        }
    )
    assert set(rows["lists"]) == {2}
    assert (rows["warning"] != "").all()  # two lists of one layer have no interval, and it says so
    assert set(table["layer"].dropna()) == {0}  # nobody judged D
    assert set(table.loc[table["layer"].isna(), "kind"]) == {"key", "random-key"}


def test_keys_without_a_list_and_short_lists_are_counted_by_layer() -> None:
    table = keys_table(typed_frame(KEYS, KEY_COLUMNS), prefix_labels())
    rows = table.astype(object).where(table.notna(), None).itertuples(index=False, name=None)
    assert list(rows) == [
        ("toy", "key", None, 9, 3, 1, 3, 1),
        ("toy", "random-key", None, 1, 0, 0, 1, 0),
        ("toy", "key", 0, 4, 1, 1, 2, 1),
        ("toy", "key", 1, 3, 0, 0, 1, 0),
        ("toy", "key", 2, 2, 2, 0, 0, 0),
        ("toy", "random-key", 0, 1, 0, 0, 1, 0),
    ]


def test_only_a_study_of_prefixes_has_their_tables() -> None:
    assert [*tables_for(prefix_request())] == [*TABLES, "prefix_shares", "keys"]
    assert [*tables_for(prefix_request(keys=None))] == [*TABLES]


def test_measures_that_need_one_pattern_per_prefix_say_why_they_are_undefined() -> None:
    undefined = "undefined, because a prefix can be in several patterns."
    for several, reason in ((True, {undefined}), (False, set())):
        table = prefix_request(several_patterns=several).agreements["agreement"]
        table = table.set_index("measure")
        assert list(table.index) == list(AGREEMENT_MEASURES)
        needs_one = [name for name, one in AGREEMENT_MEASURES.items() if one.needs_one_pattern]
        assert set(table.loc[needs_one, "undefined"]) & {undefined} == reason
        assert "tokens" not in set(table["unit"])
        # Of A's 25 prefixes, the two people judge the 19 alike that ana left out too.
        assert table.loc["percent_agreement_concept", "value"] == pytest.approx(19 / 25)
        assert table.loc["krippendorff_alpha_masi", "undefined"] == ""
        # ana left all prefixes to themselves, so nothing is shared that chance does not give.
        assert (table.loc["omega_index", "undefined"], table.loc["omega_index", "value"]) == ("", 0)
        assert table.loc["matched_stopwords_agreement", "undefined"] == (
            "undefined, because patterns of prefixes have no stopwords flag."
        )
        assert table.loc["mean_matched_jaccard", "value"] == 0


def test_the_figure_says_every_number_and_is_drawn_wide_and_narrow() -> None:
    request = prefix_request()
    shares, coverage = request.prefix_shares, request.coverage
    layers = coverage[coverage["layer"].notna()].astype({"layer": int})
    plan = prefix_shares_figure(
        "prefix-shares-0", shares[shares["layer"].notna()], layers, categories=CATEGORIES
    )
    assert plan.table == "prefix_shares"
    assert plan.alt == (
        "Prefixes by the categories of their patterns. Shares of the prefixes shown; layers count "
        "from 0. Key vectors of toy (2 of 3 lists, 3 annotations): layer 0: shallow only 38.0%, "
        "both categories 1.0%, semantic only 2.0%, no pattern 59.0%; 1.5 patterns per key; "
        "layer 1: no lists yet. Dotted line, random keys in a pattern, all layers: 0.0%. "
        "Random key vectors of toy (1 list, 1 annotation): layer 0: shallow only 0.0%, both "
        "categories 0.0%, semantic only 0.0%, no pattern 100.0%; 0.0 patterns per key; layer 1: "
        "no lists yet."
    )
    looks = set()
    for width in (900, 390):
        figure = plan.draw(INKS["light"], width)
        looks = {
            (bar.get_facecolor(), bar.get_hatch())
            for axes in figure.axes
            for bar in axes.patches
            if bar.get_linewidth() == 0.5
        }
        assert "% of prefixes" in {axes.get_ylabel() for axes in figure.axes}
    assert len(looks) == 4
