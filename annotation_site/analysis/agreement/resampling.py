"""Every measure in every resample, for several groupings at once."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.groups import Agreement, Grouping
from annotation_site.analysis.agreement.measure import Statistics, Sums
from annotation_site.analysis.agreement.thin import is_thin, thin_values
from annotation_site.analysis.intervals import STRATA, resampled_sums


def resampled_values(
    agreement: Agreement, groupings: Sequence[Grouping], resamples: int, seed: int
) -> list[Floats]:
    """Values in every resample, per grouping: shape (rows of its table, resamples)."""
    used = np.flatnonzero(agreement.lists["annotations"].to_numpy() > 1)
    strata_of = agreement.lists.iloc[used].groupby(list(STRATA), observed=True).ngroup()
    strata = strata_of.to_numpy(dtype=np.int64)
    cells = sorted({cell for one in groupings for cell in one.cells(agreement)}, key=str)
    cells = [cell for cell in cells if cell in agreement.statistics]
    thin = [cell for cell in cells if is_thin(agreement.statistics[cell])]
    parts = {
        (*cell, part): values[used]
        for cell in cells
        if cell not in thin
        for part, values in agreement.statistics[cell].parts.items()
    }
    members = [_stratum_membership(one.indicator(used), strata) for one in groupings]
    found: list[dict[tuple[str | None, str], list[Floats]]] = [{} for _ in groupings]
    for sums in resampled_sums(list(parts.values()), strata, resamples=resamples, seed=seed):
        of_part = dict(zip(parts, sums, strict=True))
        for cell in cells:
            if cell in thin:
                continue
            statistics = agreement.statistics[cell]
            strata_sums = {part: of_part[*cell, part] for part in statistics.parts}
            for grouping, member, values in zip(groupings, members, found, strict=True):
                if cell[0] in grouping.categories:
                    block = _values_of_groups(statistics, strata_sums, member)
                    values.setdefault(cell, []).append(block)
    for cell in thin:
        wanted = [cell[0] in one.categories for one in groupings]
        groups = [one for one, is_wanted in zip(members, wanted, strict=True) if is_wanted]
        blocks = thin_values(
            agreement.statistics[cell], used, strata, groups, resamples=resamples, seed=seed
        )
        whose = [values for values, is_wanted in zip(found, wanted, strict=True) if is_wanted]
        for values, block in zip(whose, blocks, strict=True):
            values[cell] = [block]
    return [
        _in_table_order(values, grouping.cells(agreement), len(grouping.keys), resamples)
        for grouping, values in zip(groupings, found, strict=True)
    ]


def _values_of_groups(
    statistics: Statistics, strata_sums: Sums, member: NDArray[np.bool_]
) -> Floats:
    """The measure in every group of strata and resample; shape (groups, resamples)."""
    sums = {
        part: np.stack([values[inside].sum(axis=0) for inside in member])
        for part, values in strata_sums.items()
    }
    return np.asarray(statistics.value(sums))


def _stratum_membership(groups: sparse.csr_array, strata: Integers) -> NDArray[np.bool_]:
    """Which strata make up each group, shape (groups, strata)."""
    shape = len(strata), int(strata.max(initial=-1)) + 1
    of_list = sparse.csr_array((np.ones(len(strata)), (np.arange(len(strata)), strata)), shape)
    return np.asarray((groups @ of_list).toarray()) > 0


def _in_table_order(
    values: Mapping[tuple[str | None, str], Sequence[Floats]],
    cells: Sequence[tuple[str | None, str]],
    groups: int,
    resamples: int,
) -> Floats:
    """Shape (groups × cells, resamples); NaN where a cell has no statistics."""
    nothing = [np.full((groups, resamples), np.nan)]
    columns = [np.concatenate(values.get(cell, nothing), axis=1) for cell in cells]
    return np.stack(columns, axis=1).reshape(-1, resamples)
