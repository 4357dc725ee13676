"""Allocation is a pure, seeded function: balanced, complete, never the same list twice."""

import random
from collections import Counter
from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from annotation_site.annotation.allocation.plan import (
    ANNOTATION,
    REFERENCE,
    REPEAT,
    REPEAT_AFTER,
    TRAINING,
    Existing,
    ListToJudge,
    allocate,
    own_order,
    queue_compose,
    repeats_due,
)

KINDS = ("value", "random", "update")


def some_lists(per_stratum: int, layers: int = 3) -> list[ListToJudge]:
    strata = [(kind, layer) for kind in KINDS for layer in range(layers)]
    return [ListToJudge(i, *strata[i % len(strata)]) for i in range(per_stratum * len(strata))]


@given(
    per_stratum=st.integers(1, 5),
    people=st.integers(1, 7),
    per_list=st.integers(1, 7),
    seed=st.integers(0, 100),
)
def test_every_list_goes_to_k_different_people_and_loads_differ_by_at_most_one(
    per_stratum, people, per_list, seed
):
    lists = some_lists(per_stratum)
    per_list = min(per_list, people)
    orders = allocate(
        lists=lists, people=range(people), per_list=per_list, order_key="secret", seed=seed
    )
    times = Counter(i for order in orders.values() for i in order)
    assert times == {item.id: per_list for item in lists}
    assert all(len(set(order)) == len(order) for order in orders.values())
    loads = [len(order) for order in orders.values()]
    assert max(loads) - min(loads) <= 1


def test_the_same_seed_gives_the_same_allocation_and_another_seed_another():
    lists = some_lists(4)
    first = allocate(lists=lists, people=[1, 2, 3], per_list=2, order_key="secret", seed=1)
    assert (
        allocate(lists=lists[::-1], people=[3, 2, 1], per_list=2, order_key="secret", seed=1)
        == first
    )
    assert allocate(lists=lists, people=[1, 2, 3], per_list=2, order_key="secret", seed=2) != first


def test_people_see_lists_in_different_orders():
    orders = allocate(lists=some_lists(5), people=[1, 2], per_list=2, order_key="secret", seed=0)
    assert sorted(orders[1]) == sorted(orders[2])
    assert orders[1] != orders[2]


def test_kinds_are_spread_evenly_over_people():
    lists = some_lists(8)
    kind_of = {item.id: item.kind for item in lists}
    orders = allocate(lists=lists, people=[1, 2, 3, 4], per_list=2, order_key="secret", seed=0)
    for kind in KINDS:
        counts = [sum(kind_of[i] == kind for i in order) for order in orders.values()]
        assert max(counts) - min(counts) <= 2


def test_a_list_tells_nothing_about_the_kind_of_the_next():
    lists = some_lists(60, layers=1)
    followed = Counter()
    for seed in range(100):
        order = own_order(lists, random.Random(seed))
        followed.update((a.kind, b.kind) for a, b in pairwise(order))
    total = sum(followed.values())
    for pair in product(KINDS, repeat=2):
        assert abs(followed[pair] / total - 1 / 9) < 0.01, pair


def test_topping_up_gives_out_free_places_only_and_nobody_gets_a_list_twice():
    lists = some_lists(2)
    first = allocate(lists=lists, people=[1, 2], per_list=2, order_key="secret", seed=0)
    had = {(person, i) for person, order in first.items() for i in order}
    freed = lists[0].id
    existing = Existing(
        had=frozenset(had),
        live={item.id: 2 - (item.id == freed) for item in lists},
        load={1: len(first[1]), 2: len(first[2])},
    )
    again = allocate(
        lists=lists, people=[1, 2, 3], per_list=2, order_key="secret", seed=0, existing=existing
    )
    assert again == {1: [], 2: [], 3: [freed]}


def test_places_that_nobody_can_take_stay_free():
    lists = some_lists(1)
    had = frozenset((1, item.id) for item in lists)
    existing = Existing(had=had, live={item.id: 0 for item in lists})
    assert allocate(
        lists=lists, people=[1], per_list=1, order_key="secret", seed=0, existing=existing
    ) == {1: []}


def test_an_order_cannot_be_worked_out_without_the_studys_secret():
    lists = some_lists(5)
    one, other = (
        allocate(lists=lists, people=[1, 2], per_list=2, order_key=key, seed=0)
        for key in ("secret", "another")
    )
    assert [sorted(order) for order in one.values()] == [sorted(o) for o in other.values()]
    assert one != other


# What stands between a person's lists


@given(
    lists=st.integers(0, 40),
    references=st.integers(0, 6),
    training=st.integers(0, 3),
    percent=st.integers(0, 100),
    seed=st.integers(0, 1000),
)
def test_a_queue_holds_everything_once_and_repeats_come_after_their_lists(
    lists, references, training, percent, seed
):
    own = list(range(lists))
    random.Random(seed).shuffle(own)
    due = repeats_due(lists, percent, 0)
    queue = queue_compose(
        lists=own,
        rng=random.Random(seed),
        training=range(1000, 1000 + training),
        references=range(100, 100 + references),
        repeats=due,
    )
    by_purpose = {purpose: [i for i, of in queue if of == purpose] for _, purpose in queue}
    assert by_purpose.get(ANNOTATION, []) == own  # in the person's own order
    assert sorted(by_purpose.get(REFERENCE, [])) == list(range(100, 100 + references))
    assert [of for _, of in queue[:training]] == [TRAINING] * training
    assert len(queue) == lists + references + training + due
    repeated = by_purpose.get(REPEAT, [])
    assert len(set(repeated)) == len(repeated) == due
    for at, (item, of) in enumerate(queue):
        if of == REPEAT:
            distance = at - queue.index((item, ANNOTATION))
            at_the_end = all(later == REPEAT for _, later in queue[at:])
            assert distance >= REPEAT_AFTER or (distance > 0 and at_the_end)


@given(
    before=st.integers(0, 12),
    repeated=st.integers(0, 4),
    new=st.integers(0, 8),
    due=st.integers(0, 6),
    seed=st.integers(0, 100),
)
def test_lists_from_before_are_repeated_no_sooner_than_new_ones(before, repeated, new, due, seed):
    earlier = {n: before - 1 - n for n in range(repeated, before)}  # list n stands at place n
    own = list(range(100, 100 + new))
    queue = queue_compose(lists=own, rng=random.Random(seed), repeats=due, earlier=earlier)
    whole = [(n, ANNOTATION) for n in range(before)] + queue
    assert sum(of == REPEAT for _, of in queue) == min(due, len(earlier) + new)
    for at, (item, of) in enumerate(whole):
        if of == REPEAT:
            assert item in earlier or item in own
            distance = at - whole.index((item, ANNOTATION))
            at_the_end = all(later == REPEAT for _, later in whole[at:])
            assert distance >= REPEAT_AFTER or (distance > 0 and at_the_end)


@given(sizes=st.lists(st.integers(0, 9), max_size=8), percent=st.integers(0, 100))
def test_topping_up_bit_by_bit_ends_with_the_share_of_repeats_that_was_asked_for(sizes, percent):
    lists = had = 0
    for size in sizes:
        lists += size
        had += repeats_due(lists, percent, had)
    assert abs(had - lists * percent / 100) <= 0.5


def test_references_and_repeats_stand_anywhere_in_a_queue():
    places = Counter()
    for seed in range(600):
        queue = queue_compose(lists=range(9), rng=random.Random(seed), references=[100], repeats=1)
        places[queue.index((100, REFERENCE))] += 1
    assert set(places) == set(range(11))
    # Uniform over the ten places between nine lists, but for the repeat that moves some by one.
    assert all(20 < places[n] < 110 for n in range(10))


def test_where_references_and_repeats_stand_follows_from_the_seed():
    def queue(seed):
        return queue_compose(
            lists=range(30), rng=random.Random(seed), references=[100, 101], repeats=5
        )

    assert queue(1) == queue(1) != queue(2)
