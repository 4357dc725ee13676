"""Agreement of people, by group of lists, category and pair of people."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from tests.annotation_site.oracle.coverage import Row, Rows, mean
from tests.annotation_site.oracle.patterns import Compared, compare, overlapping
from tests.annotation_site.oracle.records import Found, Said, Study

Labels = tuple[Hashable, ...]
NONE = frozenset({"none"})
ON_CATEGORIES = (
    "percent_agreement_category", "cohen_kappa_category", "fleiss_kappa_category",
    "krippendorff_alpha_category", "krippendorff_alpha_masi", "matched_category_agreement",
)  # fmt: skip


class Answer:
    """One person's qualifying patterns of a list, and the labels that they give its entries."""

    def __init__(self, who: str, patterns: tuple[Found, ...], length: int) -> None:
        self.who, self.patterns, self.length = who, patterns, length

    def _each(self, label: Callable[[frozenset[str]], Hashable]) -> Labels:
        of_rank: dict[int, set[str]] = defaultdict(set)
        for one in self.patterns:
            for rank in one.ranks:
                of_rank[rank].add(one.category)
        return tuple(label(frozenset(of_rank[rank + 1])) for rank in range(self.length))

    @cached_property
    def concept(self) -> Labels | None:
        """In some concept or not."""
        return self._each(bool)

    @cached_property
    def category(self) -> Labels | None:
        """The category; no coding where an entry is in several patterns."""
        if overlapping(self.patterns):
            return None
        return self._each(lambda found: next(iter(found or NONE)))

    @cached_property
    def sets(self) -> Labels | None:
        """The set of categories."""
        return self._each(lambda found: found or NONE)


@dataclass(frozen=True)
class Judged:
    """A list with the answers to it."""

    answers: tuple[Answer, ...]

    @cached_property
    def pairs(self) -> list[Compared]:
        """Of every two answers."""
        return [
            compare(a.patterns, b.patterns, a.length)
            for a, b in itertools.combinations(self.answers, 2)
        ]

    def labels(self, coding: str) -> list[tuple[str, Labels]]:
        """Of each answer that has that coding."""
        found = [(one.who, getattr(one, coding)) for one in self.answers]
        return [(who, labels) for who, labels in found if labels is not None]


def measures(lists: Sequence[Judged], *, of_category: bool = False) -> dict[str, Row]:
    """Every measure of some lists. `of_category`: their patterns are of one category alone."""
    found = {}
    for coding, functions in CODED.items():
        comparable = [own for one in lists if len(own := one.labels(coding)) > 1]
        entering = [one for one in lists if len(one.labels(coding)) > 1]
        for name, function in functions.items():
            value, n = function(comparable)
            found[name] = _row(value, n, entering)
    for name, get in (
        ("mean_matched_jaccard", lambda pair: pair.overlap),
        ("pattern_f1", lambda pair: pair.f1),
        ("adjusted_rand_index", lambda pair: pair.rand),
        ("omega_index", lambda pair: pair.omega),
        ("pattern_count_agreement", lambda pair: pair.as_many),
    ):
        entering, values = [], []
        for one in lists:
            known = [value for pair in one.pairs if (value := get(pair)) is not None]
            if known:
                entering.append(one)
                values.append(mean(known))
        found[name] = _row(mean(values), len(values), entering)  # type: ignore[arg-type]
    near = [one for one in lists if sum(pair.matched for pair in one.pairs)]
    n = sum(pair.matched for one in near for pair in one.pairs)
    same = sum(pair.same_category for one in near for pair in one.pairs)
    found["matched_category_agreement"] = _row(Fraction(same, n) if n else None, n, near)
    flag = sum(pair.same_flag for one in near for pair in one.pairs)
    found["matched_stopwords_agreement"] = _row(Fraction(flag, n) if n else None, n, near)
    nothing = {"value": None, "n": 0, "lists": 0, "annotations": 0}
    if of_category:
        found |= {name: dict(nothing) for name in ON_CATEGORIES}
    return {name: {**row, "lists_total": len(lists)} for name, row in found.items()}


def _row(value: Fraction | None, n: int, entering: Sequence[Judged]) -> Row:
    return {
        "value": value,
        "n": n,
        "lists": len(entering),
        "annotations": sum(len(one.answers) for one in entering),
    }


Coded = list[list[tuple[str, Labels]]]


def percent(lists: Coded) -> tuple[Fraction | None, int]:
    """Agreeing pairs of labels of all pairs of labels for one entry."""
    equal = pairs = 0
    for own in lists:
        for (_, one), (_, other) in itertools.combinations(own, 2):
            equal += sum(a == b for a, b in zip(one, other, strict=True))
            pairs += len(one)
    return (Fraction(equal, pairs) if pairs else None), pairs


def cohen(lists: Coded) -> tuple[Fraction | None, int]:
    """The mean over pairs of people, weighted by the entries that they have in common."""
    together: dict[tuple[str, str], list[tuple[Hashable, Hashable]]] = defaultdict(list)
    for own in lists:
        for (p, one), (q, other) in itertools.combinations(sorted(own, key=lambda o: o[0]), 2):
            together[p, q] += zip(one, other, strict=True)
    total, weight = Fraction(0), 0
    for both in together.values():
        n = len(both)
        agree = Fraction(sum(a == b for a, b in both), n)
        left, right = Counter(a for a, _ in both), Counter(b for _, b in both)
        chance = sum((Fraction(left[v] * right[v], n * n) for v in left), Fraction(0))
        if chance != 1:
            total += n * (agree - chance) / (1 - chance)
            weight += n
    return (total / weight if weight else None), sum(map(len, together.values()))


def fleiss(lists: Coded) -> tuple[Fraction | None, int]:
    """Only where every list has as many answers."""
    n = sum(len(own[0][1]) for own in lists)
    agree, _ = percent(lists)
    if len({len(own) for own in lists}) != 1 or agree is None:
        return None, n
    every = Counter(label for own in lists for _, labels in own for label in labels)
    chance = sum((Fraction(c, every.total()) ** 2 for c in every.values()), Fraction(0))
    return (None if chance == 1 else (agree - chance) / (1 - chance)), n


def ac1(lists: Coded) -> tuple[Fraction | None, int]:
    """Gwet's, of a label that is true or false: each entry counts once."""
    agree = marked = Fraction(0)
    n = 0
    for own in lists:
        for labels in zip(*(labels for _, labels in own), strict=True):
            both = list(itertools.combinations(labels, 2))
            agree += Fraction(sum(a == b for a, b in both), len(both))
            marked += Fraction(sum(map(bool, labels)), len(labels))
            n += 1
    if not n:
        return None, n
    chance = 2 * (marked / n) * (1 - marked / n)
    return (agree / n - chance) / (1 - chance), n


def nominal(a: Hashable, b: Hashable) -> Fraction:
    """0 or 1."""
    return Fraction(a != b)


def masi(a: Any, b: Any) -> Fraction:
    """1 − Jaccard · monotonicity."""
    if a == b:
        return Fraction(0)
    if not a & b:
        return Fraction(1)
    fits = Fraction(2, 3) if a < b or b < a else Fraction(1, 3)
    return 1 - Fraction(len(a & b), len(a | b)) * fits


def alpha(
    lists: Coded, distance: Callable[[Any, Any], Fraction] = nominal
) -> tuple[Fraction | None, int]:
    """Krippendorff's."""
    observed, every, n = Fraction(0), Counter[Hashable](), 0
    for own in lists:
        for labels in zip(*(labels for _, labels in own), strict=True):
            n += 1
            every.update(labels)
            unlike = Counter(labels)
            observed += sum(
                (
                    2 * unlike[a] * unlike[b] * distance(a, b)
                    for a, b in itertools.combinations(unlike, 2)
                ),
                Fraction(0),
            ) / (len(labels) - 1)
    expected = sum(
        (2 * every[a] * every[b] * distance(a, b) for a, b in itertools.combinations(every, 2)),
        Fraction(0),
    )
    return (1 - (every.total() - 1) * observed / expected if expected else None), n


def masi_alpha(lists: Coded) -> tuple[Fraction | None, int]:
    """Of sets of categories."""
    return alpha(lists, masi)


_ON_LABELS = {
    "percent_agreement": percent,
    "cohen_kappa": cohen,
    "fleiss_kappa": fleiss,
    "krippendorff_alpha": alpha,
}
CODED: dict[str, dict[str, Callable[[Coded], tuple[Fraction | None, int]]]] = {
    coding: {f"{name}_{coding}": function for name, function in _ON_LABELS.items()}
    for coding in ("concept", "category")
}
CODED["concept"]["gwet_ac1_concept"] = ac1
CODED["sets"] = {"krippendorff_alpha_masi": masi_alpha}


class Agreement:
    """Of a study's counted answers."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.least = study.choice.min_tokens
        self.whole = self._lists(None)

    def _lists(
        self, category: str | None, people: Iterable[str] | None = None
    ) -> dict[int, Judged]:
        found = {}
        for one in self.study.own:
            answers = tuple(
                self._answer(said, category)
                for said in self.study.by_list.get(one.number, [])
                if people is None or said.who in people
            )
            found[one.number] = Judged(answers)
        return found

    def _answer(self, said: Said, category: str | None = None) -> Answer:
        return Answer(said.who, said.qualifying(self.least, category), said.shown.length)

    def table(self, *by: str) -> Rows:
        """`agreement` and the tables by kind and layer; all models together where several are."""
        found: Rows = {}
        for group, numbers in self._groups(by).items():
            for name, row in measures([self.whole[n] for n in numbers]).items():
                found[*group, name] = row
        return found

    def by_category(self) -> Rows:
        """`agreement_by_category`, also of those that nobody used."""
        found: Rows = {}
        for category in self.study.categories:
            alone = self._lists(category)
            for group, numbers in self._groups(()).items():
                for name, row in measures([alone[n] for n in numbers], of_category=True).items():
                    found[*group, category, name] = row
        return found

    def _groups(self, by: Sequence[str]) -> dict[tuple[Any, ...], list[int]]:
        found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        several = len({one.model for one in self.study.own}) > 1
        for one in self.study.own:
            key = tuple(getattr(one, name) for name in by)
            found[one.model, *key].append(one.number)
            if several and "layer" not in by:
                found[None, *key].append(one.number)
        return found

    def of_pairs(self) -> Rows:
        """`agreement_of_pairs`: two people's answers to the lists that both have judged."""
        found: Rows = {}
        people = sorted({said.who for said in self.study.counted})
        for p, q in itertools.combinations(people, 2):
            both = [
                one
                for one in self._lists(None, (p, q)).values()
                if {answer.who for answer in one.answers} == {p, q}
            ]
            if both:
                found |= {(p, q, name): row for name, row in measures(both).items()}
        return found

    def retest(self) -> Rows:
        """`retest`: a person's first and repeated answer, as if two people had given them; each
        person is a pair of their own."""
        first = {(said.who, said.shown.number): said for said in self.study.counted}
        of_person: dict[str, list[Judged]] = defaultdict(list)
        for said in self.study.of("repeat"):
            before = first.get((said.who, said.shown.number))
            if before is not None:
                one, other = self._answer(before), self._answer(said)
                one.who, other.who = f"{said.who}, first", f"{said.who}, second"
                of_person[said.who].append(Judged((one, other)))
        everybody = [one for own in of_person.values() for one in own]
        found: Rows = {(None, name): row for name, row in measures(everybody).items()}
        for who, own in of_person.items():
            found |= {(who, name): row for name, row in measures(own).items()}
        return found

    def disagreement(self) -> Rows:
        """`disagreement`: lists with two answers or more."""
        found: Rows = {}
        for number, one in self.whole.items():
            if len(one.answers) < 2:
                continue
            values = {name: row["value"] for name, row in measures([one]).items()}
            found[number,] = {
                "annotations": len(one.answers),
                **{
                    name: values[name]
                    for name in ("mean_matched_jaccard", "pattern_f1", "percent_agreement_concept")
                },
            }
        return found
