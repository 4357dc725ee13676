"""Competence of annotators: the vectorised fit beside a literal one, and its table."""

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from annotation_site.analysis import competence, dawid_skene
from annotation_site.analysis.agreement.encoding import encode
from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.competence import COMPETENCE_COLUMNS, competence_table
from annotation_site.analysis.dawid_skene import Profiles, fit, majority
from annotation_site.analysis.strata import ALL_VECTORS, Populations
from tests.annotation_site.analysis.hand_worked import frames_of

Judgements = list[dict[int, int]]
"""Of each entry: by person 1 for in a pattern, 0 for out."""


def literally(entries: Judgements, people: int) -> tuple[list[float], list[float], float, int]:
    """Dawid and Skene (1979) in loops, with Beta(2, 1) priors; from the majority."""
    inside = []
    for one in entries:
        yes, no = sum(one.values()), len(one) - sum(one.values())
        inside.append(1.0 if yes > no else 0.0 if yes < no else 0.5)
    before, rounds = -math.inf, 0
    while True:
        rounds += 1
        sensitivity, specificity = [], []
        for p in range(people):
            hit = missed = left = false = 0.0
            for t, one in zip(inside, entries, strict=True):
                if one.get(p) == 1:
                    hit, false = hit + t, false + 1 - t
                elif one.get(p) == 0:
                    missed, left = missed + t, left + 1 - t
            sensitivity.append((hit + 1) / (hit + missed + 1))
            specificity.append((left + 1) / (left + false + 1))
        share = sum(inside) / len(inside)
        height = sum(math.log(2 * one) for one in sensitivity + specificity)
        for n, one in enumerate(entries):
            a, b = share, 1 - share
            for p, said in one.items():
                a *= sensitivity[p] if said else 1 - sensitivity[p]
                b *= 1 - specificity[p] if said else specificity[p]
            inside[n] = a / (a + b)
            height += math.log(a + b)
        if abs(height - before) < 1e-8 * abs(height) or rounds == 1000:
            return sensitivity, specificity, height, rounds
        before = height


def profiles_of(entries: Judgements, people: int) -> Profiles:
    """Each entry as a profile of its own, in a list of its own."""
    marks = np.array([[one.get(p, -1) for p in range(people)] for one in entries])
    return Profiles(
        sparse.csr_array((marks == 1).astype(float)),
        sparse.csr_array((marks == 0).astype(float)),
        sparse.csr_array(np.eye(len(entries))),
    )


def made_up(lists: int, seed: int, *, per_list: int = 3, people: int = 5) -> AnnotationFrames:
    """Lists of 10 entries, a third of them in a pattern; the first person sees most of them."""
    rng = np.random.default_rng(seed)
    annotations, members = [], []
    for number in range(lists):
        truth = rng.random(10) < 1 / 3
        for p in sorted(rng.permutation(people)[:per_list].tolist()):
            annotations.append((len(annotations), number, f"p{p}"))
            seen = np.where(truth, rng.random(10) < 0.95 - 0.1 * p, rng.random(10) < 0.1)
            members += [
                (len(annotations) - 1, 1, int(rank) + 1, "names", False)
                for rank in np.flatnonzero(seen)
            ]
    rows = [(n, "toy", ("value", "random")[n % 2], n // 2 % 3, 10) for n in range(lists)]
    return frames_of(lists=rows, annotations=annotations, members=members)


def judgements(labels: AnnotationFrames) -> Judgements:
    """Of every entry, read from the rows one by one."""
    names = sorted(set(labels.annotations["annotator"]))
    marked = set(labels.members[["annotation_id", "rank"]].itertuples(index=False, name=None))
    found: dict[tuple[int, int], dict[int, int]] = {}
    for annotation, number, who in labels.annotations.itertuples(index=False, name=None):
        for rank in range(1, 11):
            said = int((annotation, rank) in marked)
            found.setdefault((number, rank), {})[names.index(who)] = said
    return list(found.values())


def table_of(labels: AnnotationFrames, **options) -> pd.DataFrame:
    found = competence_table(encode(labels, min_tokens=1)[None], **options)
    assert list(found.columns) == list(COMPETENCE_COLUMNS)
    return found.set_index("annotator")


def test_the_first_step_worked_through_by_hand() -> None:
    """Four entries, three people: marks 110, 111, 000, 001. By the majority 1, 1, 0, 0.

    Person 0: 2 of 2 in, 2 of 2 out, with one more success 3/3 and 3/3. Person 2: 1 of 2 and 1 of
    2, so 2/3 and 2/3. The share is 1/2.
    """
    rows = ("110", "111", "000", "001")
    known = profiles_of([dict(enumerate(map(int, row))) for row in rows], 3)
    start = majority(known)
    assert start.tolist() == [1, 1, 0, 0]
    rates, share = dawid_skene._maximise(known, np.ones((4, 1)), start[:, None])
    assert rates[:, :, 0].tolist() == [[1, 1, pytest.approx(2 / 3)]] * 2
    assert share == 1 / 2
    posterior, height = dawid_skene._expect(known, np.ones((4, 1)), rates, share)
    assert posterior[:, 0] == pytest.approx([1, 1, 0, 0])
    # Half a chance for each, times 1/3, 2/3, 2/3, 1/3; the priors' densities are 2, 2 and 4/3.
    likelihood = Fraction(1, 6) * Fraction(1, 3) * Fraction(1, 3) * Fraction(1, 6)
    assert height[0] == pytest.approx(math.log(likelihood * (4 * Fraction(4, 3)) ** 2))


def test_a_tie_starts_between_both() -> None:
    assert majority(profiles_of([{0: 1, 1: 0}, {0: 1, 2: 1}], 3)).tolist() == [0.5, 1]


@pytest.mark.parametrize(("seed", "per_list"), [(1, 3), (2, 2), (3, 4)])
def test_the_fit_is_that_of_a_literal_implementation(seed: int, per_list: int) -> None:
    labels = made_up(90, seed, per_list=per_list)
    entries = judgements(labels)
    known = profiles_of(entries, 5)
    both = np.stack([np.ones(len(entries)), np.arange(len(entries)) % 3], axis=1).astype(float)
    found = fit(known, both, majority(known))
    for column in range(2):  # the second: entries left out, once and twice
        repeated = [
            dict(one)
            for one, times in zip(entries, both[:, column].astype(int), strict=True)
            for _ in range(times)
        ]
        sensitivity, specificity, height, rounds = literally(repeated, 5)
        assert found.sensitivity[:, column] == pytest.approx(sensitivity, abs=1e-9)
        assert found.specificity[:, column] == pytest.approx(specificity, abs=1e-9)
        assert found.log_posterior[column] == pytest.approx(height, rel=1e-12)
        assert 2 < rounds <= found.rounds
    table = table_of(labels)
    sensitivity, specificity, *_ = literally(entries, 5)
    assert table["sensitivity"].to_numpy() == pytest.approx(sensitivity, abs=1e-9)
    assert table["specificity"].to_numpy() == pytest.approx(specificity, abs=1e-9)


def test_the_log_posterior_never_falls() -> None:
    known = profiles_of(judgements(made_up(40, 5)), 5)
    heights = []
    for rounds in range(1, 8):
        found = fit(known, np.ones((400, 1)), majority(known), rounds=rounds)
        heights.append(float(found.log_posterior[0]))
    assert (np.diff(heights) > 0).all()


def test_people_are_told_apart_and_their_intervals_hold_their_values() -> None:
    table = table_of(made_up(240, 7), resamples=150)
    assert list(table.index) == [f"p{n}" for n in range(5)]
    assert table["sensitivity"].is_monotonic_decreasing
    assert table["sensitivity"].to_numpy() == pytest.approx(
        [0.95, 0.85, 0.75, 0.65, 0.55], abs=0.08
    )
    assert table["specificity"].to_numpy() == pytest.approx(np.full(5, 0.9), abs=0.05)
    for name in ("sensitivity", "specificity"):
        assert (table[f"{name}_low"] < table[name]).all()
        assert (table[name] < table[f"{name}_high"]).all()
    assert table["majority_agreement"].between(0.7, 1).all()
    assert set(table["undefined"]) == {""}
    again = table_of(made_up(240, 7), resamples=150)
    pd.testing.assert_frame_equal(table, again)
    assert not again["sensitivity_low"].equals(
        table_of(made_up(240, 7), resamples=150, seed=1)["sensitivity_low"]
    )


def test_without_resamples_there_are_values_and_no_intervals() -> None:
    table = table_of(made_up(60, 1))
    assert table["sensitivity"].notna().all()
    assert table.filter(regex="_low|_high").isna().all(axis=None)


def test_too_few_people_or_lists_have_a_reason_and_no_value() -> None:
    few = table_of(made_up(29, 1, people=3))
    assert set(few["undefined"]) == {"undefined, because fewer than 3 people share 30 lists each."}
    assert (few[["lists", "shared_lists"]] == 29).all(axis=None)
    assert few[["sensitivity", "specificity", "majority_agreement"]].isna().all(axis=None)
    assert table_of(made_up(30, 1, people=3))["sensitivity"].notna().all()
    two = table_of(made_up(60, 1, people=2, per_list=2))
    assert set(two["undefined"]) == set(few["undefined"])
    nobody = frames_of(lists=[(0, "toy", "value", 0, 10)])
    assert len(table_of(nobody)) == 0


def test_a_person_with_few_shared_lists_is_left_out_and_changes_nobody() -> None:
    labels = made_up(40, 3, people=3)
    guest = pd.DataFrame(
        {"annotation_id": range(900, 910), "list_id": range(10), "annotator": "guest"}
    )
    more = AnnotationFrames(labels.lists, pd.concat([labels.annotations, guest]), labels.members)
    table = table_of(more)
    assert table.at["guest", "undefined"] == (
        "undefined, because this person shares fewer than 30 lists with the people compared."
    )
    assert (table.at["guest", "lists"], table.at["guest", "shared_lists"]) == (10, 10)
    pd.testing.assert_frame_equal(table.drop("guest"), table_of(labels), check_dtype=False)


def test_where_nothing_is_in_a_pattern_there_is_no_sensitivity() -> None:
    labels = made_up(40, 3, people=3)
    table = table_of(AnnotationFrames(labels.lists, labels.annotations, labels.members.head(0)))
    assert table["sensitivity"].isna().all()
    assert (table["specificity"] == 1).all()
    assert set(table["undefined"]) == {
        "undefined, because the latent majority puts no entry into a pattern."
    }


def test_what_was_taken_whole_has_no_interval_and_what_is_too_much_none_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = made_up(90, 2)
    sizes = labels.lists.groupby(["model", "kind", "layer"]).size().to_dict()
    whole = table_of(labels, resamples=20, populations=Populations(sizes))
    assert set(whole["warning"]) == {ALL_VECTORS}
    assert whole["sensitivity"].notna().all()
    monkeypatch.setattr(competence, "_CELLS", 1000)
    much = table_of(labels, resamples=20)
    assert set(much["warning"]) == {
        "no interval: people share lists in too many combinations to be drawn again"
    }
    for table in (whole, much):
        assert table.filter(regex="_low|_high").isna().all(axis=None)
