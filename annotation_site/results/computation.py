"""From a study's labels to everything a snapshot holds. Workers import this; the web does not."""

import math
from typing import Any

import pandas as pd

from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.results.dataframes import counted_assignments, labels_of
from annotation_site.results.plots import (
    Layout,
    Theme,
    coverage_across_layers_svg,
    coverage_alt_text,
)
from annotation_site.results.tables import TABLES, TableRequest

LAYOUTS: tuple[Layout, ...] = ("wide", "narrow")
THEMES: tuple[Theme, ...] = ("light", "dark")


def compute(study: Study, filters: dict[str, Any]) -> dict[str, Any]:
    """Tables, figures and counts of a study, as JSON."""
    request = TableRequest(labels_of(study), list(study.categories), filters["min_tokens"])
    frames = {name: table(request) for name, table in TABLES.items()}
    return {
        "tables": {name: _table_json(frame) for name, frame in frames.items()},
        "figures": _figures(study, frames["coverage"]),
        "counts": _counts(study),
    }


def _figures(study: Study, coverage: pd.DataFrame) -> dict[str, Any]:
    """The figure across layers for every model: an SVG per variant, and its words."""
    by_layer = coverage[coverage["layer"].notna()].astype({"layer": int})
    figures = {}
    for model, rows in by_layer.groupby("model"):
        drawn = {
            f"{layout}-{theme}": coverage_across_layers_svg(
                rows,
                categories=study.categories,
                title="Coverage across layers",
                theme=theme,
                layout=layout,
            ).decode()
            for layout in LAYOUTS
            for theme in THEMES
        }
        alt = coverage_alt_text(rows, categories=study.categories)
        figures[str(model)] = {**drawn, "alt": alt}
    return figures


def _counts(study: Study) -> dict[str, int]:
    counted = counted_assignments(study)
    return {
        "lists": study.items.filter(use=Item.Use.STUDY).count(),
        "annotations": counted.count(),
        "annotators": counted.values("membership__user").distinct().count(),
        "skipped": Assignment.objects.filter(
            item__study=study,
            purpose=Assignment.Purpose.ANNOTATION,
            state=Assignment.State.SKIPPED,
        ).count(),
        "surplus": Assignment.objects.filter(item__study=study, surplus=True).count(),
    }


def _table_json(frame: pd.DataFrame) -> dict[str, Any]:
    """Columns with their kind, and rows in which missing values are null."""
    numeric = {name: pd.api.types.is_numeric_dtype(dtype) for name, dtype in frame.dtypes.items()}
    return {
        "columns": [[name, "number" if numeric[name] else "text"] for name in frame.columns],
        "rows": [
            [_cell(value) for value in row] for row in frame.itertuples(index=False, name=None)
        ],
    }


def _cell(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value
