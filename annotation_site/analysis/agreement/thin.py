"""Resampling of measures that are means over pairs of people, most of whom share few lists.

A part with a column per pair of people is wide and nearly empty. A pair that shares one list of a
group has the same value whenever that list is drawn, so it adds up over lists like any other
statistic; only pairs with more lists are measured anew in every resample.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.measure import Terms, ratio


class ThinSums:
    """Sparse sums of one measure: an entry per drawn unit and pair of people in it."""

    def __init__(
        self,
        parts: Mapping[str, Floats | sparse.csr_array],
        terms: Terms,
        used: Integers,
        units: Integers,
    ) -> None:
        """Of `Statistics`; `used` are rows of the parts, `units` the unit of each, shape (used,).

        All parts have the same cells.
        """
        cells = {name: sparse.coo_array(part) for name, part in parts.items()}
        row, pair = next(iter(cells.values())).coords
        unit_of = np.full(int(max(row.max(initial=0), used.max(initial=0))) + 1, -1)
        unit_of[used] = units
        kept = unit_of[row] >= 0
        width = int(pair.max(initial=0)) + 1
        code, entry = np.unique(unit_of[row[kept]] * width + pair[kept], return_inverse=True)
        self.terms = terms
        self.unit, self.pair = np.divmod(code, width)
        self.parts = {
            name: np.bincount(entry, part.data[kept], len(code)).astype(np.float64)
            for name, part in cells.items()
        }
        self.groups: dict[bytes, _Group] = {}

    def values(self, chosen: NDArray[np.bool_], weights: Floats) -> Floats:
        """The measure of the chosen units, shape (units,), in every resample.

        `weights` say how often each unit was drawn, shape (units, resamples).
        """
        key = chosen.tobytes()
        if key not in self.groups:
            inside = chosen[self.unit]
            place = np.cumsum(chosen) - 1
            self.groups[key] = _Group(
                {name: values[inside] for name, values in self.parts.items()},
                self.terms,
                place[self.unit[inside]],
                self.pair[inside],
            )
        return self.groups[key].values(weights[chosen])


class _Group:
    """A measure of one group of units."""

    def __init__(
        self, parts: Mapping[str, Floats], terms: Terms, unit: Integers, pair: Integers
    ) -> None:
        """`unit` and `pair` say where the entries of the parts belong."""
        _, pair, entries = np.unique(pair, return_inverse=True, return_counts=True)
        several = entries[pair] > 1
        _, place = np.unique(pair[several], return_inverse=True)
        self.terms = terms
        self.names = list(parts)
        self.several = int((entries > 1).sum())
        alone = terms({name: values[~several] for name, values in parts.items()})
        # For each part a row per pair that is measured anew, then the others' two terms.
        rows = [place + number * self.several for number in range(len(parts))]
        last = len(parts) * self.several
        rows += [np.full(len(term), last + number) for number, term in enumerate(alone)]
        columns = [unit[several]] * len(parts) + [unit[~several]] * 2
        values = [*(values[several] for values in parts.values()), *alone]
        cells = np.concatenate(rows), np.concatenate(columns)
        shape = last + 2, int(unit.max(initial=-1)) + 1
        self.rows = sparse.csr_array((np.concatenate(values), cells), shape=shape)

    def values(self, weights: Floats) -> Floats:
        """In every resample; `weights` of the group's units, shape (units, resamples)."""
        sums, alone = np.split(np.asarray(self.rows @ weights[: self.rows.shape[1]]), [-2])
        of_part = sums.reshape(len(self.names), self.several, weights.shape[1])
        anew = self.terms(dict(zip(self.names, of_part, strict=True)))
        return ratio(*(one.sum(axis=0) + more for one, more in zip(anew, alone, strict=True)))
