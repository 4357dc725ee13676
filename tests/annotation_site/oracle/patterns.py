"""Two people's patterns of one list: the matching, and what is measured on it."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb

from tests.annotation_site.oracle.records import Found

Matching = list[tuple[Found, Found]]
HALF = Fraction(1, 2)


def jaccard(one: Found, other: Found) -> Fraction:
    """|p ∩ q| / |p ∪ q|."""
    return Fraction(len(one.ranks & other.ranks), len(one.ranks | other.ranks))


def matchings(first: Sequence[Found], second: Sequence[Found]) -> Iterator[Matching]:
    """Every one-to-one matching of as many pairs as there can be, without pairs of J = 0."""
    few, many, turned = (
        (first, second, False) if len(first) <= len(second) else (second, first, True)
    )
    for partners in itertools.permutations(many, len(few)):
        pairs = zip(few, partners, strict=True)
        whole = [(b, a) if turned else (a, b) for a, b in pairs]
        yield [(a, b) for a, b in whole if a.ranks & b.ranks]


def matched(first: Sequence[Found], second: Sequence[Found], length: int) -> Matching:
    """The matching of the largest sum; of equal ones that with the earliest pairs."""
    every = list(matchings(first, second))
    most = max(_sum(one) for one in every)
    best = [one for one in every if _sum(one) == most]
    return min(best, key=lambda one: sorted(_place(a, b, length) for a, b in one))


def _sum(one: Matching) -> Fraction:
    return sum((jaccard(a, b) for a, b in one), Fraction(0))


def _place(a: Found, b: Found, length: int) -> tuple[object, ...]:
    """Where a pair stands in the order that decides between equal matchings.

    A pattern is before another when the first rank that only one of them has is its own.
    """
    marks = sorted(tuple(rank not in one.ranks for rank in range(1, length + 1)) for one in (a, b))
    return (
        -jaccard(a, b), marks[0], marks[1], a.category != b.category,
        sorted((a.category, b.category)), a.flagged != b.flagged,
    )  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """What the measures on patterns say of two answers; None where one is undefined."""

    overlap: Fraction | None
    f1: Fraction | None
    matched: int  # pairs of J of one half or more
    same_category: int
    same_flag: int
    rand: Fraction | None
    omega: Fraction | None
    as_many: Fraction | None  # 1 where both have equally many patterns, 0 where not


def compare(first: Sequence[Found], second: Sequence[Found], length: int) -> Compared:
    """Of two people's qualifying patterns of a list of `length` entries."""
    overlap = f1 = None
    near: Matching = []
    if first or second:
        pairs = matched(first, second, length) if first and second else []
        near = [(a, b) for a, b in pairs if jaccard(a, b) >= HALF]
        overlap = _sum(pairs) / (len(first) + len(second) - len(pairs))
        f1 = Fraction(2 * len(near), len(first) + len(second))
    same = sum(a.category == b.category for a, b in near)
    flag = sum(a.flagged == b.flagged for a, b in near)
    as_many = Fraction(len(first) == len(second)) if first or second else None
    return Compared(
        overlap, f1, len(near), same, flag, _rand(first, second, length),
        _omega(first, second, length), as_many,
    )  # fmt: skip


def overlapping(patterns: Sequence[Found]) -> bool:
    """Whether an entry is in several patterns."""
    return any(a.ranks & b.ranks for a, b in itertools.combinations(patterns, 2))


def _rand(first: Sequence[Found], second: Sequence[Found], length: int) -> Fraction | None:
    if overlapping(first) or overlapping(second) or not (first or second):
        return None
    every = comb(length, 2)
    a = sum(comb(len(one.ranks), 2) for one in first)
    b = sum(comb(len(one.ranks), 2) for one in second)
    both = sum(comb(len(p.ranks & q.ranks), 2) for p in first for q in second)
    chance = Fraction(a * b, every)
    most = Fraction(a + b, 2)
    return None if most == chance else (both - chance) / (most - chance)


def _omega(first: Sequence[Found], second: Sequence[Found], length: int) -> Fraction | None:
    """Collins and Dent's: in how many patterns every two entries are together."""
    entries = list(itertools.combinations(range(1, length + 1), 2))
    one, other = (
        [sum({a, b} <= pattern.ranks for pattern in patterns) for a, b in entries]
        for patterns in (first, second)
    )
    chance = sum(one.count(j) * other.count(j) for j in {*one, *other})
    every = len(entries)
    if chance == every**2:
        return None
    same = sum(a == b for a, b in zip(one, other, strict=True))
    return Fraction(same * every - chance, every**2 - chance)
