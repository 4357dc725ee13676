"""Tables of agreement: by group of lists, by category, by pair of people."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from annotation_site.analysis.agreement.arrays import Floats, Integers
from annotation_site.analysis.agreement.groups import (
    Agreement,
    Cell,
    Grouping,
    measure_agreement,
)
from annotation_site.analysis.agreement.measure import Statistics
from annotation_site.analysis.agreement.resampling import resampled_values
from annotation_site.analysis.intervals import SEED, percentile_interval
from annotation_site.analysis.strata import (
    FEW_LISTS,
    FEW_LISTS_WARNING,
    FEW_PER_STRATUM_RESAMPLED,
    NOTHING_KNOWN,
    Marks,
    Populations,
    Strata,
    joined,
)

__all__ = ["COLUMNS", "Agreement", "agreement_table", "agreement_tables", "measure_agreement"]

COLUMNS = (
    *("measure", "value", "low", "high", "chance", "shuffles", "n", "unit", "lists"),
    *("lists_total", "annotations", "left_out", "undefined", "warning"),
)


def agreement_table(agreement: Agreement, *, by: Sequence[str] = ()) -> pd.DataFrame:
    """One table without intervals; see `agreement_tables`."""
    return agreement_tables(agreement, by=[by])[0]


def agreement_tables(
    agreement: Agreement,
    *,
    by: Sequence[Sequence[str]],
    resamples: int = 0,
    seed: int = SEED,
    populations: Populations = NOTHING_KNOWN,
) -> list[pd.DataFrame]:
    """Tabulate every measure for groups of lists, for several groupings at once.

    Parameters
    ----------
    agreement
        Of the lists.
    by
        For each table what makes a group: none or some of "model", "kind", "layer" and
        "category" (and "list_id", or "first" and "second" where `Agreement.by_pair` made the
        lists).
    resamples, seed
        How often lists with two annotations are resampled within model, kind and layer for the
        95% percentile intervals; 0 for none. All tables share the draws, but for those by layer
        where others pool layers with a single list.
    populations
        What the lists were drawn from; what was taken whole is not drawn anew.

    Returns
    -------
    list of DataFrame
        One row per group and measure, groups ordered as in `coverage_table`: the columns of `by`,
        ``measure``, ``value`` (missing where undefined), ``low``, ``high``, ``chance`` (the value
        of annotations with shuffled entries, missing where the measure has none), ``shuffles``
        (how many of them for each pair of annotations, else 0), ``n`` and ``unit``
        (what the value rests on), ``lists`` (that enter it), ``lists_total`` (of the group),
        ``annotations`` (of the lists that enter), ``left_out`` (how many of what, and why),
        ``undefined`` ("undefined, because …", else empty), ``warning``.

    Raises
    ------
    ValueError
        When `by` names something else, or one thing twice, or "category" where `agreement` knows
        no categories; when intervals are asked for groups of anything else than model, kind,
        layer and category, or for pairs of people, which are shown as points.
    """
    if resamples:
        _check_strata(agreement, by)
    groupings = [Grouping.of(agreement, one) for one in by]
    tables = [_table(agreement, grouping) for grouping in groupings]
    if resamples and tables:
        drawn = agreement.drawn(populations)
        judged = [
            _judged(table, drawn.strata, grouping.members(drawn.rows, drawn.units, drawn.stratum))
            for grouping, table in zip(groupings, tables, strict=True)
        ]
        wanted = [[row for row, (reason, _) in rows.items() if not reason] for rows in judged]
        found = resampled_values(agreement, groupings, drawn, resamples, seed, wanted)
        for table, rows, values in zip(tables, judged, found, strict=True):
            _add_intervals(table, rows, values)
    return tables


def _check_strata(agreement: Agreement, by: Sequence[Sequence[str]]) -> None:
    others = sorted({column for one in by for column in one} - {*agreement.strata, "category"})
    if others or "first" in agreement.lists:
        known = ", ".join(agreement.strata)
        raise ValueError(f"Intervals are for groups of {known} and category.")


def _table(agreement: Agreement, grouping: Grouping) -> pd.DataFrame:
    """Values, counts and reasons, without intervals."""
    groups = grouping.indicator()
    cells = grouping.cells(agreement)
    columns = [_rows(agreement, category, name, groups) for category, name in cells]
    rows = [
        {**key, **({"category": category} if "category" in grouping.by else {}), **row[group]}
        for group, key in enumerate(grouping.keys.to_dict("records"))
        for (category, _), row in zip(cells, columns, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*grouping.by, *COLUMNS])


def _rows(
    agreement: Agreement, category: str | None, name: str, groups: sparse.csr_array
) -> list[dict[str, object]]:
    """One measure's row for every group."""
    statistics = agreement.statistics.get((category, name))
    annotated = agreement.lists["annotations"].to_numpy()
    enough = groups @ (annotated > 1).astype(np.float64)
    total = _lists_of(agreement, groups, np.ones(len(annotated), dtype=np.bool_))
    measure = agreement.measures[name]
    missing = {
        "measure": name,
        "value": np.nan,
        "low": np.nan,
        "high": np.nan,
        "chance": np.nan,
        "shuffles": 0,
        "unit": measure.unit,
    }
    if statistics is None:
        reason = measure.undefined or "undefined, because the row looks at one category alone."
        empty = {"n": 0, "lists": 0, "annotations": 0, "left_out": "", "warning": ""}
        return [{**missing, **empty, "lists_total": t, "undefined": reason} for t in total]
    sums = _sums(statistics, groups)
    values = np.asarray(statistics.value(sums))
    chance = _chance(agreement, (category, name), groups)
    n = np.rint(groups @ statistics.n).astype(np.int64)
    enters = statistics.n > 0
    lists = _lists_of(agreement, groups, enters)
    # Of a list that is a pair of annotations, the second is somebody's own, or a machine's.
    each = annotated if agreement.counted == "list_id" else np.ones(len(annotated))
    annotations = groups @ np.where(enters, each, 0).astype(np.float64)
    rows = []
    few_annotations = np.diff(groups.indptr) - enough
    for group, left_out in enumerate(_left_out(statistics, groups, few_annotations)):
        value, undefined = values[group], ""
        if enough[group] == 0:
            undefined = "undefined, because no list has answers of two people."
        elif n[group] == 0:
            undefined = f"undefined, because nothing can be compared ({left_out})."
        elif np.isnan(value):
            reason = statistics.degenerate({part: one[group] for part, one in sums.items()})
            undefined = f"undefined, because {reason}."
        few = not undefined and lists[group] < FEW_LISTS
        rows.append(
            {
                **missing,
                "value": np.nan if undefined else value,
                **({} if undefined else chance[group]),
                "n": n[group],
                "lists": lists[group],
                "lists_total": total[group],
                "annotations": int(annotations[group]),
                "left_out": left_out,
                "undefined": undefined,
                "warning": FEW_LISTS_WARNING if few else "",
            }
        )
    return rows


def _lists_of(agreement: Agreement, groups: sparse.csr_array, enters: Marks) -> Integers:
    """How many of the lists that enter each group has, by `Agreement.counted`."""
    if agreement.counted == "list_id":
        return np.asarray(np.rint(groups @ enters.astype(np.float64)), dtype=np.int64)
    code, known = pd.factorize(agreement.lists[agreement.counted])
    shape = len(code), len(known)
    of_list = sparse.csr_array((np.ones(len(code)), (np.arange(len(code)), code)), shape=shape)
    return np.asarray(np.diff((groups[:, enters] @ of_list[enters]).indptr), dtype=np.int64)


def _sums(statistics: Statistics, groups: sparse.csr_array) -> dict[str, Floats]:
    return {part: _dense(groups @ values) for part, values in statistics.parts.items()}


def _chance(
    agreement: Agreement, cell: Cell, groups: sparse.csr_array
) -> list[dict[str, float | int]]:
    """The chance level of every group, and the number of its shuffles; nothing without one."""
    if cell not in agreement.chance:
        return [{}] * groups.shape[0]
    statistics = agreement.chance[cell]
    values = np.asarray(statistics.value(_sums(statistics, groups)))
    shuffles = agreement.shuffled[cell[0]].shuffles
    return [{} if np.isnan(one) else {"chance": one, "shuffles": shuffles} for one in values]


def _left_out(
    statistics: Statistics, groups: sparse.csr_array, few_annotations: Floats
) -> Iterator[str]:
    """Sentences about everything that does not enter each group's value."""
    counts = {("lists", "fewer than two people answered"): few_annotations}
    counts |= {what: groups @ count for what, count in statistics.left_out.items()}
    for group in range(groups.shape[0]):
        yield "; ".join(
            f"{count[group]:.0f} of the {unit}: {reason}"
            for (unit, reason), count in counts.items()
            if count[group]
        )


def _dense(values: Floats | sparse.csr_array) -> Floats:
    return values if isinstance(values, np.ndarray) else np.asarray(values.toarray())


Judged = dict[int, tuple[str, list[str]]]
"""Why a row gets no interval, empty where it gets one, and its warnings; by row."""


def _judged(table: pd.DataFrame, strata: Strata, member: Marks) -> Judged:
    """Of the rows with a value; `member` has the strata of each group, shape (groups, strata)."""
    cells = len(table) // max(len(member), 1)
    lists = table["lists"].to_numpy()
    return {
        int(row): strata.judged(
            member[row // cells], lists=int(lists[row]), few=FEW_PER_STRATUM_RESAMPLED
        )
        for row in np.flatnonzero(table["undefined"] == "")
    }


def _add_intervals(table: pd.DataFrame, judged: Judged, found: Mapping[int, Floats]) -> None:
    """Fill the bounds from the values in every resample."""
    bounds = np.full((len(table), 2), np.nan)
    warnings = [str(warning) for warning in table["warning"]]
    value = table["value"].to_numpy(dtype=np.float64)
    for row, (reason, said) in judged.items():
        if reason:
            warnings[row] = reason
            continue
        interval = percentile_interval(found[row], value=float(value[row]))
        bounds[row] = interval.low, interval.high
        warnings[row] = joined([warnings[row], *said, *interval.warnings()])
    table["low"], table["high"] = bounds.T
    table["warning"] = warnings
