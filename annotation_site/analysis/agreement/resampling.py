"""Resampling: every measure of agreement in every resample, for several groupings at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.groups import Agreement, Cell, Drawn, Grouping
from annotation_site.analysis.agreement.measure import Statistics
from annotation_site.analysis.agreement.thin import ThinSums
from annotation_site.analysis.intervals import drawn_weights, rows_of, stratum_sums

_BLOCK = 250  # resamples at a time: their sums stay in the processor's cache


def resampled_values(
    agreement: Agreement, groupings: Sequence[Grouping], drawn: Drawn, resamples: int, seed: int
) -> list[Floats]:
    """Values in every resample, per grouping: shape (rows of its table, resamples).

    Groups of several layers are drawn by `Strata.pools`; a layer's lists by themselves.
    """
    found = [
        {cell: np.full((len(one.keys), resamples), np.nan) for cell in one.cells(agreement)}
        for one in groupings
    ]
    strata = drawn.strata
    own = np.arange(len(strata))
    pooled = len(np.unique(strata.pools)) < len(strata)
    for by_layer in (False, True):
        chosen = [
            place
            for place, one in enumerate(groupings)
            if ("layer" in one.by and pooled) == by_layer
        ]
        if not chosen or not len(drawn.rows):
            continue
        groups = strata.pools if pooled and not by_layer else own
        _fill(
            [found[place] for place in chosen],
            agreement,
            [groupings[place] for place in chosen],
            _Draws(drawn, groups, resamples, seed),
        )
    return [np.stack(list(values.values()), axis=1).reshape(-1, resamples) for values in found]


@dataclass(frozen=True, eq=False)
class _Draws:
    """How units are drawn: within `groups` of strata, shape (strata,)."""

    drawn: Drawn
    groups: Integers
    resamples: int
    seed: int

    @property
    def of_unit(self) -> Integers:
        return self.groups[self.drawn.stratum]

    def weights(self, rows: Sequence[Integers]) -> Iterator[list[Floats]]:
        """Weights of each stratum's lists, block by block of resamples: see `drawn_weights`."""
        fixed = np.zeros(len(rows), dtype=np.bool_)
        fixed[self.groups] = self.drawn.strata.whole
        return drawn_weights(
            rows, fixed=fixed, resamples=self.resamples, seed=self.seed, block=_BLOCK
        )


def _fill(
    found: Sequence[dict[Cell, Floats]],
    agreement: Agreement,
    groupings: Sequence[Grouping],
    draws: _Draws,
) -> None:
    """Draw lists and write what follows, shape (groups, resamples) by cell."""
    used, units, group_of = draws.drawn.rows, draws.drawn.units, draws.of_unit
    rows = rows_of(group_of)
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
    members = [one.members(used, units, group_of) for one in groupings]
    begin = 0
    for weights in draws.weights(rows):
        now = slice(begin, begin + len(weights[0]))
        begin = now.stop
        sums = stratum_sums(parts, weights)
        drawn = np.empty((len(group_of), len(weights[0])))
        for inside, weight in zip(rows, weights, strict=True):
            drawn[inside] = weight.T
        for member, values in zip(members, found, strict=True):
            for group in np.flatnonzero(member.any(axis=1)):
                together = sums[member[group]].sum(axis=0)
                for cell in values.keys() & others.keys():
                    values[cell][group, now] = dense.value(cell, together)
                for cell in values.keys() & thin.keys():
                    values[cell][group, now] = thin[cell].values(member[group][group_of], drawn)


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
