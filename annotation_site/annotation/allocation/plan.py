"""Allocation plan: people's lists as a pure function of the study's seed. No database.

Written up front, once. When places become free (a skip, an ended lease, a person who leaves) the
same function runs again over the free places only, so what exists is never moved.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ListToJudge:
    """A list with the attributes that allocation balances; annotators see none of them."""

    id: int
    kind: str
    layer: int


@dataclass(frozen=True)
class Existing:
    """Earlier allocations.

    `had` holds every (person, list) that ever was assigned, so that nobody gets a list twice.
    `live` counts the places of a list that are held by waiting, open or submitted answers.
    """

    had: frozenset[tuple[int, int]] = frozenset()
    live: Mapping[int, int] = field(default_factory=dict)
    load: Mapping[int, int] = field(default_factory=dict)
    most: Mapping[int, int] = field(default_factory=dict)  # of the people with a cap of lists


def allocate(
    *,
    lists: Sequence[ListToJudge],
    people: Sequence[int],
    per_list: int,
    seed: int,
    order_key: str,
    existing: Existing = Existing(),
) -> dict[int, list[int]]:
    """Allocate every list's free slots to different people; return each person's order.

    Parameters
    ----------
    lists, people : the study's lists and its annotators' ids.
    per_list : how many different people judge each list (k).
    seed : the study's; the same arguments give the same allocation, in any process.
    order_key : a secret of the study. The order depends on it, so that nobody who knows this
        function can work out from an order where its lists come from.
    existing : what earlier calls gave out.

    Returns
    -------
    Person id → list ids in the order to judge them, new ones only. Loads differ by at most one
    where nothing was allocated before and per_list ≤ len(people); kinds and layers are spread
    over people as evenly. Places that nobody can take (too few people) stay free.
    """
    rng = random.Random(f"allocation:{seed}")  # noqa: S311 (not a secret: reproducible)  # nosec B311
    load = Counter({person: existing.load.get(person, 0) for person in people})
    by_stratum: Counter[tuple[int, str, int | None]] = Counter()
    given: dict[int, list[ListToJudge]] = {person: [] for person in people}
    for item in _by_stratum(lists, rng):
        free = per_list - existing.live.get(item.id, 0)
        candidates = [
            p
            for p in sorted(people)
            if (p, item.id) not in existing.had and load[p] < existing.most.get(p, load[p] + 1)
        ]
        rng.shuffle(candidates)  # ties fall differently each time, so all pairs of people meet
        candidates.sort(
            key=lambda p, item=item: (  # type: ignore[misc]
                load[p],
                by_stratum[p, item.kind, None],
                by_stratum[p, item.kind, item.layer],
            )
        )
        for person in candidates[: max(free, 0)]:
            given[person].append(item)
            load[person] += 1
            by_stratum[person, item.kind, None] += 1
            by_stratum[person, item.kind, item.layer] += 1
    return {
        person: [item.id for item in own_order(items, random.Random(f"order:{order_key}:{person}"))]  # noqa: S311 (an order)  # nosec B311
        for person, items in given.items()
    }


def own_order(items: Sequence[ListToJudge], rng: random.Random) -> list[ListToJudge]:
    """A uniformly random order.

    Kinds are deliberately not balanced within stretches of it: then a person who recognises one
    list would learn something about its neighbours.
    """
    order = sorted(items, key=lambda item: item.id)
    rng.shuffle(order)
    return order


TRAINING, ANNOTATION, REFERENCE, REPEAT = "training", "annotation", "reference", "repeat"
REPEAT_AFTER = 5  # lists; sooner, people would remember what they said rather than judge again


def queue_compose(
    *,
    lists: Sequence[int],
    rng: random.Random,
    training: Sequence[int] = (),
    references: Sequence[int] = (),
    repeats: int = 0,
    earlier: Mapping[int, int] | None = None,
) -> list[tuple[int, str]]:
    """Additions to one person's queue: (list id, purpose) in order.

    Parameters
    ----------
    lists : new lists of the study, in the person's own order.
    rng : decides where references and repeats stand, and which lists are repeated.
    training : comes first, the same for everybody.
    references : silent reference lists, at uniformly random positions among `lists`.
    repeats : how many lists to show a second time, of `lists` and `earlier`.
    earlier : lists that the person has already and that may be repeated, each with the number of
        lists that follow it in the queue so far.

    Returns
    -------
    Repeats stand at least `REPEAT_AFTER` positions after their first showing or, where the queue
    is too short for that, at its end. No list is repeated twice; where fewer lists than `repeats`
    are there, there are fewer repeats.
    """
    queue = [(item, ANNOTATION) for item in lists]
    for item in references:
        queue.insert(rng.randint(0, len(queue)), (item, REFERENCE))
    # Before 0: lists that stand in the queue already.
    place = {item: -1 - after for item, after in (earlier or {}).items()}
    place |= {item: n for n, (item, purpose) in enumerate(queue) if purpose == ANNOTATION}
    for item in _to_repeat(place, repeats, len(queue), rng):
        if item in lists:
            place[item] = queue.index((item, ANNOTATION))  # where insertions have moved it
        soonest = max(place[item] + REPEAT_AFTER, 0)
        at = rng.randint(soonest, len(queue)) if soonest <= len(queue) else len(queue)
        queue.insert(at, (item, REPEAT))
    return [(item, TRAINING) for item in training] + queue


def _to_repeat(
    place: Mapping[int, int], repeats: int, length: int, rng: random.Random
) -> list[int]:
    """Which lists to repeat: a random choice of those far enough from the end, if they suffice."""
    far = sorted(item for item, n in place.items() if n + REPEAT_AFTER <= length)
    near = sorted((item for item, n in place.items() if n + REPEAT_AFTER > length), key=place.get)  # type: ignore[arg-type]
    return (rng.sample(far, len(far)) + near)[: max(repeats, 0)]


def repeats_due(lists: int, percent: int, had: int) -> int:
    """Number of further repeats for a person with so many lists; half a list rounds up."""
    return max((lists * percent + 50) // 100 - had, 0)


def _by_stratum(lists: Sequence[ListToJudge], rng: random.Random) -> list[ListToJudge]:
    """Lists in random order within (kind, layer), strata in a fixed order."""
    keyed = [
        (item.kind, item.layer, rng.random(), item.id, item)
        for item in sorted(lists, key=lambda item: item.id)
    ]
    return [entry[-1] for entry in sorted(keyed, key=lambda entry: entry[:4])]
