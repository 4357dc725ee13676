"""The alternative annotator test beside a second implementation, and on planted machines."""

import numpy as np
import pandas as pd
import pytest

from annotation_site.analysis import alternative_annotators as tested
from annotation_site.analysis.agreement.tables import measure_agreement
from annotation_site.analysis.alternative_annotators import (
    EPSILONS,
    PEOPLE_COLUMNS,
    TEST_COLUMNS,
    Comparisons,
    alternative_annotator_rows,
    benjamini_yekutieli,
    compare,
    person_rows,
    table_of,
)
from annotation_site.analysis.annotation_frames import AnnotationFrames
from tests.annotation_site.oracle.alternative import (
    Judgements,
    Outcome,
    alternative_annotator_test,
)

NAME = "machine-m"
ENTRIES = 12
Lists = dict[int, dict[str, Judgements]]
Replies = dict[int, Judgements | None]


def frames(said: list[tuple[int, str, Judgements]], lists: list[int]) -> AnnotationFrames:
    """Annotations with all marked entries in one pattern."""
    rows = [(number, shown, who) for number, (shown, who, _) in enumerate(said)]
    members = [
        (number, 1, rank, "semantic", False)
        for number, (_, _, marked) in enumerate(said)
        for rank, is_in in enumerate(marked, start=1)
        if is_in
    ]
    columns = ["annotation_id", "pattern", "rank", "category", "stopwords"]
    shown = [(one, "toy", "value", 0, ENTRIES) for one in lists]
    return AnnotationFrames(
        pd.DataFrame(shown, columns=["list_id", "model", "kind", "layer", "length"]),
        pd.DataFrame(rows, columns=["annotation_id", "list_id", "annotator"]),
        pd.DataFrame(members, columns=columns).astype({"stopwords": bool}),
    )


def compared(people: Lists, machine: Replies) -> Comparisons:
    lists = sorted({*people, *machine})
    said = [(one, who, own) for one in people for who, own in people[one].items()]
    replied = [(one, NAME, own) for one, own in machine.items() if own is not None]
    first, second = (
        measure_agreement(frames(rows, lists), min_tokens=1).annotations[None]
        for rows in (said, replied)
    )
    return compare(first, second, [one for one, own in machine.items() if own is None])


def tables(people: Lists, machine: Replies, *, crowd: bool = False):
    found = compared(people, machine)
    return (
        table_of(alternative_annotator_rows(NAME, found, crowd=crowd), TEST_COLUMNS),
        table_of(person_rows(NAME, found, crowd=crowd), PEOPLE_COLUMNS),
    )


def noisy(generator, truth, error: float) -> Judgements:
    return tuple(bool(one) for one in truth ^ (generator.random(len(truth)) < error))


def study(seed: int, *, lists: int = 80, people: int = 4, share: float = 0.85):
    """People and a machine who see one truth, each with errors of their own."""
    generator = np.random.default_rng(seed)
    errors = generator.uniform(0.02, 0.4, people + 1)
    found: Lists = {}
    machine: Replies = {}
    for number in range(lists):
        truth = generator.random(ENTRIES) < 0.4
        found[number] = {
            f"p{who}": noisy(generator, truth, errors[who])
            for who in range(people)
            if generator.random() < share
        }
        chance = generator.random()
        if chance < 0.9:
            machine[number] = None if chance < 0.08 else noisy(generator, truth, errors[-1])
    return found, machine


@pytest.mark.parametrize("seed", range(12))
def test_every_number_is_that_of_the_second_implementation(seed):
    people, machine = study(seed, lists=50 + 5 * seed, people=3 + seed % 4, share=0.6 + seed / 30)
    test, persons = tables(people, machine, crowd=bool(seed % 2))
    for epsilon in EPSILONS:
        wanted = alternative_annotator_test(people, machine, epsilon=epsilon)
        rows = test[(test["epsilon"] == epsilon) & (test["undefined"] == "")]
        if not wanted.people:
            assert rows.empty
            continue
        row = rows.iloc[0]
        assert row["winning_rate"] == pytest.approx(float(wanted.rate), abs=1e-12)
        assert row["advantage"] == pytest.approx(float(wanted.advantage), abs=1e-12)
        assert row["passed"] == ("yes" if wanted.rate >= 0.5 else "no")
        assert (row["people_tested"], row["people_left_out"]) == (
            len(wanted.people), len(wanted.left_out),
        )  # fmt: skip
        assert row["people_beaten"] == sum(one.beaten for one in wanted.people.values())
        assert (row["lists"], row["failed"]) == (wanted.lists, wanted.failed)
    assert_people(persons, alternative_annotator_test(people, machine, epsilon=default(seed)))


def default(seed: int) -> float:
    return 0.1 if seed % 2 else 0.2


def assert_people(table: pd.DataFrame, wanted: Outcome) -> None:
    rows = table.set_index("person")
    assert set(rows.index) == {*wanted.people, *wanted.left_out}
    assert (rows.loc[list(wanted.left_out), "beaten"] == "undefined").all()
    assert rows.loc[list(wanted.left_out), "p"].isna().all()
    for who, one in wanted.people.items():
        row = rows.loc[who]
        near = pytest.approx(
            [float(one.machine), float(one.person), float(one.person - one.machine), one.p,
             one.adjusted],
            abs=1e-12,
        )  # fmt: skip
        names = ["advantage", "person_advantage", "difference", "p", "p_adjusted"]
        assert row[names].tolist() == near
        assert (row["lists"], row["failed"], row["undefined"]) == (one.lists, one.failed, "")
        assert row["beaten"] == ("yes" if one.beaten else "no")


def test_the_studies_hold_people_who_are_tested_and_people_who_are_not():
    found = [
        alternative_annotator_test(
            *study(seed, lists=50 + 5 * seed, people=3 + seed % 4, share=0.6 + seed / 30),
            epsilon=default(seed),
        )
        for seed in range(12)
    ]
    assert any(one.left_out for one in found)
    assert any(not one.people for one in found)
    beaten = [one.beaten for outcome in found for one in outcome.people.values()]
    assert set(beaten) == {True, False}
    assert sum(one.failed for outcome in found for one in outcome.people.values()) > 30


def people_alike(seed: int, people: int = 4, lists: int = 60) -> tuple[Lists, list[Judgements]]:
    """People with equal errors, and the truth of each list."""
    generator = np.random.default_rng(seed)
    truths = [generator.random(ENTRIES) < 0.4 for _ in range(lists)]
    found = {
        number: {f"p{who}": noisy(generator, truth, 0.1) for who in range(people)}
        for number, truth in enumerate(truths)
    }
    return found, truths


@pytest.mark.parametrize("crowd", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_bad_annotator_is_rejected(seed, crowd):
    """A machine that marks by lot passes at no ε."""
    people, truths = people_alike(seed)
    generator = np.random.default_rng(100 + seed)
    machine = {n: tuple(map(bool, generator.random(ENTRIES) < 0.4)) for n in range(len(truths))}
    test, persons = tables(people, machine, crowd=crowd)
    assert set(test["passed"]) == {"no"}
    assert set(test["winning_rate"]) == {0}
    assert (persons["beaten"] == "no").all()


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_good_annotator_passes(seed):
    """A machine that makes no error passes, also among experts without a margin."""
    people, truths = people_alike(seed)
    test, persons = tables(people, {n: tuple(map(bool, one)) for n, one in enumerate(truths)})
    assert set(test["passed"]) == {"yes"}
    assert set(test["winning_rate"]) == {1}
    assert (persons["p_adjusted"] < 1e-3).all()


def test_failed_replies_are_wins_of_people_and_not_left_out():
    people, truths = people_alike(0)
    machine: Replies = {n: tuple(map(bool, one)) for n, one in enumerate(truths)}
    before, _ = tables(people, machine)
    some = machine | dict.fromkeys(range(45))
    test, persons = tables(people, some)
    assert set(before["passed"]) == {"yes"}
    assert set(test["passed"]) == {"no"}
    assert (test["lists"] == 60).all()
    assert (test["failed"] == 45).all()
    assert (persons["failed"] == 45).all()
    assert (persons["advantage"] <= 0.25).all()


def test_a_machine_whose_replies_all_failed_beats_nobody():
    people, truths = people_alike(0)
    test, persons = tables(people, dict.fromkeys(range(len(truths))))
    assert set(test["passed"]) == {"no"}
    assert set(test["advantage"]) == {0}
    assert (persons["p"] == 1).all()  # without variance: the limit


def test_equal_differences_everywhere_have_the_limit_as_p():
    """A machine that repeats a person is never ahead of this person, nor behind."""
    people, _ = people_alike(1)
    machine = {number: said["p0"] for number, said in people.items()}
    found = compared(people, machine)
    assert found.p_values(0.05)[0] == 0
    assert found.p_values(0)[0] == 1
    assert found.difference[0] == 0
    _, persons = tables(people, machine)
    row = persons.set_index("person").loc["p0"]
    assert (row["advantage"], row["person_advantage"], row["p"]) == (1, 1, 0)


def test_rows_name_the_default_of_experts_and_of_a_crowd():
    people, truths = people_alike(2)
    machine = {n: tuple(map(bool, one)) for n, one in enumerate(truths)}
    for crowd, epsilon in ((False, 0.2), (True, 0.1)):
        test, persons = tables(people, machine, crowd=crowd)
        assert test["epsilon"].tolist() == list(EPSILONS)
        assert test.loc[test["default"] == "yes", "epsilon"].tolist() == [epsilon]
        assert set(persons["epsilon"]) == {epsilon}


def test_what_cannot_be_tested_says_why_in_one_row():
    people, truths = people_alike(3)
    machine = {n: tuple(map(bool, one)) for n, one in enumerate(truths)}
    two = {n: {who: said[who] for who in ("p0", "p1")} for n, said in people.items()}
    short = {n: said for n, said in people.items() if n < 29}
    for of_people, of_machine, why in (
        (two, machine, tested.FEW_PEOPLE),
        (short, machine, tested.FEW_LISTS),
        (people, {}, tested.NOT_ASKED),
        (people, {n: said for n, said in machine.items() if n < 29}, tested.FEW_LISTS),
    ):
        test, persons = tables(of_people, of_machine)
        (row,) = test.to_dict("records")
        assert (row["undefined"], row["passed"], row["default"]) == (why, "undefined", "yes")
        assert np.isnan(row["winning_rate"])
        assert (row["people_tested"], row["people_left_out"]) == (0, len(persons))
        assert (persons["beaten"] == "undefined").all()
        assert (persons["undefined"] == tested.FEW_OF_PERSON).all()


def test_a_person_with_few_lists_is_left_out_and_counted():
    people, truths = people_alike(4)
    few = {n: {w: own for w, own in said.items() if w != "p3" or n < 29} for n, said in
           people.items()}  # fmt: skip
    test, persons = tables(few, {n: tuple(map(bool, one)) for n, one in enumerate(truths)})
    assert (test["people_left_out"] == 1).all()
    assert (test["people_tested"] == 3).all()
    assert test["warning"].unique().tolist() == [
        "1 person is left out: fewer than 30 lists with two others and this machine annotator"
    ]
    assert persons.set_index("person").loc["p3", "undefined"] == tested.FEW_OF_PERSON


def test_a_winning_rate_of_few_people_has_a_warning():
    people, truths = people_alike(5)
    # p0 has 36 lists, the two others of each are 24 lists' each.
    pairs = (("p1", "p2"), ("p2", "p3"), ("p1", "p3"))
    for number in range(60):
        kept = {"p0", *pairs[number % 3]} if number < 36 else {"p1"}
        people[number] = {who: own for who, own in people[number].items() if who in kept}
    test, _ = tables(people, {n: tuple(map(bool, one)) for n, one in enumerate(truths)})
    assert (test["people_tested"] == 1).all()
    assert test["warning"].str.startswith(tested.FEW_TESTED).all()


def test_adjusted_p_values_keep_their_order_and_their_gaps():
    p = np.array([0.04, np.nan, 0.001, 0.02, 0.9])
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    found = benjamini_yekutieli(p)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(0.001 * 4 * harmonic)
    assert found[3] == pytest.approx(0.02 * 2 * harmonic)
    assert found[0] == pytest.approx(0.04 * 4 / 3 * harmonic)
    assert found[4] == 1
    assert len(benjamini_yekutieli(np.array([]))) == 0
