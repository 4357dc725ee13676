"""Measures of agreement on patterns, whatever people call them.

Each function takes `Answers` and gives `Statistics`. The definitions are in ``docs/measures.md``.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.measure import (
    Statistics,
    Sums,
    annotators,
    per_list,
    ratio,
)
from annotation_site.analysis.agreement.tokens import SEVERAL_PATTERNS

NO_PATTERN = ("pairs of answers", "neither person has a pattern")
ALL_OR_NOTHING = (
    "pairs of answers",
    "both people leave every token by itself, or both put all tokens together",
)


def matched_jaccard(answers: EncodedAnnotations) -> Statistics:
    """Summed overlap of matched patterns over the number of patterns, matched ones once."""
    found = answers.matching
    overlap = found.summed(found.candidates.jaccard)
    matched = found.summed(np.ones(len(found.candidates.pair)))
    return mean_over_lists(answers, ratio(overlap, found.patterns - matched), NO_PATTERN)


def pattern_f1(answers: EncodedAnnotations) -> Statistics:
    """Twice the matched patterns that share half of their tokens, over all patterns."""
    found = answers.matching
    half = found.summed(found.half)
    return mean_over_lists(answers, ratio(2 * half, found.patterns), NO_PATTERN)


def matched_category(answers: EncodedAnnotations) -> Statistics:
    """The share of matched patterns, overlap at least one half, that have the same category."""
    return _same_of_matched(answers, answers.patterns.category)


def matched_stopwords(answers: EncodedAnnotations) -> Statistics:
    """The share of matched patterns, overlap at least one half, that have the same flag."""
    return _same_of_matched(answers, answers.patterns.stopwords)


def _same_of_matched(answers: EncodedAnnotations, said: NDArray[Any]) -> Statistics:
    """The share of matched patterns of which both people say the same; `said` of each pattern."""
    found = answers.matching
    same = said[found.candidates.first] == said[found.candidates.second]
    half = per_list(answers, found.summed(found.half))
    return Statistics(
        parts={
            "same": per_list(answers, found.summed(found.half & same)),
            "matched": half,
        },
        value=lambda sums: ratio(sums["same"], sums["matched"]),
        n=half,
        left_out={
            ("pairs of answers", "no two of their patterns share half of their tokens"): per_list(
                answers, found.summed(found.half) == 0
            )
        },
        degenerate=never,
    )


def pattern_count(answers: EncodedAnnotations) -> Statistics:
    """The share of pairs of annotations with equally many patterns, where one has any."""
    first, second = answers.matching.candidates.shape.T
    equal = (first == second).astype(np.float64)
    equal[first + second == 0] = np.nan
    return mean_over_lists(answers, equal, NO_PATTERN)


def adjusted_rand(answers: EncodedAnnotations) -> Statistics:
    """The adjusted Rand index of two groupings of a list; tokens without pattern are alone."""
    found, pairs, patterns = answers.matching.candidates, answers.pairs, answers.patterns
    together = np.bincount(
        patterns.annotation, weights=pairs_of(patterns.size), minlength=len(answers.length)
    )
    one, other = together[pairs.first], together[pairs.second]
    both = np.bincount(found.pair, weights=pairs_of(found.shared), minlength=len(one))
    couples = pairs_of(answers.length[pairs.first])
    # Multiplied out by 2 · couples, so that only whole numbers are compared with 0.
    index = ratio(2 * (both * couples - one * other), (one + other) * couples - 2 * one * other)
    invalid = answers.overlapping[pairs.first] | answers.overlapping[pairs.second]
    index[invalid] = np.nan
    share = 1 / np.maximum(annotators(answers)[pairs.list] - 1, 1)
    dropped = answers.overlapping[pairs.first].astype(np.int64) + answers.overlapping[pairs.second]
    left_out = {
        ALL_OR_NOTHING: per_list(answers, np.isnan(index) & ~invalid),
        SEVERAL_PATTERNS: np.rint(per_list(answers, dropped * share)),
    }
    return replace(mean_over_lists(answers, index, ALL_OR_NOTHING), left_out=left_out)


def mean_over_lists(
    answers: EncodedAnnotations, values: Floats, undefined: tuple[str, str]
) -> Statistics:
    """The mean over the pairs of annotations of each list, where defined, then over lists."""
    defined = ~np.isnan(values)
    pairs = per_list(answers, defined)
    total = per_list(answers, np.where(defined, values, 0.0))
    lists = (pairs > 0).astype(np.float64)
    return Statistics(
        parts={"total": np.where(lists > 0, total / np.maximum(pairs, 1), 0.0), "lists": lists},
        value=lambda sums: ratio(sums["total"], sums["lists"]),
        n=lists,
        left_out={undefined: per_list(answers, ~defined)},
        degenerate=never,
    )


def pairs_of(size: Integers) -> Floats:
    """Number of pairs of so many entries."""
    return np.asarray(size * (size - 1) / 2, dtype=np.float64)


def never(sums: Sums) -> str:
    """`degenerate` of measures that are defined wherever they have units."""
    raise AssertionError("A value that rests on some units is defined.")
