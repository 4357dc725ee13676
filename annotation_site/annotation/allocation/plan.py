"""Allocation as pure functions of the study's seed and of what people have had. No database.

Nobody owns an unopened slot: `share` runs whenever somebody joins, leaves, skips or finishes, and
moves as few unopened slots as make the shares even.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

UNBOUNDED = 2**31  # a cap for people who have none


@dataclass(frozen=True)
class ListToJudge:
    """A list with the attributes that allocation balances; annotators see none of them."""

    id: int
    kind: str
    layer: int


@dataclass(frozen=True)
class Given:
    """Lists that people have already.

    `had` holds every (person, list) that was opened, submitted or skipped, so that nobody gets a
    list twice. `held` counts the slots of a list that opened and submitted annotations hold.
    `waiting` are each person's unopened lists, which can move. `begun` counts each person's opened,
    unfinished lists, which stay theirs and count as remaining. `most` is the largest number of
    lists that a person may ever get, those that they had among them; who is not in it has no cap.
    """

    had: Collection[tuple[int, int]] = ()
    held: Mapping[int, int] = field(default_factory=dict)
    waiting: Mapping[int, Collection[int]] = field(default_factory=dict)
    begun: Mapping[int, int] = field(default_factory=dict)
    most: Mapping[int, int] = field(default_factory=dict)


def share(
    *,
    lists: Sequence[ListToJudge],
    people: Collection[int],
    per_list: int,
    seed: int,
    given: Given = Given(),
) -> dict[int, set[int]]:
    """Share the unopened slots of the lists among the people at work.

    Parameters
    ----------
    lists, people : the study's lists and the ids of the annotators who are at work.
    per_list : how many different people judge each list (k).
    seed : the study's; the same arguments give the same shares, in any process.
    given : what people had and have. Lists of people who are not at work do not wait for them.

    Returns
    -------
    Person id → ids of their unopened lists. As many slots as possible are given out; among all
    ways to do that, remaining lists (unopened and begun) are as even as can be: those of two people
    differ by more than one only where k, earlier work or caps forbid every exchange.
    People keep their unopened lists unless evenness needs one elsewhere; kinds and layers decide
    which lists move and who gets new ones.

    Notes
    -----
    The shares are an optimal semi-matching [1]_: each slot goes to a person with the fewest lists,
    then lists move along shortest chains of people, from those with many to those with few. With L
    lists, P people and M lists that move: O(L·P) memory, O(L·P·log P + M·L·k) time without chains;
    the search that proves that none is left takes O(L·k·P).

    References
    ----------
    .. [1] Harvey, Ladner, Lovász and Tamir (2006), Semi-matchings for bipartite graphs and load
       balancing. Journal of Algorithms 59(1), 53-78.
    """
    shares = _Shares(lists, people, per_list, seed, given)
    shares.trim()
    shares.fill()
    shares.fill_through_others()
    shares.even_out()
    return shares.as_sets()


def trim(
    *,
    lists: Sequence[ListToJudge],
    people: Collection[int],
    per_list: int,
    seed: int,
    given: Given = Given(),
) -> dict[int, set[int]]:
    """Trim people's unopened lists where nothing is given out: `share` without new slots."""
    shares = _Shares(lists, people, per_list, seed, given)
    shares.trim()
    return shares.as_sets()


class _Shares:
    """The state of one sharing: who has had, and who has, which list; rows are people."""

    def __init__(
        self,
        lists: Sequence[ListToJudge],
        people: Collection[int],
        per_list: int,
        seed: int,
        given: Given,
    ) -> None:
        self.lists = sorted(lists, key=lambda item: item.id)
        self.people = sorted(people)
        row = {person: n for n, person in enumerate(self.people)}
        column = {item.id: n for n, item in enumerate(self.lists)}
        size = (len(row), len(column))
        held = np.array([given.held.get(item.id, 0) for item in self.lists], np.int64)
        self.open = np.maximum(per_list - held, 0)
        self.had = np.zeros(size, bool)
        pairs = [(row[p], column[i]) for p, i in given.had if p in row and i in column]
        if pairs:
            self.had[tuple(np.array(pairs).T)] = True
        self.has = np.zeros(size, bool)
        for person, own in given.waiting.items():
            if person in row:
                self.has[row[person], [column[i] for i in own if i in column]] = True
        self.has &= ~self.had & (self.open > 0)
        begun = np.array([given.begun.get(person, 0) for person in self.people], np.int64)
        self.blocked = self.had | self.has
        self.load = begun + self.has.sum(1)
        # Lists of other uses are no part of `lists`, and count for nobody's cap.
        most = np.array([given.most.get(person, UNBOUNDED) for person in self.people], np.int64)
        self.room = most - self.had.sum(1) - self.has.sum(1)
        self.kind = _numbered([item.kind for item in self.lists])
        self.stratum = _numbered([(item.kind, item.layer) for item in self.lists])
        self.of_kind = _counts(self.blocked, self.kind)
        self.of_stratum = _counts(self.blocked, self.stratum)
        # The raw stream of a bit generator stays the same in all versions of numpy.
        secret = hashlib.sha256(f"allocation:{seed}".encode()).digest()
        raw = np.random.PCG64(int.from_bytes(secret)).random_raw(size[0] * size[1] + size[1])
        self.tie = raw[size[1] :].reshape(size)  # so that all pairs of people meet
        self.shuffled = raw[: size[1]]

    def as_sets(self) -> dict[int, set[int]]:
        ids = np.array([item.id for item in self.lists], np.int64)
        return {person: set(ids[self.has[n]].tolist()) for n, person in enumerate(self.people)}

    def give(self, person: int, item: int) -> None:
        self._count(person, item, 1)

    def take(self, person: int, item: int) -> None:
        self._count(person, item, -1)

    def _count(self, person: int, item: int, by: int) -> None:
        self.has[person, item] = self.blocked[person, item] = by > 0
        self.load[person] += by
        self.room[person] -= by
        self.of_kind[person, self.kind[item]] += by
        self.of_stratum[person, self.stratum[item]] += by

    def trim(self) -> None:
        """Take back what is too much: beyond a person's cap, beyond k."""
        for person in np.flatnonzero(self.room < 0):
            own = np.flatnonzero(self.has[person])
            for item in own[np.argsort(self.tie[person, own])][: -int(self.room[person])]:
                self.take(int(person), int(item))
        for item in np.flatnonzero(self.has.sum(0) > self.open):
            own = np.flatnonzero(self.has[:, item])
            fullest = own[np.lexsort((self.tie[own, item], -self.load[own]))]
            for person in fullest[: len(own) - int(self.open[item])]:
                self.take(int(person), int(item))

    def fill(self) -> None:
        """Give free slots to those with the fewest lists, then of that kind, then of that layer."""
        free = self.open - self.has.sum(0)
        for item in np.lexsort((self.shuffled, self.stratum)):
            if free[item] <= 0:
                continue
            able = np.flatnonzero(~self.blocked[:, item] & (self.room > 0))
            if not able.size:
                continue
            order = np.lexsort(
                (
                    self.tie[able, item],
                    self.of_stratum[able, self.stratum[item]],
                    self.of_kind[able, self.kind[item]],
                    self.load[able],
                )
            )
            for person in able[order[: free[item]]]:
                self.give(int(person), int(item))

    def fill_through_others(self) -> None:
        """Give slots that only people at their cap can take, by moving one of their lists on."""
        if not (self.room <= 0).any():
            return
        stuck = np.zeros(len(self.people), bool)
        for item in np.flatnonzero(self.has.sum(0) < self.open):
            for _ in range(int(self.open[item] - self.has[:, item].sum())):
                able = ~self.blocked[:, item] & ~stuck
                chain, seen = self._chain(able, self.room > 0)
                if not chain:
                    stuck |= seen
                    break
                self._move(chain)
                self.give(chain[0], int(item))
                stuck[:] = False

    def even_out(self) -> None:
        """Move lists from people with many to people with few, until no exchange is left."""
        moved = True
        while moved:
            moved = False
            settled = np.zeros(len(self.people), bool)
            while not settled.all():
                person = int(np.argmax(np.where(settled, -1, self.load)))
                fewer = (self.load <= self.load[person] - 2) & (self.room > 0)
                if fewer.any():
                    chain, seen = self._one_link(person, fewer), settled
                    if not chain:
                        begins = np.zeros(len(self.people), bool)
                        begins[person] = True
                        chain, seen = self._chain(begins, fewer)
                else:
                    chain, seen = [], ~settled
                if chain:
                    self._move(chain)
                    moved = True
                else:
                    settled |= seen & (self.load <= self.load[person])

    def _one_link(self, person: int, ends: NDArray[np.bool_]) -> list[int]:
        """The chain to the one with the fewest lists, if they can take one of the person's."""
        fewest = int(np.argmin(np.where(ends, self.load, UNBOUNDED)))
        able = (self.has[person] & ~self.blocked[fewest]).any()
        return [person, fewest] if able else []

    def _chain(
        self, begins: NDArray[np.bool_], ends: NDArray[np.bool_]
    ) -> tuple[list[int], NDArray[np.bool_]]:
        """The shortest chain of people, each with a list that the next can take; breadth first.

        From one who `begins` to the one with the fewest lists among those who end it at that
        length; empty where there is none. Also everybody who was reached.
        """
        came: dict[int, int | None] = {int(person): None for person in np.flatnonzero(begins)}
        seen = begins.copy()
        ring = list(came)
        while ring:
            at_end = [person for person in ring if ends[person]]
            if at_end:
                last: int | None = min(at_end, key=lambda person: (self.load[person], person))
                chain: list[int] = []
                while last is not None:
                    chain.insert(0, last)
                    last = came[last]
                return chain, seen
            following = []
            for person in ring:
                own = np.flatnonzero(self.has[person])
                reached = ~seen & ~self.blocked[:, own].all(1)
                for other in map(int, np.flatnonzero(reached)):
                    came[other] = person
                    following.append(other)
                seen |= reached
            ring = following
        return [], seen

    def _move(self, chain: Sequence[int]) -> None:
        """Move one list along each link, the last link first."""
        for giver, taker in list(pairwise(chain))[::-1]:
            able = np.flatnonzero(self.has[giver] & ~self.blocked[taker])
            kinds, strata = self.kind[able], self.stratum[able]
            order = np.lexsort(
                (
                    self.tie[giver, able],
                    self.of_stratum[taker, strata] - self.of_stratum[giver, strata],
                    self.of_kind[taker, kinds] - self.of_kind[giver, kinds],
                )
            )
            item = int(able[order[0]])
            self.take(giver, item)
            self.give(taker, item)


def _numbered(keys: Sequence[object]) -> NDArray[np.int64]:
    """For each key its number in the sorted order of all keys."""
    numbers = {key: n for n, key in enumerate(sorted(set(keys)))}  # type: ignore[type-var]
    return np.array([numbers[key] for key in keys], np.int64)


def _counts(marks: NDArray[np.bool_], of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Per person (row) and number, the marked lists (columns) with that number."""
    counts = np.zeros((len(marks), int(of.max(initial=-1)) + 1), np.int64)
    people, lists = np.nonzero(marks)
    np.add.at(counts, (people, of[lists]), 1)
    return counts


def order_rank(order_key: str, person: int, item: int, what: str = "") -> float:
    """A list's place on the circle of a person's order, from 0 to 1.

    It depends on a secret of the study, so that nobody who knows this function can work out from
    an order where its lists come from. It does not depend on what else the person has, so that a
    list that goes and comes back stands where it stood. Kinds are deliberately not balanced within
    stretches of an order: then a person who recognises one list would learn something about its
    neighbours.
    """
    said = f"{person}:{item}:{what}".encode()
    digest = hashlib.blake2b(said, key=order_key.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def own_order(
    lists: Collection[int], *, order_key: str, person: int, after: int | None = None
) -> list[int]:
    """The lists in a person's own order, a uniformly random one.

    `after` is the list at which the person is: the order goes on from there and around the circle,
    so that a list which comes late stands among the others, and never before one that was opened.
    """
    start = 0.0 if after is None else order_rank(order_key, person, after)

    def place(item: int) -> tuple[float, int]:
        return ((order_rank(order_key, person, item) - start) % 1.0, item)

    return sorted(lists, key=place)


TRAINING, ANNOTATION, REFERENCE, REPEAT = "training", "annotation", "reference", "repeat"
REPEAT_AFTER = 5  # lists; sooner, people would remember what they said rather than judge again
Entry = tuple[int, str]  # list, purpose


@dataclass(frozen=True)
class Queue:
    """One person's queue: what was opened, in its order, and what waits, in its order.

    `live` are the person's lists of the study that are opened and have not been skipped or lost:
    they can be repeated.
    """

    opened: Sequence[Entry] = ()
    waiting: Sequence[Entry] = ()
    live: Collection[int] = ()


def queue_compose(
    *,
    queue: Queue,
    order: Sequence[Entry],
    due: int,
    order_key: str,
    person: int,
) -> list[Entry]:
    """Compose a person's waiting entries: lists and references of `order`, and repeats.

    Parameters
    ----------
    queue : the queue so far.
    order : unopened lists of the study and silent references, in the person's own order.
    due : how many repeats are to wait.
    order_key, person : decide which lists are repeated, and where.

    Returns
    -------
    Repeats that waited stay behind what they stood behind. One of a list that the person has no
    longer becomes one of another list. Each stands at least `REPEAT_AFTER` positions after its
    first showing or, where the queue is too short for that, at its end. No list is repeated twice;
    where fewer lists than `due` are there, there are fewer repeats.
    """
    shown = list(queue.opened)
    begin = len(shown)
    shown += order
    own = {item for item, of in order if of == ANNOTATION} | set(queue.live)
    repeated = {item for item, of in queue.opened if of == REPEAT}
    kept: list[tuple[int, Entry | None]] = []
    moved: list[Entry | None] = []
    before: Entry | None = None
    stays = set(order)
    for entry in queue.waiting:
        item, of = entry
        if of != REPEAT:
            before = entry if entry in stays else before
        elif len(kept) + len(moved) >= due:
            continue
        elif item in own and item not in repeated:
            kept.append((item, before))
            repeated.add(item)
        else:
            moved.append(before)
    for item, behind in kept:
        _insert(shown, item, _behind(shown, behind, begin))
    for behind in moved:
        at = _behind(shown, behind, begin)
        chosen = _to_repeat(shown, own - repeated, at, order_key, person)
        if chosen is not None:
            repeated.add(chosen)
            _insert(shown, chosen, at)
    waits = sum(of == REPEAT for _, of in shown[begin:])
    for _ in range(due - waits):
        chosen = _to_repeat(shown, own - repeated, len(shown), order_key, person)
        if chosen is None:
            break
        repeated.add(chosen)
        soonest = min(max(_soonest(shown, chosen), begin), len(shown))
        where = order_rank(order_key, person, chosen, "where")
        _insert(shown, chosen, soonest + int(where * (len(shown) + 1 - soonest)))
    return shown[begin:]


def _soonest(shown: Sequence[Entry], item: int) -> int:
    return shown.index((item, ANNOTATION)) + REPEAT_AFTER


def _behind(shown: Sequence[Entry], entry: Entry | None, begin: int) -> int:
    """The place behind a waiting entry, or at the beginning, and behind repeats there."""
    at = begin if entry is None else shown.index(entry, begin) + 1
    while at < len(shown) and shown[at][1] == REPEAT:
        at += 1
    return at


def _insert(shown: list[Entry], item: int, at: int) -> None:
    """Insert a repeat, no sooner than it may come. No insertion brings two entries closer."""
    shown.insert(min(max(at, _soonest(shown, item)), len(shown)), (item, REPEAT))


def _to_repeat(
    shown: Sequence[Entry], lists: Collection[int], at: int, order_key: str, person: int
) -> int | None:
    """Which of the lists to repeat there: a random one that is far enough, else the farthest."""
    if not lists:
        return None
    place = {item: n for n, (item, of) in enumerate(shown) if of == ANNOTATION}
    far = [item for item in lists if place[item] + REPEAT_AFTER <= at]
    if far:
        return min(far, key=lambda item: (order_rank(order_key, person, item, "repeat"), item))
    return min(lists, key=place.__getitem__)


def repeats_due(lists: int, percent: int, had: int) -> int:
    """Number of further repeats for a person with so many lists; half a list rounds up."""
    return max((lists * percent + 50) // 100 - had, 0)
