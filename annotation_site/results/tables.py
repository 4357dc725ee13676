"""The tables of a study's results, by name: TABLES is what pages, exports and commands offer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from annotation_site.analysis.agreement.lists import disagreement_ranking
from annotation_site.analysis.agreement.tables import measure_agreement
from annotation_site.analysis.coverage import Labels, coverage_table


@dataclass(frozen=True)
class TableRequest:
    """What a table is computed from."""

    labels: Labels
    categories: list[str]
    min_tokens: int


def coverage(request: TableRequest) -> pd.DataFrame:
    """Coverage by kind over all layers, then by kind and layer; `layer` is missing in the first."""
    arguments: dict[str, Any] = {
        "min_tokens": request.min_tokens,
        "categories": request.categories,
    }
    by_kind = coverage_table(request.labels, by=("model", "kind"), **arguments)
    by_layer = coverage_table(request.labels, by=("model", "kind", "layer"), **arguments)
    by_kind.insert(2, "layer", pd.Series(pd.NA, index=by_kind.index, dtype="Int64"))
    by_layer["layer"] = by_layer["layer"].astype("Int64")
    return pd.concat([by_kind, by_layer], ignore_index=True)


def disagreement(request: TableRequest) -> pd.DataFrame:
    """Lists with two answers or more, those on which people differ most first."""
    agreement = measure_agreement(request.labels, min_tokens=request.min_tokens, measures={})
    return disagreement_ranking(agreement)


TABLES: Mapping[str, Callable[[TableRequest], pd.DataFrame]] = {
    "coverage": coverage,
    "disagreement": disagreement,
}
