"""Resampling of measures that look at pairs of people: most pairs have no list in most strata.

A part with a column per pair of people is wide and nearly empty. Added up over strata as it is,
resamples × pairs × strata numbers would be moved, nearly all of them 0; here each stratum keeps
the columns of the pairs that judged one of its lists.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.measure import Statistics
from annotation_site.analysis.intervals import drawn_weights

_NUMBERS = 4_000_000  # held at once in a group's sums, 32 MB: small enough for processor caches


def is_thin(statistics: Statistics) -> bool:
    """Whether all parts have a column per pair of people, and empty columns add nothing."""
    return all(not isinstance(part, np.ndarray) for part in statistics.parts.values())


def thin_values(
    statistics: Statistics,
    used: Integers,
    strata: Integers,
    groups: Sequence[NDArray[np.bool_]],
    *,
    resamples: int,
    seed: int,
) -> list[Floats]:
    """Values of one measure in every resample, for several groupings.

    Parameters
    ----------
    statistics
        Whose parts are sparse, shape (lists, pairs of people). A pair without a list must not
        change the value.
    used
        Rows of the lists that are resampled.
    strata
        Their strata, 0, 1, …, shape (used,).
    groups
        For each grouping which strata make up a group, shape (groups, strata).
    resamples, seed
        As for `resampled_sums`: the same seed draws the same lists.

    Returns
    -------
    list of NDArray
        Per grouping, shape (groups, resamples).
    """
    count = int(strata.max(initial=-1)) + 1
    rows = [np.flatnonzero(strata == one) for one in range(count)]
    compact = [_Compact(statistics, used[inside]) for inside in rows]
    found = [np.full((len(one), resamples), np.nan) for one in groups]
    if not count:
        return found
    widest = max((len(one.columns) for one in compact), default=0) * len(statistics.parts)
    block = int(np.clip(_NUMBERS // max(widest, 1), 1, 1_000))
    sizes = [len(inside) for inside in rows]
    begin = 0
    for weights in drawn_weights(sizes, resamples=resamples, seed=seed, block=block):
        sums = [one.sums(weight) for one, weight in zip(compact, weights, strict=True)]
        size = len(weights[0])
        for values, grouping in zip(found, groups, strict=True):
            for group, members in enumerate(grouping):
                inside = np.flatnonzero(members)
                if not len(inside):
                    continue
                chosen = [compact[one] for one in inside]
                together = _together(chosen, [sums[one] for one in inside])
                named = {
                    part: values_of.T
                    for part, values_of in zip(statistics.parts, together, strict=True)
                }
                values[group, begin : begin + size] = statistics.value(named)
        begin += size
    return found


class _Compact:
    """All parts of one stratum, without the pairs that judged none of its lists."""

    def __init__(self, statistics: Statistics, lists: Integers) -> None:
        parts = [sparse.csc_array(part[lists]) for part in statistics.parts.values()]
        filled = [np.diff(part.indptr) > 0 for part in parts]
        self.columns = np.flatnonzero(np.any(filled, axis=0))
        self.parts = len(parts)
        self.matrix = sparse.hstack([part[:, self.columns] for part in parts]).T.tocsr()

    def sums(self, weights: Floats) -> Floats:
        """Weighted sums, shape (parts, columns, resamples)."""
        product = self.matrix @ np.ascontiguousarray(weights.T)
        return np.asarray(product).reshape(self.parts, len(self.columns), len(weights))


def _together(strata: Sequence[_Compact], sums: Sequence[Floats]) -> Floats:
    """Add up some strata, shape (parts, columns that one of them has, resamples)."""
    if len(strata) == 1:
        return sums[0]
    columns = np.unique(np.concatenate([one.columns for one in strata]))
    total = np.zeros((strata[0].parts, len(columns), sums[0].shape[2]))
    for one, values in zip(strata, sums, strict=True):
        total[:, np.searchsorted(columns, one.columns)] += values
    return total
