"""Who judges which list: a pure function of the study's seed. No database.

Written up front, once. When places become free (a skip, an ended lease, a person who leaves) the
same function runs again over the free places only, so what exists is never moved.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ListToJudge:
    """A list with what balances its allocation; none of it reaches an annotator."""

    id: int
    kind: str
    layer: int


@dataclass(frozen=True)
class Existing:
    """What has been allocated before.

    `had` holds every (person, list) that ever was assigned, so that nobody gets a list twice.
    `live` counts the places of a list that are held by waiting, open or submitted answers.
    """

    had: frozenset[tuple[int, int]] = frozenset()
    live: Mapping[int, int] = field(default_factory=dict)
    load: Mapping[int, int] = field(default_factory=dict)


def allocate(
    *,
    lists: Sequence[ListToJudge],
    people: Sequence[int],
    per_list: int,
    seed: int,
    order_key: str,
    existing: Existing = Existing(),
) -> dict[int, list[int]]:
    """Give every list's free places to different people; return each person's order.

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
    rng = random.Random(f"allocation:{seed}")  # noqa: S311 (not a secret: reproducible)
    load = Counter({person: existing.load.get(person, 0) for person in people})
    by_stratum: Counter[tuple[int, str, int | None]] = Counter()
    given: dict[int, list[ListToJudge]] = {person: [] for person in people}
    for item in _by_stratum(lists, rng):
        free = per_list - existing.live.get(item.id, 0)
        candidates = [p for p in sorted(people) if (p, item.id) not in existing.had]
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
        person: [item.id for item in own_order(items, random.Random(f"order:{order_key}:{person}"))]  # noqa: S311
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


def _by_stratum(lists: Sequence[ListToJudge], rng: random.Random) -> list[ListToJudge]:
    """Lists in random order within (kind, layer), strata in a fixed order."""
    keyed = [
        (item.kind, item.layer, rng.random(), item.id, item)
        for item in sorted(lists, key=lambda item: item.id)
    ]
    return [entry[-1] for entry in sorted(keyed, key=lambda entry: entry[:4])]
