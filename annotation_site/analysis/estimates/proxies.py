"""Proxies: numbers that are known of every value vector, from which a sample is extended to all.

The estimates that use them are in `annotation_site.analysis.estimates.estimator`; docs/estimates.md
describes both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from annotation_site.analysis.annotation_frames import typed_frame

VALUE_COLUMNS: Mapping[str, type] = {"list_id": int, "proxy": str, "value": float}
CENSUS_COLUMNS: Mapping[str, type] = {
    "proxy": str,
    "model": str,
    "layer": int,
    "vectors": int,
    "mean": float,
}


@dataclass(frozen=True, eq=False)
class Proxies:
    """Proxies of a study's value vectors: numbers that are known of every vector of the population.

    Attributes
    ----------
    titles
        The English title of each proxy, by its name. The order is that of tables.
    values
        A row of `VALUE_COLUMNS` per value list of the study and proxy: ``list_id``, ``proxy``,
        ``value``.
    census
        A row of `CENSUS_COLUMNS` per proxy, model and layer, over all vectors of the population:
        ``proxy``, ``model`` (as tables name it), ``layer``, ``vectors`` (how many have the proxy)
        and ``mean``.
    missing
        By proxy name the sentence why it cannot be used, such as a computation that has not
        finished. Such a proxy has a title, and needs no rows.

    Raises
    ------
    ValueError
        When a column or a cell is missing, a number is not finite, a layer has no vector, a row is
        there twice, or a row or a sentence is of a proxy without a title.
    """

    titles: Mapping[str, str]
    values: pd.DataFrame
    census: pd.DataFrame
    missing: Mapping[str, str]

    def __post_init__(self) -> None:
        _check(self.values, "values", VALUE_COLUMNS, ["list_id", "proxy"])
        _check(self.census, "census", CENSUS_COLUMNS, ["proxy", "model", "layer"])
        if (self.census["vectors"] < 1).any():
            raise ValueError("census has a layer without vectors.")
        named = {*self.values["proxy"], *self.census["proxy"], *self.missing}
        if unknown := sorted(named - set(self.titles)):
            raise ValueError(f"The proxies {', '.join(unknown)} have no title.")
        if "" in self.titles:
            raise ValueError("A proxy has no name.")


def proxies_of(
    titles: Mapping[str, str],
    values: Iterable[tuple[int, str, float]],
    census: Iterable[tuple[str, str, int, int, float]],
    missing: Mapping[str, str] | None = None,
) -> Proxies:
    """Make `Proxies` from rows of `VALUE_COLUMNS` and `CENSUS_COLUMNS`. Raises as it does."""
    return Proxies(
        dict(titles),
        typed_frame(values, VALUE_COLUMNS),
        typed_frame(census, CENSUS_COLUMNS),
        dict(missing or {}),
    )


def _check(frame: pd.DataFrame, name: str, columns: Mapping[str, type], key: list[str]) -> None:
    if lacking := [column for column in columns if column not in frame.columns]:
        raise ValueError(f"{name} lacks the columns {', '.join(lacking)}.")
    if gaps := [column for column in columns if frame[column].isna().any()]:
        raise ValueError(f"{name} has missing cells in {', '.join(gaps)}.")
    for column, kind in columns.items():
        if kind is float and not np.isfinite(frame[column].to_numpy(dtype=np.float64)).all():
            raise ValueError(f"{name} has numbers in {column} that are not finite.")
    if frame.duplicated(key).any():
        raise ValueError(f"{name} has two rows of the same {', '.join(key)}.")
