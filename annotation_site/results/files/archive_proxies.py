"""Proxies of value vectors in a replication archive: two tables of labels, read with bounds.

Archives of studies without proxies have neither. Knows no database: the worker that writes an
archive, `python -m annotation_site.verify` and a restoring site all call this.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from annotation_site.analysis.estimates.proxies import (
    CENSUS_COLUMNS,
    VALUE_COLUMNS,
    Proxies,
    proxies_of,
)
from annotation_site.exports.table import Column

PROXY_COLUMNS = (Column("list", "number"), Column("proxy", "text"), Column("value", "number"))
"""A row per value list of the study and proxy."""

CENSUS = (
    Column("proxy", "text"),
    Column("title", "text"),
    Column("model", "text"),
    Column("layer", "number"),
    Column("vectors", "number"),
    Column("mean", "number"),
    Column("missing", "text"),
)
"""A row per proxy, model and layer: how many vectors have the proxy, and its mean over them. Of a
proxy that cannot be used, one row with the reason in `missing` and nothing else."""

PROXY_MEMBERS = ("labels/proxies.csv", "labels/census.csv")

MOST_PROXIES = 20
MOST_VALUES = 1_000_000
MOST_CENSUS = 200_000
MOST_NUMBER = 1e300
MOST_VECTORS = 1_000_000_000
LONGEST_NAME, LONGEST_TITLE, LONGEST_REASON = 100, 200, 1_000

FIELDS = """
`labels/proxies.csv` has numbers that are known of every value vector, the proxies. Estimates for
all value vectors use them. Each row has a `list` of labels/lists.csv, the name of the `proxy` and
its `value`. `labels/census.csv` has a row per proxy, model and layer: the proxy's `title`, the
number of `vectors` of the layer that have the proxy, and its `mean` over them. A proxy that cannot
be used has one row, with the reason in `missing`.
"""


def proxy_rows(proxies: Proxies, numbers: Mapping[int, int]) -> Iterator[tuple[Any, ...]]:
    """Rows of `PROXY_COLUMNS`; `numbers` has the number of each list in the archive."""
    for name in proxies.titles:
        if name in proxies.missing:
            continue
        rows = proxies.values[proxies.values["proxy"] == name]
        found = zip(rows["list_id"].tolist(), rows["value"].tolist(), strict=True)
        yield from sorted((numbers[one], name, value) for one, value in found)


def census_rows(proxies: Proxies) -> Iterator[tuple[Any, ...]]:
    """Rows of `CENSUS`."""
    for name, title in proxies.titles.items():
        if name in proxies.missing:
            yield name, title, None, None, None, None, proxies.missing[name]
            continue
        rows = proxies.census[proxies.census["proxy"] == name].sort_values(["model", "layer"])
        columns = ("model", "layer", "vectors", "mean")
        for row in zip(*(rows[column].tolist() for column in columns), strict=True):
            yield name, title, *row, None


def proxies_from(
    values: Iterable[Sequence[Any]],
    census: Iterable[Sequence[Any]],
    lists: Iterable[Sequence[Any]],
) -> Proxies:
    """The proxies of an archive, from rows of its tables and of `LIST_COLUMNS`.

    Raises ValueError for rows that no archive holds.
    """
    own = {row[0] for row in lists if row[3] == "value" and row[7] == "study"}
    titles: dict[str, str] = {}
    missing: dict[str, str] = {}
    known = []
    for number, row in enumerate(census, start=1):
        where = f"labels/census.csv: row {number}"
        if number > MOST_CENSUS:
            raise ValueError(f"labels/census.csv has more than {MOST_CENSUS:,} rows.")
        name, title, model, layer, vectors, mean, reason = row
        _check_text(name, LONGEST_NAME, f"{where}: proxy")
        _check_text(title, LONGEST_TITLE, f"{where}: title")
        if titles.setdefault(name, title) != title or name in missing:
            raise ValueError(f"{where}: the proxy {name} has another title, or a row too many.")
        if reason is not None:
            _check_text(reason, LONGEST_REASON, f"{where}: missing")
            if any(cell is not None for cell in (model, layer, vectors, mean)):
                raise ValueError(f"{where}: a proxy that is missing has no numbers.")
            missing[name] = reason
            continue
        if not isinstance(model, str) or not _is_count(layer) or not _is_count(vectors):
            raise ValueError(f"{where}: the model, the layer or the number of vectors is none.")
        known.append((name, model, layer, vectors, _number(mean, where)))
    if len(titles) > MOST_PROXIES:
        raise ValueError(f"labels/census.csv has more than {MOST_PROXIES} proxies.")
    if missing.keys() & {row[0] for row in known}:
        raise ValueError("labels/census.csv: a proxy that is missing has no numbers.")
    return proxies_of(titles, _values(values, own, titles.keys() - missing.keys()), known, missing)


def _values(
    rows: Iterable[Sequence[Any]], own: set[int], names: set[str]
) -> list[tuple[int, str, float]]:
    found = []
    for number, (list_id, name, value) in enumerate(rows, start=1):
        where = f"labels/proxies.csv: row {number}"
        if number > MOST_VALUES:
            raise ValueError(f"labels/proxies.csv has more than {MOST_VALUES:,} rows.")
        if list_id not in own:
            raise ValueError(f"{where}: the list is no value list of the study.")
        if name not in names:
            raise ValueError(f"{where}: labels/census.csv lacks the proxy.")
        found.append((list_id, name, _number(value, where)))
    return found


def stored_proxies(
    proxies: Proxies, lists: Iterable[Sequence[Any]]
) -> dict[str, dict[str, list[list[Any]]]]:
    """The part of the proxies that each restored extraction keeps, by digest.

    `titles` and `missing` are pairs, so that databases keep their order; `values` are known by
    layer and index, which the rows of `LIST_COLUMNS` have. Raises ValueError for a model without
    lists.
    """
    digests, places = {}, {}
    for number, digest, model, _, layer, index, *_ in lists:
        digests[model] = digest
        places[number] = (digest, layer, index)
    both = {
        "titles": [list(pair) for pair in proxies.titles.items()],
        "missing": [list(pair) for pair in proxies.missing.items()],
    }
    found: dict[str, dict[str, list[list[Any]]]] = {
        digest: {**both, "values": [], "census": []} for digest in set(digests.values())
    }
    for list_id, name, value in proxies.values[list(VALUE_COLUMNS)].itertuples(index=False):
        digest, layer, index = places[list_id]
        found[digest]["values"].append([name, layer, index, value])
    for name, model, layer, vectors, mean in proxies.census[list(CENSUS_COLUMNS)].itertuples(
        index=False
    ):
        if model not in digests:
            raise ValueError(f"labels/census.csv: the model {model!r:.60} has no lists.")
        found[digests[model]]["census"].append([name, layer, vectors, mean])
    return found


def _check_text(text: object, longest: int, where: str) -> None:
    if not isinstance(text, str) or not 0 < len(text) <= longest or not text.isprintable():
        raise ValueError(f"{where} is no text of 1 to {longest} printable characters.")


def _is_count(number: object) -> bool:
    return isinstance(number, int) and 0 <= number <= MOST_VECTORS


def _number(value: object, where: str) -> float:
    if not isinstance(value, int | float) or not -MOST_NUMBER < value < MOST_NUMBER:
        raise ValueError(f"{where}: a number is missing, or none.")
    return float(value)
