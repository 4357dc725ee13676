"""Agreement in resamples of people: pairs of annotations, weighted by how often both were drawn.

The definitions are in ``docs/measures.md``, "Two sources of chance".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.measure import ratio
from annotation_site.analysis.strata import Marks
from annotation_site.analysis.two_way import CELLS, equal_people, mean_where_defined

_ROUNDING = 1e-12

Rows = Any
"""A sparse array of lists and their pairs, shape (lists, pairs)."""


@dataclass(frozen=True, eq=False)
class PairsOfAnswers:
    """Common parts of two people's annotations of one list; an entry per pair, by list.

    Attributes
    ----------
    list
        Ascending; shape (pairs,).
    first, second
        People, 0, 1, …; `names` has the code of each.
    entries, agreeing
        Entries of the list, and those that both judge alike.
    marked
        Entries in a pattern, summed over both people.
    overlap
        Overlap of matched patterns; NaN where neither person has a pattern.
    matched, same
        Matched patterns that share half of their entries, and those of one category.
    """

    list: Integers
    first: Integers
    second: Integers
    names: tuple[object, ...]
    entries: Floats
    agreeing: Floats
    marked: Floats
    overlap: Floats
    matched: Floats
    same: Floats

    @classmethod
    def of(cls, annotations: EncodedAnnotations) -> "PairsOfAnswers":
        """Every two annotations of a list."""
        pairs, found = annotations.pairs, annotations.matching
        grid = annotations.in_concept
        one, other = grid[pairs.first], grid[pairs.second]
        marks = (grid == 1).sum(axis=1)
        matched = found.summed(np.ones(len(found.candidates.pair)))
        patterns = found.patterns - matched
        category = annotations.patterns.category
        same = category[found.candidates.first] == category[found.candidates.second]
        overlap = np.full(len(patterns), np.nan)
        np.divide(found.summed(found.candidates.jaccard), patterns, out=overlap, where=patterns > 0)
        people = pairs.people_pairs[pairs.people]
        return cls(
            list=pairs.list,
            first=people[:, 0],
            second=people[:, 1],
            entries=annotations.length[pairs.first].astype(np.float64),
            agreeing=((one == other) & (one >= 0)).sum(axis=1).astype(np.float64),
            marked=(marks[pairs.first] + marks[pairs.second]).astype(np.float64),
            overlap=overlap,
            matched=found.summed(found.half),
            same=found.summed(found.half & same),
            names=annotations.people,
        )

    def taking(self, lists: Marks) -> "PairsOfAnswers":
        """The pairs of some lists, and their people alone."""
        kept = lists[self.list]
        both = np.append(self.first[kept], self.second[kept])
        there, code = np.unique(both, return_inverse=True)
        first, second = np.split(code, 2)
        values = {
            name: getattr(self, name)[kept]
            for name in ("list", "entries", "agreeing", "marked", "overlap", "matched", "same")
        }
        names = tuple(self.names[int(one)] for one in there)
        return PairsOfAnswers(first=first, second=second, names=names, **values)

    def lists(self, measure: str) -> int:
        """How many lists enter a measure."""
        enters = {
            "mean_matched_jaccard": ~np.isnan(self.overlap),
            "matched_category_agreement": self.matched > 0,
        }.get(measure, self.entries > 0)
        return len(np.unique(self.list[enters]))

    @property
    def equal_people(self) -> float:
        """People of equal shares: each list weighs the same."""
        share = 1 / np.bincount(self.list)[self.list]
        return equal_people(np.append(self.first, self.second), np.append(share, share))


def resampled_agreement(pairs: PairsOfAnswers, draws: Floats) -> dict[str, Floats]:
    """The main measures of agreement in every resample of people, by name.

    A pair weighs the product of its people's multiplicities. Two copies of one person are no
    pair: that they agree says nothing. NaN where a measure is undefined.
    """
    if not len(pairs.list):
        return {name: np.full(draws.shape[1], np.nan) for name in _MEASURES}
    step = max(1, CELLS // len(pairs.list))
    found: dict[str, list[Floats]] = {name: [] for name in _MEASURES}
    place = np.cumsum(np.diff(pairs.list, prepend=-1) > 0) - 1
    of_list = sparse.csr_array((np.ones(len(place)), (place, np.arange(len(place)))))
    for begin in range(0, draws.shape[1], step):
        drawn = draws[:, begin : begin + step]
        weights = drawn[pairs.first] * drawn[pairs.second]
        for name, measure in _MEASURES.items():
            found[name].append(measure(pairs, weights, of_list, drawn))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _percent(pairs: PairsOfAnswers, weights: Floats, of_list: Rows, drawn: Floats) -> Floats:
    return ratio(pairs.agreeing @ weights, pairs.entries @ weights)


def _alpha(pairs: PairsOfAnswers, weights: Floats, of_list: Rows, drawn: Floats) -> Floats:
    """Krippendorff's alpha of two codes, each list with as many labels as copies of people."""
    place = of_list.tocoo().coords[0]
    people = np.append(pairs.first, pairs.second)
    found = np.unique(np.append(place, place) * len(drawn) + people)
    shape = of_list.shape[0], len(drawn)
    copies = sparse.csr_array((np.ones(len(found)), np.divmod(found, len(drawn))), shape) @ drawn
    # Σ over the ordered pairs of a list is twice that over its pairs: the labels of all copies.
    share = ratio(copies, 2 * (of_list @ weights))
    weights = weights * np.where(np.isnan(share), 0.0, share)[place]
    labels = 2 * (pairs.entries @ weights)
    marked = pairs.marked @ weights
    differing = 2 * ((pairs.entries - pairs.agreeing) @ weights)
    expected = 2 * marked * (labels - marked)
    expected[expected < _ROUNDING * labels**2] = 0.0  # every label is the same
    return np.asarray(1 - ratio((labels - 1) * differing, expected))


def _overlap(pairs: PairsOfAnswers, weights: Floats, of_list: Rows, drawn: Floats) -> Floats:
    there = ~np.isnan(pairs.overlap)
    sums = (of_list * np.where(there, pairs.overlap, 0.0)) @ weights
    return mean_where_defined(ratio(sums, (of_list * there) @ weights))


def _category(pairs: PairsOfAnswers, weights: Floats, of_list: Rows, drawn: Floats) -> Floats:
    return ratio(pairs.same @ weights, pairs.matched @ weights)


_MEASURES: dict[str, Callable[[PairsOfAnswers, Floats, Rows, Floats], Floats]] = {
    "percent_agreement_concept": _percent,
    "krippendorff_alpha_concept": _alpha,
    "mean_matched_jaccard": _overlap,
    "matched_category_agreement": _category,
}
RESAMPLED_AGREEMENT = tuple(_MEASURES)
"""The measures that the results page asks first (docs/measures.md)."""
