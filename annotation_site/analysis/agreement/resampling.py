"""Resampling: every measure of agreement in every resample, for several groupings at once."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.groups import Agreement, Cell, Drawn, Grouping
from annotation_site.analysis.agreement.measure import Statistics
from annotation_site.analysis.agreement.thin import ThinSums
from annotation_site.analysis.intervals import drawn_weights, rows_of, stratum_sums
from annotation_site.analysis.strata import Marks

_BLOCK = 250  # resamples at a time: their sums stay in the processor's cache


Rows = dict[int, Floats]
"""Values in every resample, shape (resamples,), by row of a table."""


def resampled_values(
    agreement: Agreement,
    groupings: Sequence[Grouping],
    drawn: Drawn,
    resamples: int,
    seed: int,
    wanted: Sequence[Collection[int]],
) -> list[Rows]:
    """Values of the wanted rows of each grouping's table in every resample.

    Groups of several layers are drawn by `Strata.pools`; a layer's lists by themselves. Rows that
    get no interval are not wanted, and nothing is computed for them.
    """
    found = [{row: np.full(resamples, np.nan) for row in sorted(rows)} for rows in wanted]
    strata = drawn.strata
    own = np.arange(len(strata))
    pooled = len(np.unique(strata.pools)) < len(strata)
    for by_layer in (False, True):
        chosen = [
            place
            for place, one in enumerate(groupings)
            if ("layer" in one.by and pooled) == by_layer and found[place]
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
    return found


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
    found: Sequence[Rows],
    agreement: Agreement,
    groupings: Sequence[Grouping],
    draws: _Draws,
) -> None:
    """Draw lists and write what follows into the rows."""
    used, units, group_of = draws.drawn.rows, draws.drawn.units, draws.of_unit
    rows = rows_of(group_of)
    groups = [
        group
        for grouping, values in zip(groupings, found, strict=True)
        for group in _groups(grouping, agreement, values, grouping.members(used, units, group_of))
    ]
    # All of them, so that no last digit depends on which rows are wanted.
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
    begin = 0
    for weights in draws.weights(rows):
        now = slice(begin, begin + len(weights[0]))
        begin = now.stop
        sums = stratum_sums(parts, weights)
        drawn = np.empty((len(group_of), len(weights[0])))
        for inside, weight in zip(rows, weights, strict=True):
            drawn[inside] = weight.T
        for group in groups:
            together = sums[group.members].sum(axis=0)
            for cell, values in group.values.items():
                if cell in others:
                    values[now] = dense.value(cell, together)
                elif cell in thin:
                    values[now] = thin[cell].values(group.members[group_of], drawn)


@dataclass(frozen=True, eq=False)
class _Group:
    """A group of lists of which some measures are wanted.

    `members` says which groups of units it has; `values` holds the rows by cell, to be written.
    """

    members: Marks
    values: dict[Cell, Floats]


def _groups(
    grouping: Grouping, agreement: Agreement, found: Rows, members: Marks
) -> Iterator[_Group]:
    """The groups of a table that have wanted rows, and drawn lists."""
    cells = grouping.cells(agreement)
    of_group: dict[int, dict[Cell, Floats]] = {}
    for row, values in found.items():
        group, place = divmod(row, len(cells))
        of_group.setdefault(group, {})[cells[place]] = values
    for group, rows in of_group.items():
        if members[group].any():
            yield _Group(members[group], rows)


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
