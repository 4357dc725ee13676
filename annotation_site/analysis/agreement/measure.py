"""The definition of a measure of agreement: sums over lists, and the value as their function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.agreement.arrays import Floats, Integers

Sums = Mapping[str, Floats]
"""Named sums over some lists, each of shape (..., own shape)."""

Terms = Callable[[Sums], tuple[Floats, Floats]]
"""Of a weighted mean: what each column adds to it, and the columns' weights."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """A measure's sufficient statistics: one row per list; a group of lists is their sum.

    Attributes
    ----------
    parts
        Named arrays, shape (lists,) or (lists, columns), dense or sparse.
    value
        Computes the measure from sums of `parts`; NaN where it is undefined.
    n
        How many units of the list the value rests on, shape (lists,); 0 where it enters no value.
    left_out
        How many things of the list do not enter, by what they are and why; each of shape
        (lists,).
    degenerate
        Says why the value is undefined although there are units.
    terms
        For a weighted mean over the columns of `parts`, which are sparse: from sums each column's
        value times its weight, and its weight, 0 where the column has no value. Sums that are all
        twice as large give terms that are twice as large.
    """

    parts: Mapping[str, Floats | sparse.csr_array]
    value: Callable[[Sums], Floats]
    n: Floats
    left_out: Mapping[tuple[str, str], Floats]
    degenerate: Callable[[Sums], str]
    terms: Terms | None = None

    def taking(self, rows: Integers) -> "Statistics":
        """The statistics of some lists alone."""
        return replace(
            self,
            parts={name: values[rows] for name, values in self.parts.items()},
            n=self.n[rows],
            left_out={what: count[rows] for what, count in self.left_out.items()},
        )


@dataclass(frozen=True)
class Measure:
    """One measure of agreement.

    Attributes
    ----------
    name, title
        The key in the registry, and what pages call it.
    definition
        One or two sentences for people who read the table, with `%(entry)s` and `%(entries)s`
        where they name a list's entries, which pages fill in.
    source, url
        The publication that defines it.
    unit
        What `n` counts.
    on
        "tokens" or "patterns".
    needs_categories
        True where it compares categories, and so says nothing about a single one.
    needs_one_pattern
        True where it takes an entry to be in one pattern at most.
    needs_flags
        True where it compares flags for stopwords.
    has_chance
        True where a chance level says something: on patterns, and not corrected for chance.
    undefined
        Why it has no value in a study, where it has none.
    function
        Computes the statistics.
    """

    name: str
    title: str
    definition: str
    source: str
    url: str
    unit: str
    on: str
    function: Callable[[EncodedAnnotations], Statistics]
    needs_categories: bool = False
    needs_one_pattern: bool = False
    needs_flags: bool = False
    has_chance: bool = False
    undefined: str = ""


def ratio(numerator: Any, denominator: Any) -> Floats:
    """Divide; NaN, without a warning, if the denominator is 0."""
    if np.shape(numerator) != np.shape(denominator):  # slow for what is called so often
        numerator, denominator = np.broadcast_arrays(numerator, denominator)
    result = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) != 0)
    return result


def per_list(answers: EncodedAnnotations, values: Any) -> Floats:
    """Sum values of pairs of annotations by list; shape (lists,)."""
    return np.bincount(answers.pairs.list, weights=values, minlength=len(answers.lists)).astype(
        np.float64
    )


def annotators(answers: EncodedAnnotations, valid: NDArray[np.bool_] | None = None) -> Integers:
    """Number of valid annotations per list, 0 if that gives no pair; shape (lists,)."""
    kept = np.ones(len(answers.pairs.list)) if valid is None else valid
    pairs = np.rint(per_list(answers, kept)).astype(np.int64)
    # m (m − 1) / 2 pairs come from m annotations.
    return np.where(pairs > 0, np.rint((1 + np.sqrt(1 + 8 * pairs)) / 2), 0).astype(np.int64)
