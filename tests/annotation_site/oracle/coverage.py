"""Coverage, its intervals, and value against random."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from statistics import variance as sample_variance
from typing import Any

from scipy.stats import t as student

from tests.annotation_site.oracle.records import Said, Shown, Study

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]
SHARES = ("coverage", "coverage_with_stopwords")
CONCEPTS = ("concepts_per_list", "concepts_per_list_with_stopwords")


def of_answer(said: Said, least: int, categories: Iterable[str]) -> dict[str, Fraction]:
    """Every measure of one answer."""
    enough = said.qualifying(least)
    plain = [one for one in enough if not one.flagged]
    k = said.shown.length
    found = {
        "coverage": Fraction(len(_union(plain)), k),
        "coverage_with_stopwords": Fraction(len(_union(enough)), k),
        "concepts_per_list": Fraction(len(plain)),
        "concepts_per_list_with_stopwords": Fraction(len(enough)),
    }
    for category in categories:
        total = Fraction(0)
        for rank in _union(plain):
            of_rank = {one.category for one in plain if rank in one.ranks}
            total += Fraction(category in of_rank, len(of_rank))
        found[category] = total / k
    return found


def _union(patterns: Iterable[Any]) -> frozenset[int]:
    return frozenset().union(*(one.ranks for one in patterns))


class Coverage:
    """Means of lists under a study's choice, of some answers."""

    def __init__(self, study: Study, answers: Sequence[Said]) -> None:
        self.study = study
        self.measures = [*SHARES, *study.categories, *CONCEPTS]
        self.answers: dict[int, list[Said]] = defaultdict(list)
        for one in answers:
            self.answers[one.shown.number].append(one)
        self.lists = {number: self._list(own) for number, own in self.answers.items()}

    def _list(self, own: list[Said]) -> dict[str, Fraction]:
        each = [of_answer(one, self.study.choice.min_tokens, self.study.categories) for one in own]
        return {name: mean([one[name] for one in each]) for name in self.measures}

    def groups(self, *, layers: bool) -> dict[tuple[Any, ...], list[Shown]]:
        """The study's lists by model, kind, and layer or None."""
        found: dict[tuple[Any, ...], list[Shown]] = defaultdict(list)
        for one in self.study.own:
            found[one.model, one.kind, one.layer if layers else None].append(one)
        return found

    def table(self) -> Rows:
        """`coverage`: over all layers, then by layer."""
        return {
            key: self._row(lists)
            for layers in (False, True)
            for key, lists in self.groups(layers=layers).items()
        }

    def _row(self, lists: list[Shown]) -> Row:
        judged = [one.number for one in lists if one.number in self.lists]
        answers = [one for number in judged for one in self.answers[number]]
        return {
            "lists_total": len(lists),
            "lists": len(judged),
            "annotations": len(answers),
            "no_pattern": sum(not one.patterns for one in answers),
            **{m: mean([self.lists[n][m] for n in judged]) for m in self.measures},
        }

    def table_of_lists(self) -> Rows:
        """`lists`."""
        return {
            (one.number,): {
                "annotations": len(self.answers.get(one.number, [])),
                "no_pattern": sum(not a.patterns for a in self.answers.get(one.number, [])),
                **{m: self.lists.get(one.number, {}).get(m) for m in self.measures},
            }
            for one in self.study.own
        }

    def intervals(self) -> Rows:
        """`coverage_intervals`, of groups in which a list is judged."""
        found = {}
        for layers in (False, True):
            for key, lists in self.groups(layers=layers).items():
                judged = [one for one in lists if one.number in self.lists]
                for measure in self.measures if judged else []:
                    value = mean([self.lists[one.number][measure] for one in judged])
                    half = self._half(judged, measure)
                    most = None if measure in CONCEPTS else 1
                    found[*key, measure] = {"value": value, **bounds(value, half, 0, most)} | {
                        "lists": len(judged)
                    }
        return found

    def strata(self, judged: Iterable[Shown]) -> dict[tuple[Any, ...], list[int]]:
        """List numbers by model, kind and layer."""
        found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for one in judged:
            found[one.model, one.kind, one.layer].append(one.number)
        return dict(sorted(found.items()))

    def _half(self, judged: list[Shown], measure: str) -> float | None:
        strata = self.strata(judged)
        weights = {key: Fraction(len(own), len(judged)) for key, own in strata.items()}
        # The rule of one layer asks for lists away from the bounds; numbers of concepts have none
        # above.
        most = None if measure in CONCEPTS else 1
        if self.refused(strata, measure, most):
            return None
        return self.half_width(strata, weights, measure)

    def refused(
        self, strata: dict[tuple[Any, ...], list[int]], measure: str, most: int | None
    ) -> bool:
        """Whether the mean over strata of one model and kind has no interval."""
        varying = self.varying(strata)
        if not varying:
            return True
        if len(varying) > 1:
            return any(sum(len(varying[key]) for key in pool) < 2 for pool in pools(varying))
        numbers = [n for own in strata.values() for n in own]
        values = [self.lists[n][measure] for own in varying.values() for n in own]
        below = most is None or sum(one < most for one in values) >= 5
        return len(numbers) < 20 or sum(one > 0 for one in values) < 5 or not below

    def varying(self, strata: dict[tuple[Any, ...], list[int]]) -> dict[tuple[Any, ...], list[int]]:
        """Strata of which not every vector is there."""
        sizes = self.study.populations
        return {k: own for k, own in strata.items() if len(own) < sizes.get(k, math.inf)}

    def half_width(
        self, strata: dict[tuple[Any, ...], list[int]], weights: dict[Any, Fraction], measure: str
    ) -> float:
        """Half the stratified t interval of Σ W_h · mean_h."""
        varying = self.varying(strata)
        parts = []
        for pool in pools(varying):
            values = [self.lists[n][measure] for key in pool for n in varying[key]]
            n = len(values)
            sizes = [self.study.populations.get(key) for key in pool]
            rest = Fraction(1) if None in sizes else 1 - Fraction(n, sum(sizes))  # type: ignore[arg-type]
            spread = sum(weights[key] ** 2 / len(varying[key]) for key in pool)
            parts.append((rest * sample_variance(values) * spread, n - 1))
        total = sum(part for part, _ in parts)
        if not total:
            return 0.0
        freedom = total**2 / sum(part**2 / degrees for part, degrees in parts)
        return float(student.ppf(0.975, float(freedom))) * math.sqrt(total)

    def against_random(self, measure: str) -> Rows:
        """`real_against_random`, without what is drawn at random: rows by measure, model, layer."""
        found: Rows = {}
        for model in sorted({one.model for one in self.study.own}):
            judged = {
                kind: [
                    one
                    for one in self.study.own
                    if (one.model, one.kind) == (model, kind) and one.number in self.lists
                ]
                for kind in ("value", "random")
            }
            if not all(judged.values()):
                continue
            both = sorted(set.intersection(*({one.layer for one in j} for j in judged.values())))
            found[measure, model, None] = self._difference(measure, judged, both)
            for layer in both:
                inside = {
                    kind: [one for one in own if one.layer == layer] for kind, own in judged.items()
                }
                found[measure, model, layer] = self._difference(measure, inside, [layer])
        return found

    def _difference(self, measure: str, judged: dict[str, list[Shown]], layers: list[int]) -> Row:
        values = {k: [self.lists[o.number][measure] for o in own] for k, own in judged.items()}
        first, second = values["value"], values["random"]
        larger = sum((x > y) - (x < y) for x in first for y in second)
        row: Row = {
            "lists_first": len(first),
            "lists_second": len(second),
            "mean_first": mean(first),
            "mean_second": mean(second),
            "cliffs_delta": Fraction(larger, len(first) * len(second)),
        }
        if not layers:
            return {**row, "difference": None, "low": None, "high": None}
        model = judged["value"][0].model
        held = {
            layer: sum(
                one.layer == layer and one.model == model and one.kind in judged
                for one in self.study.own
            )
            for layer in layers
        }
        difference, halves, weights = Fraction(0), {}, {}
        for kind, sign in (("value", 1), ("random", -1)):
            strata = self.strata(o for o in judged[kind] if o.layer in held)
            halves[kind] = strata
            for key, own in strata.items():
                weights[key] = Fraction(held[key[2]], sum(held.values()))
                difference += sign * weights[key] * mean([self.lists[n][measure] for n in own])
        return {
            **row,
            "difference": difference,
            **bounds(difference, self._difference_half(halves, weights, measure), -1, 1),
        }

    def _difference_half(
        self,
        kinds: dict[str, dict[tuple[Any, ...], list[int]]],
        weights: dict[Any, Fraction],
        measure: str,
    ) -> float | None:
        """None where either kind's mean, over these layers, has no interval."""
        varying = [strata for strata in kinds.values() if self.varying(strata)]
        if not varying or any(self.refused(strata, measure, 1) for strata in varying):
            return None
        both = {key: own for strata in varying for key, own in strata.items()}
        return self.half_width(both, weights, measure)


def pools(strata: dict[tuple[Any, ...], list[int]]) -> list[list[tuple[Any, ...]]]:
    """Strata that have one variance together: one with a single list joins the nearest layer of
    its model and kind, the lower one of two."""
    together: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {key: {key} for key in strata}
    for key, own in strata.items():
        others = [other for other in strata if other[:2] == key[:2] and other != key]
        if len(own) > 1 or not others:
            continue
        nearest = min(others, key=lambda other: (abs(other[2] - key[2]), other[2]))
        joined = together[key] | together[nearest]
        for one in joined:
            together[one] = joined
    found: list[list[tuple[Any, ...]]] = []
    for joined in together.values():
        if sorted(joined) not in found:
            found.append(sorted(joined))
    return found


def bounds(value: Fraction, half: float | None, least: int, most: int | None) -> Row:
    """Low and high, no further out than what is possible."""
    if half is None:
        return {"low": None, "high": None}
    low, high = float(value) - half, float(value) + half
    if low < least:
        low = float(least)
    if most is not None and high > most:
        high = float(most)
    return {"low": low, "high": high}


def mean(values: Sequence[Fraction]) -> Fraction | None:
    """None of nothing."""
    return sum(values, Fraction(0)) / len(values) if values else None
