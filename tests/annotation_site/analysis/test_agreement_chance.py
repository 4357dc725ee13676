"""The Omega index, flags and numbers of patterns, and the agreement of shuffled entries."""

from itertools import combinations, permutations
from math import comb

import numpy as np
import pytest

from annotation_site.analysis.agreement import chance, omega
from annotation_site.analysis.agreement.chance import shuffled
from annotation_site.analysis.agreement.encoding import encode
from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.agreement.tables import agreement_table, measure_agreement
from annotation_site.analysis.annotation_frames import AnnotationFrames
from benchmarks import coverage
from tests.annotation_site.analysis.agreement_frames import grid_labels, random_labels
from tests.annotation_site.analysis.hand_worked import frames_of

Said = list[tuple[set[int], bool]]
WITH_CHANCE = [name for name, one in AGREEMENT_MEASURES.items() if one.has_chance]


def two_answers(ana: Said, ben: Said, length: int = 10, lists: int = 1) -> AnnotationFrames:
    """The same patterns, ranks and flag, of two people in every list."""
    given = [("ana", ana), ("ben", ben)] * lists
    return frames_of(
        lists=[(n, "toy", "value", 0, length) for n in range(lists)],
        annotations=[(n, n // 2, who) for n, (who, _) in enumerate(given)],
        members=[
            (n, number, rank, "names", flag)
            for n, (_, said) in enumerate(given)
            for number, (ranks, flag) in enumerate(said, start=1)
            for rank in sorted(ranks)
        ],
    )


def rows(labels: AnnotationFrames, **options):
    return agreement_table(measure_agreement(labels, min_tokens=1, **options)).set_index("measure")


def plain_omega(one: Said, other: Said, length: int) -> float:
    """By the definition of Collins and Dent, one pair of ranks after another."""
    pairs = list(combinations(range(1, length + 1), 2))
    first, second = (
        [sum({a, b} <= ranks for ranks, _ in said) for a, b in pairs] for said in (one, other)
    )
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / len(pairs)
    expected = sum(first.count(j) * second.count(j) for j in range(10)) / len(pairs) ** 2
    return (observed - expected) / (1 - expected)


@pytest.mark.parametrize("cells", [omega._CELLS, 50])
def test_omega_of_patterns_that_share_tokens_has_the_value_of_the_definition(monkeypatch, cells):
    monkeypatch.setattr(omega, "_CELLS", cells)  # one pair of annotations at a time
    labels = random_labels(20, 2, overlap=True, seed=3)
    table = agreement_table(measure_agreement(labels, min_tokens=1), by=["list_id"])
    got = table[table["measure"] == "omega_index"].set_index("list_id")["value"]
    members = labels.members.groupby(["annotation_id", "pattern"])["rank"].apply(set)
    for number, annotations in labels.annotations.groupby("list_id")["annotation_id"]:
        said = [[(ranks, False) for ranks in members.loc[one]] for one in annotations]
        assert got[number] == pytest.approx(plain_omega(*said, length=10), abs=1e-12)
    assert got.nunique() > 10


def test_omega_counts_no_rank_beyond_the_end_of_a_list() -> None:
    short = two_answers([({1, 2, 3}, False), ({2, 3}, False)], [({1, 2, 3}, False)], length=5)
    longer = [("long", "toy", "value", 0, 80)]
    lists = [*short.lists.itertuples(index=False, name=None), *longer]
    wide = AnnotationFrames(frames_of(lists=lists).lists, short.annotations, short.members)
    assert rows(wide).at["omega_index", "value"] == rows(short).at["omega_index", "value"]


def test_omega_is_undefined_where_nothing_can_be_told_from_chance() -> None:
    everything: Said = [({1, 2, 3}, False), ({1, 2, 3}, True)]
    row = rows(two_answers(everything, everything, length=3)).loc["omega_index"]
    assert np.isnan(row["value"])
    assert row["undefined"] == (
        "undefined, because nothing can be compared (1 of the pairs of answers: both people leave "
        "every token by itself, or both put all tokens together)."
    )
    only_ana = rows(two_answers(everything, [], length=4)).loc["omega_index"]
    assert (only_ana["value"], only_ana["undefined"]) == (0, "")


def test_flags_are_compared_over_matched_patterns_that_share_half_of_their_tokens() -> None:
    ana: Said = [({1, 2, 3}, True), ({4, 5, 6}, False), ({7, 8, 9}, True)]
    ben: Said = [({1, 2, 3}, True), ({4, 5}, True), ({9, 10, 11, 12}, True)]  # J = 1, 2/3, 1/6
    row = rows(two_answers(ana, ben, length=12)).loc["matched_stopwords_agreement"]
    assert (row["value"], row["n"]) == (1 / 2, 2)


def test_of_equal_patterns_those_with_equal_flags_are_matched() -> None:
    twice: Said = [({1, 2}, True), ({1, 2}, False)]
    for ben in permutations(twice):
        row = rows(two_answers(twice, list(ben))).loc["matched_stopwords_agreement"]
        assert (row["value"], row["n"]) == (1, 2)
        row = rows(two_answers([({1, 2}, True)], list(ben))).loc["matched_stopwords_agreement"]
        assert (row["value"], row["n"]) == (1, 1)


def test_numbers_of_patterns_agree_where_somebody_has_one() -> None:
    labels = grid_labels(
        {
            "ana": [["names", None], ["names", "names"], [None, None], [None, None]],
            "ben": [[None, "names"], ["names", None], [None, None], ["names", None]],
        }
    )
    row = rows(labels).loc["pattern_count_agreement"]
    assert (row["value"], row["n"]) == (1 / 3, 3)
    assert row["left_out"] == "1 of the pairs of answers: neither person has a pattern"


def test_chance_is_what_shuffled_entries_give() -> None:
    """One pattern of 3 and one of 4 among 8 tokens: the overlap's distribution is known."""
    one, other, length = 3, 4, 8
    labels = two_answers([({1, 2, 3}, True)], [({1, 2, 3, 4}, False)], length, lists=40)
    table = rows(labels)
    ways = {
        s: comb(other, s) * comb(length - other, one - s) / comb(length, one)
        for s in range(one + 1)
    }
    overlap = sum(p * s / (one + other - s) for s, p in ways.items())
    half = sum(p for s, p in ways.items() if 2 * s >= one + other - s)
    assert table.at["mean_matched_jaccard", "value"] == 3 / 4
    # The same content everywhere has the same shuffles: 200 of them, with an error of 0.01.
    assert table.at["mean_matched_jaccard", "chance"] == pytest.approx(overlap, abs=0.05)
    assert table.at["pattern_f1", "chance"] == pytest.approx(half, abs=0.12)
    assert table.at["matched_category_agreement", "chance"] == 1  # all are names
    assert table.at["matched_stopwords_agreement", "chance"] == 0  # and no two flags are equal
    assert set(table.loc[WITH_CHANCE, "shuffles"]) == {200}


def test_chance_of_many_different_lists_is_near_the_mean_over_all_orders() -> None:
    rng = np.random.default_rng(0)
    lists, wanted = [], []
    for _ in range(300):
        sizes = rng.integers(1, 6, 2)
        lists.append([set((rng.permutation(10)[:size] + 1).tolist()) for size in sizes])
        one, other = (int(size) for size in sizes)
        for s in range(min(one, other) + 1):
            p = comb(other, s) * comb(10 - other, one - s) / comb(10, one)
            wanted.append(p * s / (one + other - s))
    labels = frames_of(
        lists=[(n, "toy", "value", 0, 10) for n in range(300)],
        annotations=[(2 * n + side, n, "ab"[side]) for n in range(300) for side in (0, 1)],
        members=[
            (2 * n + side, 1, rank, "names", False)
            for n, both in enumerate(lists)
            for side, ranks in enumerate(both)
            for rank in ranks
        ],
    )
    row = rows(labels).loc["mean_matched_jaccard"]
    assert row["shuffles"] == chance.MOST // 300
    assert row["chance"] == pytest.approx(sum(wanted) / 300, abs=0.008)


def test_shuffled_patterns_keep_their_sizes_overlaps_and_ends_of_lists() -> None:
    labels = coverage.frames_of(6)
    answers = encode(
        AnnotationFrames(
            labels.lists.assign(length=[30, 30, 30, 30, 30, 70]), labels.annotations, labels.members
        ),
        min_tokens=1,
    )[None]
    found = shuffled(answers, seed=1)
    assert found.shuffles == 200
    new = found.annotations

    def shared(patterns, annotations):
        """Sizes of all patterns and of their common part, of each of these annotations."""
        ranks = patterns.members(np.arange(len(patterns.size)), 70).astype(int)
        return [
            sorted((ranks[own] @ ranks[own].T).ravel().tolist())
            for one in annotations
            for own in [slice(patterns.first[one], patterns.first[one] + patterns.count[one])]
        ]

    # One side of a pair is shuffled, and either can be: together they are the same sets.
    count = len(answers.pairs.first)
    kept = shared(new.patterns, range(len(new.patterns.count)))
    before = shared(answers.patterns, range(len(answers.patterns.count)))
    for number in range(0, 200 * count, 37):
        pair = number % count
        now = sorted([kept[new.pairs.first[number]], kept[new.pairs.second[number]]])
        assert now == sorted(
            [before[answers.pairs.first[pair]], before[answers.pairs.second[pair]]]
        )
    short = answers.pairs.list[np.arange(200 * count) % count] < 5
    members = new.patterns.members(np.arange(len(new.patterns.size)), 70)
    of_short = np.isin(
        new.patterns.annotation, np.append(new.pairs.first[short], new.pairs.second[short])
    )
    assert not members[of_short, 30:].any()
    assert members[~of_short, 30:].any()


def test_chance_is_seeded_and_missing_where_a_measure_has_none() -> None:
    labels = random_labels(60, 3, overlap=True)
    table, again, other = (rows(labels, seed=seed) for seed in (1, 1, 2))
    assert table["chance"].equals(again["chance"])
    assert not table["chance"].equals(other["chance"])
    assert list(table.index[table["chance"].notna()]) == WITH_CHANCE
    assert ((table["shuffles"] > 0) == table["chance"].notna()).all()
    known = table.loc[["mean_matched_jaccard", "pattern_f1"]]
    assert (known["chance"] < known["value"]).all()


def test_pairs_of_people_share_the_shuffles_of_their_lists() -> None:
    labels = random_labels(30, 3, share=0.8)
    agreement = measure_agreement(labels, min_tokens=1)
    pairs = agreement_table(agreement.by_pair(), by=["first", "second"])
    pairs = pairs[pairs["measure"] == "matched_category_agreement"]
    two = labels.annotations["annotator"].isin(["p0", "p1"])
    members = labels.members["annotation_id"].isin(labels.annotations.loc[two, "annotation_id"])
    alone = rows(AnnotationFrames(labels.lists, labels.annotations[two], labels.members[members]))
    row = pairs.set_index(["first", "second"]).loc[("p0", "p1")]
    assert row["value"] == alone.at["matched_category_agreement", "value"]
    assert row["shuffles"] == min(200, chance.MOST // len(agreement.annotations[None].pairs.list))
    assert row["chance"] == pytest.approx(
        alone.at["matched_category_agreement", "chance"], abs=0.15
    )
