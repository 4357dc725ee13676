"""Sampling of a study's lists: a pure function of its seed. No database.

Each stratum (extraction, kind, layer) has one fixed random order. The study's own lists are its
beginning, so that asking for more later adds lists and takes none away. Lists for other uses come
from its end, so that a study that grows meets them last.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

Stratum = tuple[int, str, int]
STUDY = "study"


@dataclass(frozen=True)
class Candidate:
    """A list that a study could hold."""

    id: int
    extraction: int
    kind: str
    layer: int

    @property
    def stratum(self) -> Stratum:
        return self.extraction, self.kind, self.layer


def draw(
    *,
    candidates: Sequence[Candidate],
    per_stratum: int,
    others: Mapping[str, int],
    seed: int,
    kept: Mapping[int, str] | None = None,
) -> dict[int, str]:
    """Draw the lists of a study: list id → use.

    Parameters
    ----------
    candidates : the lists to draw from.
    per_stratum : how many lists of each stratum the study itself holds, at most.
    others : how many lists there are of every other use, over all strata. They are taken first,
        one from each stratum in turn.
    seed : the study's; the same arguments give the same draw, in any process.
    kept : lists that stay what they are, and count.
    """
    orders = _orders(candidates, seed)
    drawn = dict(kept or {})
    counts = Counter(drawn.values())
    ends = _from_the_ends(orders, seed)
    for use, wanted in others.items():
        while counts[use] < wanted and (found := next(ends, None)) is not None:
            if found not in drawn:
                drawn[found] = use
                counts[use] += 1
    for order in orders.values():
        missing = per_stratum - sum(drawn.get(item) == STUDY for item in order)
        free = (item for item in order if item not in drawn)
        drawn |= dict.fromkeys([item for _, item in zip(range(missing), free, strict=False)], STUDY)
    return drawn


def sizes_drawn(
    *, sizes: Mapping[Stratum, int], per_stratum: int, others: int, seed: int
) -> dict[Stratum, int]:
    """How many lists of each stratum `draw` gives the study, from the strata's sizes alone."""
    left = dict(sizes)
    order = _turns(sizes, seed)
    while others and any(left.values()):
        for stratum in order:
            if others and left[stratum]:
                left[stratum] -= 1
                others -= 1
    return {stratum: min(per_stratum, size) for stratum, size in left.items()}


def _orders(candidates: Sequence[Candidate], seed: int) -> dict[Stratum, list[int]]:
    orders: dict[Stratum, list[int]] = {}
    for item in sorted(candidates, key=lambda item: item.id):
        orders.setdefault(item.stratum, []).append(item.id)
    for (_, kind, layer), order in sorted(orders.items()):
        random.Random(f"draw:{seed}:{kind}:{layer}").shuffle(order)  # noqa: S311 (no secret)  # nosec B311
    return dict(sorted(orders.items()))


def _turns(strata: Mapping[Stratum, object], seed: int) -> list[Stratum]:
    """Strata in the order in which they give lists to other uses."""
    turns = sorted(strata)
    random.Random(f"others:{seed}").shuffle(turns)  # noqa: S311 (no secret)  # nosec B311
    return turns


def _from_the_ends(orders: Mapping[Stratum, Sequence[int]], seed: int) -> Iterator[int]:
    backwards = [reversed(orders[stratum]) for stratum in _turns(orders, seed)]
    for round_ in zip_longest(*backwards):
        yield from (item for item in round_ if item is not None)
