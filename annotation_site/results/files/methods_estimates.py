"""Sentences of methods.md on the estimates for all value vectors."""

from collections.abc import Iterator, Mapping
from typing import Any

from annotation_site.analysis.written import count, decimal, share
from annotation_site.exports.table import Table
from annotation_site.results.files.references import cite

Row = dict[str, Any]


def estimates(study: Mapping[str, Any], tables: Mapping[str, Table]) -> Iterator[str]:
    """Sentences on the coverage of all value vectors, for each model and proxy.

    `study` is the key of parameters.json. None where nothing was estimated with a proxy.
    """
    of_set = f"the set “{study['drawn_from']['title']}” of " if study.get("drawn_from") else ""
    rows = _of_all_layers(tables)
    found = False
    for (model, proxy), row in rows.items():
        if not proxy or row["value"] is None:
            continue
        found = True
        related = (
            f" and has a correlation of {decimal(row['correlation'])} with the annotations within "
            "layers"
            if row["correlation"] is not None
            else ""
        )
        yield (
            f"The mean coverage of all {count(row['vectors'])} value vectors of {of_set}{model} is "
            f"estimated at {share(row['value'])} ({_interval(row)}) from {count(row['lists'])} "
            f"annotated lists and the proxy {proxy}, which is known of every vector{related}."
        )
        alone = rows[model, ""]
        yield (
            f"From these lists alone, the estimate is {share(alone['value'])} ({_interval(alone)})."
        )
    if found:
        yield (
            "Estimates with a proxy are difference estimates with one coefficient for all layers "
            f"{cite('cassel-etal-1976-some', 'angelopoulos-etal-2023-ppi')}. All estimates weight "
            "layers by their number of vectors."
        )


def _of_all_layers(tables: Mapping[str, Table]) -> dict[tuple[str, str], Row]:
    """The rows of coverage over all layers, by model and proxy."""
    table = tables.get("estimates")
    if table is None:
        return {}
    names = [column.name for column in table.columns]
    rows: list[Row] = [dict(zip(names, row, strict=True)) for row in table.rows]
    return {
        (str(row["model"]), str(row["proxy"])): row
        for row in rows
        if row["measure"] == "coverage" and row["layer_from"] is None
    }


def _interval(row: Row) -> str:
    if row["low"] is None:
        return row["warning"] or "no interval"
    return f"95% interval: {share(row['low'])} to {share(row['high'])}"
