"""What the tables of results are computed from, and what several of them share."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from annotation_site.analysis.agreement.lists import disagreement_ranking
from annotation_site.analysis.agreement.tables import (
    Agreement,
    agreement_table,
    agreement_tables,
    measure_agreement,
)
from annotation_site.analysis.coverage import Labels, list_coverage
from annotation_site.analysis.intervals import RESAMPLES, SEED, mean_intervals
from annotation_site.analysis.labels import typed_frame
from annotation_site.analysis.missing import MISSING_COLUMNS

AGREEMENT_TABLES: Mapping[str, tuple[str, ...]] = {
    "agreement": ("model",),
    "agreement_by_kind": ("model", "kind"),
    "agreement_by_layer": ("model", "kind", "layer"),
    "agreement_by_category": ("model", "category"),
}
"""Tables of every measure, and what makes a row of each."""

ALL_VECTORS = "all vectors of this kind were taken: no sampling interval"

FINAL = "adjudicated"
"""The annotator that final answers go by."""

_TOGETHER = "of all models"

_SCORES = ("annotator", "purpose", "list_id", "score")


@dataclass(frozen=True, eq=False)
class TableRequest:
    """What tables are computed from.

    Attributes
    ----------
    labels
        People's answers that count.
    categories, min_tokens
        Of the study; `min_tokens` may be another for an analysis.
    resamples, seed
        Of every interval and permutation test; without resamples intervals are empty.
    final
        The same with final answers of adjudicated lists; None where there are none.
    adjudicated
        Whether coverage rests on `final` in every table.
    repeats
        People's second answers to lists, if there are any.
    machines
        The answers of machine annotators.
    times
        Of the answers that count, in the order of submission: ``annotation_id``, ``annotator``,
        ``active_seconds``.
    scores
        Of training and reference lists: ``annotator``, ``purpose``, ``list_id``, ``score``.
    whole
        Model and kind of vectors that were all taken: no sample, so no sampling interval.
    missing
        What gave no annotation that counts, with the columns of `MISSING_COLUMNS`.
    slots
        Annotators per list; None where a filter takes a part of the annotations.
    """

    labels: Labels
    categories: list[str]
    min_tokens: int
    resamples: int = RESAMPLES
    seed: int = SEED
    final: Labels | None = None
    adjudicated: bool = False
    repeats: Labels | None = None
    machines: Labels | None = None
    times: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            {"annotation_id": [], "annotator": [], "active_seconds": []}
        )
    )
    scores: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({one: [] for one in _SCORES}))
    whole: frozenset[tuple[str, str]] = frozenset()
    missing: pd.DataFrame = field(default_factory=lambda: typed_frame([], MISSING_COLUMNS))
    slots: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        return {"min_tokens": self.min_tokens, "categories": self.categories}

    @property
    def draws(self) -> dict[str, Any]:
        return {"resamples": self.resamples, "seed": self.seed}

    @property
    def with_final(self) -> Labels:
        """The labels, with final answers where lists have one."""
        return self.labels if self.final is None else self.final

    @property
    def covering(self) -> Labels:
        """The labels that coverage rests on."""
        return self.with_final if self.adjudicated else self.labels

    @cached_property
    def lists(self) -> pd.DataFrame:
        """Coverage of each list."""
        return list_coverage(self.covering, **self.options)

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """Means with intervals, of all layers together (``layer`` missing), then of each."""
        measures = ["coverage", "coverage_with_stopwords", *self.categories]
        measures += ["concepts_per_list", "concepts_per_list_with_stopwords"]
        parts = mean_intervals(
            self.lists,
            columns=measures,
            by=[("model", "kind"), ("model", "kind", "layer")],
            **self.draws,
        )
        parts[0].insert(2, "layer", pd.Series(pd.NA, index=parts[0].index, dtype="Int64"))
        table = pd.concat([part.astype({"layer": "Int64"}) for part in parts], ignore_index=True)
        table["kind"] = table["kind"].astype("str")
        judged = self.lists.groupby(["model", "kind"], observed=True)["annotations"].min() > 0
        whole = [
            (model, kind) in self.whole and bool(judged[model, kind])
            for model, kind in zip(table["model"], table["kind"], strict=True)
        ]
        _without_intervals(table, whole)
        return table

    @cached_property
    def agreement(self) -> Agreement:
        return measure_agreement(self.labels, **self.options)

    @cached_property
    def agreements(self) -> dict[str, pd.DataFrame]:
        """The tables of `AGREEMENT_TABLES`, which share their resamples.

        Where the study has several models, rows without a model follow: all of them together. Not
        by layer, as layers of two models are not the same thing.
        """
        by = dict(AGREEMENT_TABLES)
        if self.labels.lists["model"].nunique() > 1:
            by |= {
                f"{name} {_TOGETHER}": columns[1:]
                for name, columns in AGREEMENT_TABLES.items()
                if "layer" not in columns
            }
        tables = agreement_tables(self.agreement, by=list(by.values()), **self.draws)
        found = dict(zip(by, tables, strict=True))
        for name in AGREEMENT_TABLES:
            together = found.pop(f"{name} {_TOGETHER}", None)
            if together is not None:
                together.insert(0, "model", None)
                together["model"] = together["model"].astype("object")
                found[name] = pd.concat([found[name], together], ignore_index=True)
        judged = self.agreement.lists.groupby(["model", "kind"], observed=True)["annotations"]
        groups = judged.min().reset_index().itertuples(index=False)
        compared = {
            (model, kind): (model, kind) in self.whole and bool(least > 1)
            for model, kind, least in groups
        }
        for table in found.values():
            rows = table.to_dict("records")
            _without_intervals(table, [_takes_all(row, compared) for row in rows])
        return found

    @cached_property
    def of_machines(self) -> dict[str, Labels]:
        """What each machine annotator answered, by its name."""
        if self.machines is None:
            return {}
        grouped = self.machines.annotations.groupby("annotator")
        return {str(name): _of(self.machines, annotations) for name, annotations in grouped}

    @cached_property
    def pairs(self) -> pd.DataFrame:
        return agreement_table(self.agreement.by_pair(), by=["first", "second"])

    @cached_property
    def disagreement(self) -> pd.DataFrame:
        return disagreement_ranking(self.agreement)


def _of(labels: Labels, annotations: pd.DataFrame) -> Labels:
    """Some of the annotations with their members."""
    inside = labels.members["annotation_id"].isin(annotations["annotation_id"])
    return Labels(labels.lists, annotations, labels.members[inside])


def _takes_all(row: dict[Hashable, Any], groups: Mapping[tuple[str, str], bool]) -> bool:
    """Whether every (model, kind) in a row of agreement was taken and judged whole."""
    return all(
        whole
        for (model, kind), whole in groups.items()
        if row["model"] in (None, model) and row.get("kind", kind) == kind
    )


def _without_intervals(table: pd.DataFrame, rows: list[bool]) -> None:
    """What was not sampled has no sampling interval."""
    table.loc[rows, ["low", "high"]] = np.nan
    table.loc[rows, "warning"] = ALL_VECTORS
