"""Every measure in every resample, for several groupings at once."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.groups import Agreement, Cell, Grouping
from annotation_site.analysis.agreement.measure import Statistics
from annotation_site.analysis.agreement.thin import ThinSums
from annotation_site.analysis.intervals import drawn_weights, rows_of, stratum_sums

_BLOCK = 250  # resamples at a time: their sums stay in the processor's cache


def resampled_values(
    agreement: Agreement, groupings: Sequence[Grouping], resamples: int, seed: int
) -> list[Floats]:
    """Values in every resample, per grouping: shape (rows of its table, resamples)."""
    used = np.flatnonzero(agreement.lists["annotations"].to_numpy() > 1)
    found = [
        {cell: np.full((len(one.keys), resamples), np.nan) for cell in one.cells(agreement)}
        for one in groupings
    ]
    if len(used):
        _fill(found, agreement, groupings, used, seed)
    return [np.stack(list(values.values()), axis=1).reshape(-1, resamples) for values in found]


def _fill(
    found: Sequence[dict[Cell, Floats]],
    agreement: Agreement,
    groupings: Sequence[Grouping],
    used: Integers,
    seed: int,
) -> None:
    """Draw the lists `used` and write what follows, shape (groups, resamples) by cell."""
    resamples = next(iter(found[0].values())).shape[1]
    units, strata = agreement.units(used)
    rows = rows_of(strata)
    wanted = sorted({cell for one in groupings for cell in one.cells(agreement)}, key=str)
    known = agreement.statistics
    statistics = {one: known[one] for one in wanted if one in known}
    thin = {
        cell: ThinSums(one.parts, one.terms, used, units)
        for cell, one in statistics.items()
        if one.terms is not None
    }
    others = {cell: one for cell, one in statistics.items() if cell not in thin}
    dense = _Columns(others, used, units)
    parts = [dense.values[inside] for inside in rows]
    members = [_membership(one.codes[used], strata[units], len(one.keys)) for one in groupings]
    begin = 0
    for weights in drawn_weights(rows, resamples=resamples, seed=seed, block=_BLOCK):
        now = slice(begin, begin + len(weights[0]))
        begin = now.stop
        sums = stratum_sums(parts, weights)
        drawn = np.empty((len(strata), len(weights[0])))
        for inside, weight in zip(rows, weights, strict=True):
            drawn[inside] = weight.T
        for member, values in zip(members, found, strict=True):
            for group in np.flatnonzero(member.any(axis=1)):
                together = sums[member[group]].sum(axis=0)
                for cell in values.keys() & others.keys():
                    values[cell][group, now] = dense.value(cell, together)
                for cell in values.keys() & thin.keys():
                    values[cell][group, now] = thin[cell].values(member[group][strata], drawn)


class _Columns:
    """The parts of many measures side by side, each different column once: `values`, shape (units,
    columns)."""

    def __init__(
        self, statistics: Mapping[Cell, Statistics], used: Integers, units: Integers
    ) -> None:
        self.statistics = statistics
        self.places: dict[Cell, dict[str, Integers]] = {}
        columns: dict[bytes, int] = {}
        kept: list[Floats] = []
        count = int(units.max(initial=-1)) + 1
        for cell, one in statistics.items():
            self.places[cell] = {}
            for name, part in one.parts.items():
                values = np.asarray(part)[used]
                places = []
                for column in values.reshape(len(used), -1).T:
                    of_unit = np.bincount(units, column, count).astype(np.float64)
                    places.append(columns.setdefault(of_unit.tobytes(), len(columns)))
                    if len(columns) > len(kept):
                        kept.append(of_unit)
                self.places[cell][name] = np.array(places[0] if values.ndim == 1 else places)
        self.values = np.stack(kept, axis=1) if kept else np.empty((count, 0))

    def value(self, cell: Cell, sums: Floats) -> Floats:
        """The measure from sums of the columns, shape (resamples, columns)."""
        parts = {name: sums[:, places] for name, places in self.places[cell].items()}
        return np.asarray(self.statistics[cell].value(parts))


def _membership(groups: Integers, strata: Integers, count: int) -> NDArray[np.bool_]:
    """Which strata make up each group, shape (groups, strata), from both of every list."""
    member = np.zeros((count, int(strata.max(initial=-1)) + 1), dtype=np.bool_)
    member[groups, strata] = True
    return member
