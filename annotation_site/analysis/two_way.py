"""Chance of two sources, lists and people: intervals for people like the annotators.

The lists' part of the variance is that of the interval beside it, in which the annotators stay.
The people's part comes from resamples of people, in which the lists stay. The definitions, a small
case by hand and the measured coverage are in ``docs/measures.md``.

References
----------
Owen (2007), The pigeonhole bootstrap, https://doi.org/10.1214/07-AOAS122
Owen and Eckles (2012), Bootstrapping data arrays of arbitrary order,
https://doi.org/10.1214/12-AOAS547
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from annotation_site.analysis.agreement.measure import ratio
from annotation_site.analysis.strata import Floats, Integers
from annotation_site.analysis.stratified import half_widths

PEOPLE_RESAMPLES = 1_000
"""Resamples of people at most: their spread is then known to 2%."""
FEWEST_PEOPLE = 5
FEW_PEOPLE = 10
FEWEST_EQUAL_PEOPLE = 3.0
"""People with the same share of the annotations each that a row's people must amount to."""

_PEOPLE_STREAM = 6  # apart from the seeds of lists, which are the seed and the stratum
CELLS = 2_000_000
"""Numbers of one block of resamples."""


def people_draws(people: int, *, resamples: int, seed: int) -> Floats:
    """How often each person is drawn: `people` − 1 draws with replacement in each resample.

    Parameters
    ----------
    people
        Two or more.
    resamples, seed
        How often, and of the generator.

    Returns
    -------
    NDArray
        Multiplicities, shape (people, resamples). With one draw less than people, the variance of
        a mean over people is that of the sample with divisor people − 1.
    """
    generator = np.random.default_rng([seed, _PEOPLE_STREAM, people])
    even = np.full(people, 1 / people)
    return generator.multinomial(people - 1, even, size=resamples).T.astype(np.float64)


def equal_people(person: Integers, share: Floats) -> float:
    """The number of people, all with the same share, whose mean would vary as much.

    Parameters
    ----------
    person
        Of each annotation, 0, 1, …; shape (annotations,).
    share
        The weight of each annotation in the value, shape (annotations,).

    Returns
    -------
    float
        (Σ shares)² / Σ shares², summed by person (Kish 1965, Survey sampling, section 11.7).

    Examples
    --------
    >>> equal_people(np.array([0, 1, 2, 2]), np.ones(4)).__round__(3)
    2.667
    """
    shares = np.bincount(person, share)
    return float(shares.sum() ** 2 / (shares**2).sum())


@dataclass(frozen=True, eq=False)
class Answers:
    """Values of annotations, as cells of a table of people and lists.

    Attributes
    ----------
    person
        0, 1, …; shape (annotations,).
    list
        0, 1, …, each has an annotation; shape (annotations,).
    values
        Shape (annotations, columns).
    """

    person: Integers
    list: Integers
    values: Floats

    @property
    def people(self) -> int:
        return int(self.person.max(initial=-1)) + 1

    @property
    def lists(self) -> int:
        return int(self.list.max(initial=-1)) + 1

    @property
    def equal_people(self) -> float:
        """People of equal shares: each list weighs the same, however many annotated it."""
        return equal_people(self.person, 1 / np.bincount(self.list)[self.list])

    def resampled_lists(self, draws: Floats) -> Iterator[Floats]:
        """The mean of each list's annotations, weighted by how often their people were drawn.

        NaN where none was. Blocks of resamples, shape (lists, columns, resamples of the block).
        """
        table = np.column_stack([np.ones(len(self.person)), self.values])
        shape = self.lists, self.people
        where = self.list, self.person
        grids = [sparse.csr_array((column, where), shape=shape) for column in table.T]
        step = max(1, CELLS // (max(shape[0], 1) * len(grids)))
        for begin in range(0, draws.shape[1], step):
            weights = draws[:, begin : begin + step]
            drawn, *sums = (grid @ weights for grid in grids)
            yield ratio(np.stack(sums, axis=1), drawn[:, None, :])


def resampled_means(answers: Answers, draws: Floats) -> Floats:
    """The mean over lists in every resample of people, shape (columns, resamples).

    Lists without a drawn person drop out; NaN where none is left.
    """
    parts = [mean_where_defined(block) for block in answers.resampled_lists(draws)]
    return np.concatenate(parts, axis=-1)


def mean_where_defined(lists: Floats) -> Floats:
    """The mean over the first axis, without undefined values (NaN)."""
    there = ~np.isnan(lists)
    return ratio(np.where(there, lists, 0.0).sum(axis=0), there.sum(axis=0).astype(np.float64))


def resampled_differences(
    answers: Answers, draws: Floats, *, is_first: Integers, layer: Integers, held: Floats
) -> Floats:
    """The mean of the layers' differences of two kinds in every resample of people.

    Parameters
    ----------
    answers
        To lists of both kinds.
    draws
        From `people_draws`.
    is_first
        1 for lists of the first kind, else 0; shape (lists,).
    layer
        The layer's number of each list, 0, 1, …; shape (lists,).
    held
        The weight of each layer, shape (layers,).

    Returns
    -------
    NDArray
        Shape (columns, resamples). A layer that has lost all lists of one kind is left out; NaN
        where no layer is left.
    """
    group = 2 * layer + is_first
    shape = 2 * len(held), len(group)
    rows = sparse.csr_array((np.ones(len(group)), (group, np.arange(len(group)))), shape=shape)
    parts = []
    for lists in answers.resampled_lists(draws):
        there = ~np.isnan(lists)
        columns = lists.shape[1:]
        sums = rows @ np.where(there, lists, 0.0).reshape(len(group), -1)
        means = ratio(sums, rows @ there.reshape(len(group), -1).astype(np.float64))
        apart = (means[1::2] - means[::2]).reshape(len(held), *columns)
        kept = ~np.isnan(apart)
        weights = kept * held[:, None, None]
        parts.append(ratio((weights * np.where(kept, apart, 0.0)).sum(axis=0), weights.sum(axis=0)))
    return np.concatenate(parts, axis=-1)


def two_way_half_widths(
    variances: Floats, freedom: Floats | Integers, resampled: Floats, people: float
) -> Floats:
    """Half the width of the intervals for people like these.

    Parameters
    ----------
    variances, freedom
        Of the lists: what each part adds, shape (parts, columns), and its degrees of freedom.
    resampled
        The values in every resample of people, shape (columns, resamples); NaN where undefined,
        which are left out.
    people
        The number of people of equal shares; degrees of freedom of their part are one less.

    Returns
    -------
    NDArray
        Shape (columns,): t · √(variance between lists + variance between people), with
        Satterthwaite's degrees of freedom; NaN where fewer than two resamples have a value.

    Notes
    -----
    Each of the two variances holds the chance of single annotations once, so that their sum is
    a little too large. A resample of both at once holds it three times (Owen 2007).
    """
    there = ~np.isnan(resampled)
    count = there.sum(axis=1)
    safe = np.where(there, resampled, 0.0)
    mean = safe.sum(axis=1) / np.maximum(count, 1)
    squares = (np.where(there, resampled - mean[:, None], 0.0) ** 2).sum(axis=1)
    of_people = squares / np.maximum(count - 1, 1)
    parts = np.vstack([variances, of_people])
    half = half_widths(parts, np.append(freedom, people - 1))
    return np.where(count > 1, half, np.nan)
