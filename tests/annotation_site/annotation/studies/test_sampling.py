"""Which lists a study holds is a pure, seeded function: a growing beginning, ends for others."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from annotation_site.annotation.studies.sampling import Candidate, draw, sizes_drawn

STRATA = [(extraction, kind, layer) for extraction in (1, 2) for kind in "vr" for layer in (0, 1)]


def some_lists(sizes: list[int]) -> list[Candidate]:
    places = [stratum for stratum, size in zip(STRATA, sizes, strict=True) for _ in range(size)]
    return [Candidate(i, *stratum) for i, stratum in enumerate(places)]


def of_use(drawn: dict[int, str], use: str) -> set[int]:
    return {item for item, found in drawn.items() if found == use}


sizes = st.lists(st.integers(0, 9), min_size=len(STRATA), max_size=len(STRATA))
numbers = st.integers(0, 12)


@given(sizes=sizes, few=st.integers(1, 8), more=st.integers(0, 8), training=numbers, pilot=numbers)
def test_more_lists_later_are_those_that_a_larger_study_would_have_had(
    sizes, few, more, training, pilot
):
    arguments = {
        "candidates": some_lists(sizes),
        "others": {"training": training, "pilot": pilot},
        "seed": 7,
    }
    first = draw(**arguments, per_stratum=few)
    at_once = draw(**arguments, per_stratum=few + more)
    extended = draw(**{**arguments, "others": {}}, per_stratum=few + more, kept=first)
    assert extended == at_once
    assert first.items() <= at_once.items()


@given(sizes=sizes, per_stratum=st.integers(1, 9), others=st.integers(0, 40))
def test_the_number_of_lists_is_known_before_they_are_drawn(sizes, per_stratum, others):
    candidates = some_lists(sizes)
    drawn = draw(
        candidates=candidates, per_stratum=per_stratum, others={"training": others}, seed=3
    )
    known = sizes_drawn(
        sizes=Counter(candidate.stratum for candidate in candidates),
        per_stratum=per_stratum,
        others=others,
        seed=3,
    )
    study = Counter(c.stratum for c in candidates if drawn.get(c.id) == "study")
    assert {stratum: n for stratum, n in known.items() if n} == study
    assert len(of_use(drawn, "training")) == min(others, len(candidates))


def test_other_uses_take_turns_and_come_from_where_a_growing_study_arrives_last():
    candidates = some_lists([6] * len(STRATA))
    drawn = draw(candidates=candidates, per_stratum=2, others={"training": 8, "pilot": 4}, seed=1)
    trained = Counter(c.stratum for c in candidates if drawn.get(c.id) == "training")
    assert trained == dict.fromkeys(STRATA, 1)
    larger = draw(candidates=candidates, per_stratum=4, others={}, seed=1)
    assert not of_use(larger, "study") & (of_use(drawn, "training") | of_use(drawn, "pilot"))


def test_another_seed_draws_other_lists():
    candidates = some_lists([9] * len(STRATA))
    one, other = (
        draw(candidates=candidates, per_stratum=3, others={}, seed=seed) for seed in (1, 2)
    )
    assert one == draw(candidates=candidates[::-1], per_stratum=3, others={}, seed=1)
    assert one != other


def test_what_is_kept_counts_and_stays_what_it_is():
    candidates = some_lists([5] + [0] * (len(STRATA) - 1))
    drawn = draw(
        candidates=candidates,
        per_stratum=3,
        others={"training": 2},
        seed=0,
        kept={0: "training", 1: "study", 99: "training"},
    )
    assert drawn[0] == drawn[99] == "training"
    assert of_use(drawn, "training") == {0, 99}
    assert 1 in of_use(drawn, "study")
    assert len(of_use(drawn, "study")) == 3
