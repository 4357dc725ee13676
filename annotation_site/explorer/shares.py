"""Shares of top tokens in people's concepts, by layer, over several studies of one extraction.

Loads dataframes: only the picture of a model needs it.
"""

from collections.abc import Collection, Sequence
from typing import Any, TypedDict

import pandas as pd

from annotation_site.analysis.annotation_frames import AnnotationFrames, typed_frame
from annotation_site.analysis.coverage import DEFAULT_CATEGORIES, annotation_coverage
from annotation_site.annotation.models import PatternMember, Study
from annotation_site.corpus.models import Extraction, Kind
from annotation_site.explorer.judged import annotations_counted

_NUMBERS = ("coverage", "coverage_with_stopwords")


class LayerShares(TypedDict):
    """A layer's means over its lists, each the mean of its annotations; shares are from 0 to 1."""

    layer: int
    lists: int
    people: int
    coverage: float
    coverage_with_stopwords: float
    categories: dict[str, float]


def shares_by_layer(
    extraction: Extraction, studies: Sequence[Study], *, without: Collection[int]
) -> list[LayerShares]:
    """The shares of each layer with an annotated list of a value vector, layers in order.

    Each study's patterns count from its own minimum of tokens. A vector in several studies is one
    list. `without` are keys of vectors to leave out.
    """
    rows = (
        annotations_counted()
        .filter(
            item__study__in=studies,
            item__vector__extraction=extraction,
            item__vector__kind=Kind.VALUE,
        )
        .order_by("pk")
        .values_list("pk", "item__vector", "item__vector__layer", "membership__user", "item__study")
    )
    left_out = set(without)
    least = {study.pk: study.min_tokens for study in studies}
    annotations = typed_frame(
        (
            (pk, vector, layer, person, least[study])
            for pk, vector, layer, person, study in rows
            if vector not in left_out
        ),
        {"annotation_id": int, "list_id": int, "layer": int, "annotator": int, "least": int},
    )
    if annotations.empty:
        return []
    members = _members(extraction, studies)
    lengths = _lengths(extraction, annotations["list_id"].unique().tolist())
    parts = [
        _coverage(
            annotations[annotations["least"] == min_tokens], members, lengths, min_tokens=min_tokens
        )
        for min_tokens in sorted({int(one) for one in annotations["least"]})
    ]
    found = pd.concat(parts, ignore_index=True).fillna(0)
    found = found.merge(annotations[["annotation_id", "layer"]], on="annotation_id")
    categories = _in_order(found.columns.drop(["annotation_id", "list_id", "annotator", "layer"]))
    by_list = found.groupby(["layer", "list_id"])[[*_NUMBERS, *categories]].mean()
    table = by_list.groupby("layer").mean()
    table["lists"] = by_list.groupby("layer").size()
    table["people"] = found.groupby("layer")["annotator"].nunique()
    return [
        LayerShares(
            layer=int(row["layer"]),
            lists=int(row["lists"]),
            people=int(row["people"]),
            coverage=float(row["coverage"]),
            coverage_with_stopwords=float(row["coverage_with_stopwords"]),
            categories={name: float(row[name]) for name in categories},
        )
        for row in table.reset_index().to_dict("records")
    ]


def _coverage(
    annotations: pd.DataFrame, members: pd.DataFrame, lengths: dict[int, int], *, min_tokens: int
) -> pd.DataFrame:
    lists = annotations[["list_id", "layer"]].drop_duplicates()
    labels = AnnotationFrames(
        lists=lists.assign(model="", kind=Kind.VALUE.value, length=lists["list_id"].map(lengths)),
        annotations=annotations[["annotation_id", "list_id", "annotator"]],
        members=members[members["annotation_id"].isin(annotations["annotation_id"])],
    )
    table = annotation_coverage(labels, min_tokens=min_tokens)
    return table.drop(columns=["patterns", "concepts", "concepts_with_stopwords"])


def _members(extraction: Extraction, studies: Sequence[Study]) -> pd.DataFrame:
    rows = PatternMember.objects.filter(
        pattern__assignment__in=annotations_counted().filter(
            item__study__in=studies,
            item__vector__extraction=extraction,
            item__vector__kind=Kind.VALUE,
        )
    ).values_list(
        "pattern__assignment", "pattern__number", "rank", "pattern__category", "pattern__stopwords"
    )
    types: dict[str, Any] = {
        "annotation_id": int, "pattern": int, "rank": int, "category": str, "stopwords": bool,
    }  # fmt: skip
    return typed_frame(rows, types)


def _lengths(extraction: Extraction, pks: list[int]) -> dict[int, int]:
    rows = extraction.vectors.filter(pk__in=pks).values_list("pk", "token_ids")
    return {pk: len(token_ids) for pk, token_ids in rows}


def _in_order(columns: pd.Index) -> list[str]:
    """The categories: the paper's first, in its order, then the others by name."""
    names = [str(name) for name in columns if name not in _NUMBERS]
    return [name for name in DEFAULT_CATEGORIES if name in names] + sorted(
        set(names) - set(DEFAULT_CATEGORIES)
    )
