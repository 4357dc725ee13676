"""Sharing is a pure, seeded function: even, complete, never the same list twice, few moves."""

import random
import subprocess
import sys
import time
from collections import Counter
from itertools import combinations, pairwise, product

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from annotation_site.annotation.allocation.plan import (
    ANNOTATION,
    REFERENCE,
    REPEAT,
    REPEAT_AFTER,
    Given,
    ListToJudge,
    Queue,
    order_rank,
    own_order,
    queue_compose,
    repeats_due,
    share,
    trim,
)

KINDS = ("value", "random", "update")


def some_lists(per_stratum: int, layers: int = 3) -> list[ListToJudge]:
    strata = [(kind, layer) for kind in KINDS for layer in range(layers)]
    return [ListToJudge(i, *strata[i % len(strata)]) for i in range(per_stratum * len(strata))]


def sizes(shares: dict[int, set[int]]) -> list[int]:
    return [len(own) for own in shares.values()]


@for_all(
    per_stratum=st.integers(1, 5),
    people=st.integers(1, 7),
    per_list=st.integers(1, 7),
    seed=st.integers(0, 100),
)
def test_every_list_goes_to_k_different_people_and_shares_differ_by_at_most_one(
    per_stratum, people, per_list, seed
):
    lists = some_lists(per_stratum)
    shares = share(lists=lists, people=range(people), per_list=per_list, seed=seed)
    times = Counter(i for own in shares.values() for i in own)
    assert times == {item.id: min(per_list, people) for item in lists}
    assert max(sizes(shares)) - min(sizes(shares)) <= 1


def best_by_brute_force(lists: list[int], people: list[int], k: int, given: Given) -> list[int]:
    """Remaining lists of everybody, sorted, in the best of all ways to give slots out."""
    had = Counter(person for person, _ in given.had)
    ways = []
    for item in lists:
        able = [person for person in people if (person, item) not in given.had]
        free = min(max(k - given.held.get(item, 0), 0), len(able))
        ways.append([chosen for n in range(free + 1) for chosen in combinations(able, n)])
    best: tuple[tuple[int, int], list[int]] | None = None
    for way in product(*ways):
        load = Counter(person for chosen in way for person in chosen)
        if any(load[p] > max(given.most.get(p, 99) - had[p], 0) for p in people):
            continue
        left = sorted(load[p] + given.begun.get(p, 0) for p in people)
        found = (-load.total(), sum(n * n for n in left)), left
        best = min(best, found) if best else found
    assert best is not None
    return best[1]


@st.composite
def situations(draw):
    lists = list(range(10, 10 + draw(st.integers(1, 4))))
    people = list(range(draw(st.integers(1, 4))))
    pairs = st.sets(st.sampled_from(list(product(people, lists))))
    waiting = draw(pairs)
    given = Given(
        had=draw(pairs),
        held=draw(st.dictionaries(st.sampled_from(lists), st.integers(0, 2))),
        waiting={p: {i for q, i in waiting if q == p} for p in people},
        begun=draw(st.dictionaries(st.sampled_from(people), st.integers(0, 3))),
        most=draw(st.dictionaries(st.sampled_from(people), st.integers(0, 4))),
    )
    return lists, people, draw(st.integers(1, 3)), given


@for_all(situation=situations(), seed=st.integers(0, 100))
def test_shares_are_as_even_as_k_earlier_work_and_caps_allow(situation, seed):
    lists, people, k, given = situation
    judged = [ListToJudge(i, "value", i % 2) for i in lists]
    shares = share(lists=judged, people=people, per_list=k, seed=seed, given=given)
    had = Counter(person for person, _ in given.had)
    assert not {(p, i) for p, own in shares.items() for i in own} & set(given.had)
    times = Counter(i for own in shares.values() for i in own)
    assert all(times[i] <= max(k - given.held.get(i, 0), 0) for i in lists)
    for person, most in given.most.items():
        assert len(shares[person]) <= max(most - had[person], 0)
    left = sorted(len(own) + given.begun.get(p, 0) for p, own in shares.items())
    assert left == best_by_brute_force(lists, people, k, given)


@for_all(situation=situations())
def test_sharing_again_moves_nothing(situation):
    lists, people, k, given = situation
    judged = [ListToJudge(i, "value", i % 2) for i in lists]
    once = share(lists=judged, people=people, per_list=k, seed=1, given=given)
    now = Given(given.had, given.held, once, given.begun, given.most)
    assert share(lists=judged, people=people, per_list=k, seed=1, given=now) == once
    assert trim(lists=judged, people=people, per_list=k, seed=1, given=now) == once


@for_all(
    people=st.integers(1, 8), per_list=st.integers(1, 4), seed=st.integers(0, 50),
    per_stratum=st.integers(1, 4),
)  # fmt: skip
def test_a_newcomer_takes_a_fair_share_and_nothing_else_moves(people, per_list, seed, per_stratum):
    lists = some_lists(per_stratum)
    before = share(lists=lists, people=range(people), per_list=per_list, seed=seed)
    after = share(
        lists=lists, people=range(people + 1), per_list=per_list, seed=seed,
        given=Given(waiting=before),
    )  # fmt: skip
    assert all(after[person] <= own for person, own in before.items())
    assert max(sizes(after)) - min(sizes(after)) <= 1
    assert after[people]


def test_the_lists_of_somebody_who_leaves_go_to_the_others_who_keep_theirs():
    lists = some_lists(4)
    before = share(lists=lists, people=range(4), per_list=2, seed=0)
    after = share(lists=lists, people=[1, 2, 3], per_list=2, seed=0, given=Given(waiting=before))
    assert all(after[person] >= before[person] for person in after)
    assert sum(sizes(after)) == 2 * len(lists)
    assert max(sizes(after)) - min(sizes(after)) <= 1


def test_a_person_with_a_cap_gets_no_more_and_others_get_the_rest():
    lists = some_lists(2)
    given = Given(had=[(0, 0), (0, 1)], most={0: 5})
    shares = share(lists=lists, people=range(4), per_list=2, seed=0, given=given)
    assert len(shares[0]) == 3
    assert sum(sizes(shares)) == 2 * len(lists)
    assert sorted(sizes(shares)) == [3, 11, 11, 11]


def test_a_slot_that_only_somebody_at_their_cap_can_take_is_given_through_others():
    lists = [ListToJudge(1, "value", 0), ListToJudge(2, "value", 0)]
    given = Given(had=[(1, 2)], waiting={0: {1}}, most={0: 1})
    assert share(lists=lists, people=[0, 1], per_list=1, seed=0, given=given) == {0: {2}, 1: {1}}


def test_the_same_seed_gives_the_same_shares_in_any_process_and_another_seed_others():
    lists = some_lists(4)
    first = share(lists=lists, people=[1, 2, 3], per_list=2, seed=1)
    assert share(lists=lists[::-1], people=[3, 2, 1], per_list=2, seed=1) == first
    assert share(lists=lists, people=[1, 2, 3], per_list=2, seed=2) != first
    code = (
        "from annotation_site.annotation.allocation.plan import ListToJudge, order_rank, share;"
        f"lists = [ListToJudge(*one) for one in {[(i.id, i.kind, i.layer) for i in lists]!r}];"
        "print(share(lists=lists, people=[1, 2, 3], per_list=2, seed=1));"
        "print(order_rank('secret', 7, 8))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert told == [str(first), str(order_rank("secret", 7, 8))]


def test_kinds_and_layers_are_spread_evenly_over_people_and_to_a_newcomer():
    lists = some_lists(8)
    of = {item.id: (item.kind, item.layer) for item in lists}
    shares = share(lists=lists, people=[1, 2, 3, 4], per_list=2, seed=0)
    after = share(
        lists=lists, people=[1, 2, 3, 4, 5], per_list=2, seed=0, given=Given(waiting=shares)
    )
    for found in (shares, after):
        for kind in KINDS:
            counts = [sum(of[i][0] == kind for i in own) for own in found.values()]
            assert max(counts) - min(counts) <= 2
        for stratum in set(of.values()):
            counts = [sum(of[i] == stratum for i in own) for own in found.values()]
            assert max(counts) - min(counts) <= 3


def test_all_pairs_of_people_meet():
    shares = share(lists=some_lists(10), people=range(5), per_list=2, seed=0)
    together = [len(shares[a] & shares[b]) for a, b in combinations(range(5), 2)]
    assert min(together) >= 3


def test_slots_that_nobody_can_take_stay_free():
    lists = some_lists(1)
    given = Given(had=[(1, item.id) for item in lists])
    assert share(lists=lists, people=[1], per_list=1, seed=0, given=given) == {1: set()}


@pytest.mark.long
def test_20000_lists_are_shared_among_50_people_within_two_seconds():
    lists = some_lists(556, layers=12)
    assert len(lists) > 20_000
    for people in (range(50), range(51), range(1, 51)):
        before = share(lists=lists, people=range(50), per_list=2, seed=0)
        start = time.process_time()
        share(lists=lists, people=people, per_list=2, seed=0, given=Given(waiting=before))
        assert time.process_time() - start < 2


# A person's order


def test_people_see_lists_in_different_orders_that_need_the_studys_secret():
    lists = range(30)
    orders = [
        own_order(lists, order_key=key, person=person)
        for key in ("secret", "another")
        for person in (1, 2)
    ]
    assert all(sorted(order) == list(lists) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_a_list_tells_nothing_about_the_kind_of_the_next():
    lists = some_lists(60, layers=1)
    kind_of = {item.id: item.kind for item in lists}
    followed = Counter()
    for person in range(100):
        order = own_order(list(kind_of), order_key="secret", person=person)
        followed.update((kind_of[a], kind_of[b]) for a, b in pairwise(order))
    total = sum(followed.values())
    for pair in product(KINDS, repeat=2):
        assert abs(followed[pair] / total - 1 / 9) < 0.01, pair


@for_all(
    kept=st.sets(st.integers(0, 40), min_size=1), other=st.sets(st.integers(50, 90)),
    at=st.integers(0, 39),
)  # fmt: skip
def test_what_comes_and_goes_leaves_the_order_of_the_rest(kept, other, at):
    key = {"order_key": "secret", "person": 1, "after": at}
    alone = own_order(kept, **key)
    together = own_order(kept | other, **key)
    assert [item for item in together if item in kept] == alone
    # And as the person goes on, what is left stays as it was.
    assert own_order(kept - {alone[0]}, **(key | {"after": alone[0]})) == alone[1:]


# What stands between a person's lists


def queue_of(opened=(), waiting=(), live=()):
    return Queue(opened=opened, waiting=waiting, live=live)


def check_repeats(whole, began=0):
    """Repeats come after their lists, far enough or at the end; none stands twice."""
    repeated = [item for item, of in whole if of == REPEAT]
    assert len(set(repeated)) == len(repeated)
    for at, (item, of) in enumerate(whole):
        if of == REPEAT and at >= began:
            distance = at - whole.index((item, ANNOTATION))
            at_the_end = all(later == REPEAT for _, later in whole[at:])
            assert distance >= REPEAT_AFTER or (distance > 0 and at_the_end)


@for_all(
    lists=st.integers(0, 40), references=st.integers(0, 6), percent=st.integers(0, 100),
    person=st.integers(0, 1000),
)  # fmt: skip
def test_a_queue_holds_everything_once_and_repeats_come_after_their_lists(
    lists, references, percent, person
):
    order = [(n, ANNOTATION) for n in range(lists)]
    order += [(n, REFERENCE) for n in range(100, 100 + references)]
    random.Random(person).shuffle(order)
    due = repeats_due(lists, percent, 0)
    queue = queue_compose(queue=queue_of(), order=order, due=due, order_key="secret", person=person)
    assert [entry for entry in queue if entry[1] != REPEAT] == order
    assert sum(of == REPEAT for _, of in queue) == due
    check_repeats(queue)


@settings(max_examples=50)
@for_all(
    opened=st.integers(0, 12), before=st.integers(0, 12), gone=st.sets(st.integers(0, 30)),
    new=st.integers(0, 8), due=st.integers(0, 8), person=st.integers(0, 100),
)  # fmt: skip
def test_repeats_stay_where_they_are_as_lists_come_and_go(opened, before, gone, new, due, person):
    done = [(n, ANNOTATION) for n in range(opened)]
    live = [n for n in range(opened) if n not in gone]  # the others were skipped
    order = [(n, ANNOTATION) for n in range(opened, opened + before)]
    how = {"order_key": "secret", "person": person}
    first = queue_compose(
        queue=queue_of(done, live=range(opened)), order=order, due=min(due, 4), **how
    )
    check_repeats(done + first, opened)
    left = [entry for entry in order if entry[0] not in gone]
    left += [(n, ANNOTATION) for n in range(100, 100 + new)]
    second = queue_compose(queue=queue_of(done, first, live), order=left, due=due, **how)
    check_repeats(done + second, opened)
    assert [entry for entry in second if entry[1] != REPEAT] == left
    own = {n for n, _ in left} | set(live)
    repeats = [item for item, of in second if of == REPEAT]
    assert set(repeats) <= own
    assert len(repeats) == min(due, len(own))
    assert queue_compose(queue=queue_of(done, second, live), order=left, due=due, **how) == second


@for_all(numbers=st.lists(st.integers(0, 9), max_size=8), percent=st.integers(0, 100))
def test_topping_up_bit_by_bit_ends_with_the_share_of_repeats_that_was_asked_for(numbers, percent):
    lists = had = 0
    for size in numbers:
        lists += size
        had += repeats_due(lists, percent, had)
    assert abs(had - lists * percent / 100) <= 0.5


def test_a_repeat_stands_anywhere_behind_its_list():
    places = Counter()
    order = [(n, ANNOTATION) for n in range(9)]
    for person in range(900):
        queue = queue_compose(
            queue=queue_of(), order=order, due=1, order_key="secret", person=person
        )
        places[next(at for at, (_, of) in enumerate(queue) if of == REPEAT)] += 1
    assert set(places) == {5, 6, 7, 8, 9}
