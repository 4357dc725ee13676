"""Measures of agreement on tokens: two people's judgements of the same rank.

Each function takes `Answers` and gives `Statistics`. The definitions are in ``docs/measures.md``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.measure import (
    Statistics,
    Sums,
    annotators,
    per_list,
    ratio,
)

SEVERAL_PATTERNS = ("annotations", "a token is in several of its patterns")


class Codes:
    """The judgement of every rank of every annotation, as one of `size` values.

    Attributes
    ----------
    grid
        Codes from 0, shape (annotations, longest list); negative outside the list.
    size
        How many values there are.
    valid
        Annotations that can be compared, shape (annotations,).
    """

    def __init__(self, grid: NDArray[Any], size: int, valid: NDArray[np.bool_]) -> None:
        self.grid = grid
        self.size = size
        self.valid = valid

    @classmethod
    def concept(cls, answers: EncodedAnnotations) -> "Codes":
        """Code a token as 1 if it is in a concept, else 0."""
        return cls(answers.in_concept, 2, np.ones(len(answers.length), dtype=np.bool_))

    @classmethod
    def category(cls, answers: EncodedAnnotations) -> "Codes":
        """Code a token by its category, 0 for none; undefined if it is in several patterns."""
        return cls(answers.category, 1 + len(answers.categories), ~answers.overlapping)

    @classmethod
    def category_set(cls, answers: EncodedAnnotations) -> "Codes":
        """Code a token by the set of its categories, {none} if it has none."""
        everybody = np.ones(len(answers.length), dtype=np.bool_)
        return cls(answers.category_set, len(answers.sets), everybody)

    def counts(self) -> Integers:
        """Count each value per annotation, shape (annotations, size)."""
        return np.stack(
            [(self.grid == code).sum(axis=1, dtype=np.int64) for code in range(self.size)], axis=1
        )


class Compared:
    """Judgements compared between annotations, from which every token measure is computed."""

    def __init__(self, answers: EncodedAnnotations, codes: Codes) -> None:
        pairs = answers.pairs
        self.annotations = answers
        self.codes = codes
        self.valid = codes.valid[pairs.first] & codes.valid[pairs.second]
        self.first, self.second = pairs.first[self.valid], pairs.second[self.valid]
        self.length = answers.length[self.first]
        self.annotators = annotators(answers, self.valid)
        self.counts = codes.counts()

    def per_list(self, values: Any) -> Floats:
        """Sum one value per valid pair of annotations by list; shape (lists,)."""
        everywhere = np.zeros(len(self.valid))
        everywhere[self.valid] = values
        return per_list(self.annotations, everywhere)

    def agreeing(self) -> Integers:
        """Number of tokens with equal judgements, shape (valid pairs,)."""
        one, other = self.codes.grid[self.first], self.codes.grid[self.second]
        return np.asarray(((one == other) & (one >= 0)).sum(axis=1, dtype=np.int64))

    def distance(self, distances: Floats) -> Floats:
        """Summed distance of two people's judgements, shape (valid pairs,)."""
        # An extra row and column of zeros stands for ranks outside the list, coded -1.
        padded = np.pad(distances, (0, 1))
        found = padded[self.codes.grid[self.first], self.codes.grid[self.second]]
        return np.asarray(found.sum(axis=1))

    def values(self) -> Floats:
        """Count of each value in the compared lists, shape (lists, size)."""
        # Each annotation stands in one pair with every other one of its list.
        share = 1 / np.maximum(self.annotators[self.annotations.pairs.list[self.valid]] - 1, 1)
        given = (self.counts[self.first] + self.counts[self.second]) * share[:, None]
        return np.stack([self.per_list(column) for column in given.T], axis=1)

    def tokens(self) -> Floats:
        """Number of tokens with two judgements or more, shape (lists,)."""
        pairs = np.maximum(self.per_list(np.ones(len(self.first))), 1)
        return np.rint(self.per_list(self.length) / pairs)

    def left_out(self) -> dict[tuple[str, str], Floats]:
        """Annotations that cannot be compared, of lists with two or more."""
        pairs, invalid = self.annotations.pairs, ~self.codes.valid
        if not invalid.any():
            return {}
        share = 1 / np.maximum(annotators(self.annotations)[pairs.list] - 1, 1)
        dropped = (invalid[pairs.first].astype(np.int64) + invalid[pairs.second]) * share
        return {SEVERAL_PATTERNS: np.rint(per_list(self.annotations, dropped))}


Coding = Callable[[EncodedAnnotations], Codes]


def percent_agreement(answers: EncodedAnnotations, *, coding: Coding) -> Statistics:
    """The share of pairs of judgements of one token that agree."""
    compared = Compared(answers, coding(answers))
    labels = compared.per_list(compared.length)
    return Statistics(
        parts={"agreeing": compared.per_list(compared.agreeing()), "labels": labels},
        value=lambda sums: ratio(sums["agreeing"], sums["labels"]),
        n=labels,
        left_out=compared.left_out(),
        degenerate=_one_value,
    )


def cohen_kappa(answers: EncodedAnnotations, *, coding: Coding) -> Statistics:
    """Cohen's kappa of every two people, averaged with their number of common tokens as weight."""
    compared = Compared(answers, coding(answers))
    pairs = answers.pairs
    where = pairs.list[compared.valid], pairs.people[compared.valid]
    shape = len(answers.lists), len(pairs.people_pairs)

    def by_people(values: Any) -> sparse.csr_array:
        return sparse.csr_array((np.asarray(values, dtype=np.float64), where), shape=shape)

    parts = {
        "differing": by_people(compared.length - compared.agreeing()),
        "labels": by_people(compared.length),
    }
    for code in range(1, compared.codes.size):  # what is left of the labels has code 0
        parts[f"first {code}"] = by_people(compared.counts[compared.first, code])
        parts[f"second {code}"] = by_people(compared.counts[compared.second, code])
    terms = partial(_cohen_terms, size=compared.codes.size)
    return Statistics(
        parts=parts,
        value=lambda sums: ratio(*(one.sum(axis=-1) for one in terms(sums))),
        n=compared.per_list(compared.length),
        left_out=compared.left_out(),
        degenerate=_one_value_per_pair,
        terms=terms,
    )


def _cohen_terms(sums: Sums, *, size: int) -> tuple[Floats, Floats]:
    """Kappa times labels, and labels, of every pair of people; both 0 where it is undefined.

    kappa = 1 − observed / expected disagreement. With n labels, d of which differ, and f and s of
    each value by the two people, that is 1 − n d / Σ f (n − s): nothing cancels in it.
    """
    labels = sums["labels"]
    rest_first, rest_second = labels.copy(), labels.copy()
    expected = np.zeros_like(labels)
    for code in range(1, size):
        first, second = sums[f"first {code}"], sums[f"second {code}"]
        rest_first -= first
        rest_second -= second
        expected += first * (labels - second)
    expected += rest_first * (labels - rest_second)
    # Where it is not 0 it is at least the number of labels, but for rounding.
    weights = np.where(2 * expected > labels, labels, 0)
    return weights - ratio(weights * labels * sums["differing"], np.maximum(expected, 1)), weights


def fleiss_kappa(answers: EncodedAnnotations, *, coding: Coding) -> Statistics:
    """Fleiss' kappa; undefined unless every list has the same number of annotators."""
    compared = Compared(answers, coding(answers))
    annotators_of = compared.annotators.astype(np.float64)
    return Statistics(
        parts={
            "agreeing": compared.per_list(compared.agreeing()),
            "labels": compared.per_list(compared.length),
            "values": compared.values(),
            "lists": (annotators_of > 0).astype(np.float64),
            "annotators": annotators_of,
            "squared": annotators_of**2,
        },
        value=_fleiss_kappa,
        n=compared.tokens(),
        left_out=compared.left_out(),
        degenerate=lambda sums: _unequal(sums) or _one_value(sums),
    )


def _spread(sums: Sums) -> Floats:
    """0 where all lists have the same number of annotators, also in weighted sums."""
    squared = sums["annotators"] ** 2
    spread = sums["lists"] * sums["squared"] - squared
    return np.asarray(np.where(np.abs(spread) > 1e-10 * squared, spread, 0.0))


def _fleiss_kappa(sums: Sums) -> Floats:
    given = sums["values"].sum(axis=-1)
    chance = ratio((sums["values"] ** 2).sum(axis=-1), given**2)
    observed = ratio(sums["agreeing"], sums["labels"])
    return np.where(_spread(sums) == 0, ratio(observed - chance, 1 - chance), np.nan)


def gwet_ac1(answers: EncodedAnnotations) -> Statistics:
    """Gwet's AC1 on whether a token is in a concept; lists may have any number of annotators.

    Each token counts once, however many people annotated its list: observed agreement is the mean
    of the tokens' shares of agreeing pairs, and π the mean of their shares of "in a concept".

    References
    ----------
    Gwet (2008), Computing inter-rater reliability and its variance in the presence of high
    agreement, https://doi.org/10.1348/000711006X126600
    """
    compared = Compared(answers, Codes.concept(answers))
    people = np.maximum(compared.annotators.astype(np.float64), 1)
    pairs = np.maximum(people * (people - 1) / 2, 1)
    return Statistics(
        parts={
            "agreeing": compared.per_list(compared.agreeing()) / pairs,
            "marked": compared.values()[:, 1] / people,
            "tokens": compared.tokens(),
        },
        value=_ac1_of,
        n=compared.tokens(),
        left_out=compared.left_out(),
        degenerate=_one_value,  # never: expected agreement is at most one half
    )


def _ac1_of(sums: Sums) -> Floats:
    marked = ratio(sums["marked"], sums["tokens"])
    expected = 2 * marked * (1 - marked)
    return ratio(ratio(sums["agreeing"], sums["tokens"]) - expected, 1 - expected)


def krippendorff_alpha(answers: EncodedAnnotations, *, coding: Coding) -> Statistics:
    """Krippendorff's alpha with nominal distances; lists may have different people."""
    codes = coding(answers)
    return _alpha(answers, codes, 1 - np.eye(codes.size))


def masi_alpha(answers: EncodedAnnotations) -> Statistics:
    """Krippendorff's alpha of the sets of categories, with MASI distances."""
    return _alpha(answers, Codes.category_set(answers), masi_distances(answers.sets))


def masi_distances(sets: NDArray[np.bool_]) -> Floats:
    """MASI distance of every two sets, shape (sets, sets); the sets are not empty.

    1 − J · M with J their Jaccard overlap and M = 1 for equal sets, 2/3 where one contains the
    other, 1/3 where they only overlap, 0 where they do not.

    Examples
    --------
    >>> masi_distances(np.array([[True, False], [True, True]]))[0, 1].round(6)
    np.float64(0.666667)
    """
    members = sets.astype(np.int64)
    shared = members @ members.T
    size = members.sum(axis=1)
    union = size[:, None] + size - shared
    contained = shared == np.minimum(size[:, None], size)
    weight = np.select([shared == union, contained, shared > 0], [1.0, 2 / 3, 1 / 3], 0.0)
    return np.asarray(1 - shared / union * weight)


def _alpha(answers: EncodedAnnotations, codes: Codes, distances: Floats) -> Statistics:
    compared = Compared(answers, codes)
    of_list = answers.pairs.list[compared.valid]
    share = 2 / np.maximum(compared.annotators[of_list] - 1, 1)
    return Statistics(
        parts={
            "disagreement": compared.per_list(compared.distance(distances) * share),
            "values": compared.values(),
        },
        value=partial(_alpha_of, distances=distances),
        n=compared.tokens(),
        left_out=compared.left_out(),
        degenerate=_one_value,
    )


def _alpha_of(sums: Sums, *, distances: Floats) -> Floats:
    values = sums["values"]
    expected = ((values @ distances) * values).sum(axis=-1)
    given = values.sum(axis=-1)
    return 1 - ratio((given - 1) * sums["disagreement"], expected)


def _one_value(sums: Sums) -> str:
    return "every label is the same, so that chance alone gives full agreement"


def _one_value_per_pair(sums: Sums) -> str:
    return "in every pair both people give one and the same label to all tokens"


def _unequal(sums: Sums) -> str:
    if float(_spread(sums)) == 0:
        return ""
    return "the lists do not all have the same number of annotators"
