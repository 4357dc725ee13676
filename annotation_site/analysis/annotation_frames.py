"""Annotations as three checked dataframes, the input of every measure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

KIND_NAMES = {
    "value": "value vectors",
    "random": "random vectors",
    "update": "FFN updates",
    "key": "key vectors",
    "random-key": "random key vectors",
    "random-covariance": "random vectors with covariance",
    "permuted": "permuted value vectors",
    "shuffled": "shuffled tokens",
}
"""The kinds of vector in English, in the order of every table and figure."""
KINDS = tuple(KIND_NAMES)

FRAME_COLUMNS = {
    "lists": ("list_id", "model", "kind", "layer", "length"),
    "annotations": ("annotation_id", "list_id", "annotator"),
    "members": ("annotation_id", "pattern", "rank", "category", "stopwords"),
}


def kind_heading(kind: str) -> str:
    """The name of a kind of vector at the beginning of a line."""
    name = KIND_NAMES[kind]
    return name[:1].upper() + name[1:]


@dataclass(frozen=True, eq=False)
class AnnotationFrames:
    """Annotations as dataframes; the caller decides which annotations count.

    Coverage takes people's latest submitted annotations, without surplus answers and unblinded
    people. Rows may come in any order; ids are integers or strings; no cell is missing.

    Attributes
    ----------
    lists
        One row per list, annotated or not: ``list_id``; ``model`` (name); ``kind`` (one
        of `KINDS`); ``layer`` (0-based); ``length`` (number of tokens shown, 30 in the
        paper).
    annotations
        One row per annotation: ``annotation_id``; ``list_id``; ``annotator`` (pseudonymous id).
        An annotation without members says "no pattern here".
    members
        One row per member of a pattern: ``annotation_id``; ``pattern`` (its number within the
        annotation); ``rank`` (1-based); ``category`` and ``stopwords`` (the flag as chosen), both
        the same in all rows of one pattern.

    Raises
    ------
    ValueError
        When a column or a cell is missing, an id is unknown or doubled, a kind is unknown, a rank
        lies outside its list, a member is doubled, or a pattern has two categories or two flags.
    """

    lists: pd.DataFrame
    annotations: pd.DataFrame
    members: pd.DataFrame

    def __post_init__(self) -> None:
        for name, columns in FRAME_COLUMNS.items():
            _check_complete(name, getattr(self, name), columns)
        _check_lists(self.lists)
        _check_annotations(self.annotations, self.lists)
        _check_members(self.members, self.annotations, self.lists)


def typed_frame(rows: Iterable[Sequence[Any]], types: Mapping[str, type]) -> pd.DataFrame:
    """Make a dataframe with the given column types, also if it is empty."""
    return pd.DataFrame(list(rows), columns=list(types)).astype(dict(types))


def _check_complete(name: str, frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name} lacks the columns {', '.join(missing)}.")
    gaps = [column for column in columns if frame[column].isna().any()]
    if gaps:
        raise ValueError(f"{name} has missing cells in {', '.join(gaps)}.")


def _check_lists(lists: pd.DataFrame) -> None:
    if lists["list_id"].duplicated().any():
        raise ValueError("lists names a list twice.")
    unknown = sorted(set(lists["kind"].unique()) - set(KINDS))
    if unknown:
        raise ValueError(f"lists has the kinds {', '.join(unknown)}; known are {', '.join(KINDS)}.")


def _check_annotations(annotations: pd.DataFrame, lists: pd.DataFrame) -> None:
    if annotations["annotation_id"].duplicated().any():
        raise ValueError("annotations names an annotation twice.")
    if not annotations["list_id"].isin(lists["list_id"]).all():
        raise ValueError("annotations refers to a list that is not in lists.")


def _check_members(members: pd.DataFrame, annotations: pd.DataFrame, lists: pd.DataFrame) -> None:
    lengths = lists.set_index("list_id")["length"].reindex(annotations["list_id"])
    annotation = pd.Index(annotations["annotation_id"]).get_indexer(members["annotation_id"])
    if (annotation < 0).any():
        raise ValueError("members refers to an annotation that is not in annotations.")
    rank = members["rank"].to_numpy(dtype=np.int64)
    if ((rank < 1) | (rank > lengths.to_numpy(dtype=np.int64)[annotation])).any():
        raise ValueError("members has a rank outside its list.")
    # Numbers in place of columns: a million members are compared in a moment.
    number, numbers = pd.factorize(members["pattern"])
    pattern = annotation * max(len(numbers), 1) + number
    if pd.Series(pattern * (int(rank.max(initial=0)) + 1) + rank).duplicated().any():
        raise ValueError("members has the same rank twice in one pattern.")
    category, categories = pd.factorize(members["category"])
    kind = 2 * category + members["stopwords"].to_numpy(dtype=np.int64)
    kinds = pd.unique(pattern * max(2 * len(categories), 1) + kind)
    if len(kinds) > len(pd.unique(pattern)):
        raise ValueError("members has a pattern with two categories or two stopwords flags.")
