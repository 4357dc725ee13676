"""Coverage: the share of a list's tokens that people put into a concept.

The definitions, and a study worked through by hand, are in ``docs/measures.md``.
"""

from collections.abc import Sequence
from math import lcm

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annotation_site.analysis.annotation_frames import FRAME_COLUMNS, KINDS, AnnotationFrames
from annotation_site.analysis.members import Members, encode_members

__all__ = [
    "DEFAULT_CATEGORIES",
    "RESERVED_COLUMNS",
    "AnnotationFrames",
    "annotation_coverage",
    "coverage_of_lists",
    "coverage_table",
    "list_counts",
    "list_coverage",
]

DEFAULT_CATEGORIES = ("semantic", "syntactic", "names")
"""The paper's categories, in the order in which figures stack them."""

_SHARES = ("coverage", "coverage_with_stopwords")
_CONCEPTS = ("concepts", "concepts_with_stopwords")
_CONCEPTS_PER_LIST = ("concepts_per_list", "concepts_per_list_with_stopwords")
_COUNTS = ("lists_total", "lists", "annotations", "no_pattern")
_GROUPS = ("model", "kind", "layer")

RESERVED_COLUMNS = frozenset(
    [*_SHARES, *_CONCEPTS, *_CONCEPTS_PER_LIST, *_COUNTS, *_GROUPS, "patterns", "skipped"]
    + [column for columns in FRAME_COLUMNS.values() for column in columns]
)
"""Names that the tables' own columns have; no category can be called like one of them."""


def annotation_coverage(labels: AnnotationFrames, *, min_tokens: int) -> pd.DataFrame:
    r"""Compute every measure of coverage for each annotation.

    Parameters
    ----------
    labels
        What people answered.
    min_tokens
        A pattern qualifies when it has at least this many members (4 in the paper).

    Returns
    -------
    DataFrame
        One row per annotation, ordered by ``annotation_id``: ``annotation_id``, ``list_id``,
        ``annotator``, ``patterns`` (how many have a member, qualifying or not; 0 is "no pattern
        here"), ``coverage``, ``coverage_with_stopwords``, one column for each category that the
        labels hold (ordered by name), ``concepts``, ``concepts_with_stopwords``. Shares lie
        between 0 and 1.

    Raises
    ------
    ValueError
        When `min_tokens` is below 1 or a category is named like another column.

    Notes
    -----
    For an annotation of a list of k tokens, Q its qualifying patterns and F ⊆ Q those flagged as
    stopwords/punctuation::

        coverage                = |∪ members(p), p ∈ Q \ F| / k
        coverage_with_stopwords = |∪ members(p), p ∈ Q| / k
        category c              = 1/k · Σ 1/n(t) over the tokens t that have category c,
                                  n(t) = number of different categories of t, both in Q \ F
        concepts                = |Q \ F|
        concepts_with_stopwords = |Q|

    So the categories add up to ``coverage``, and a token of a flagged and of an unflagged pattern
    counts in the headline. Source: Geva et al. (2022), §4.1 and table 2.
    """
    counted, units = _annotation_counts(labels, min_tokens=min_tokens)
    table = counted[["annotation_id", "list_id", "annotator", "patterns"]].copy()
    for column in counted.columns.drop([*table.columns, "length", *_CONCEPTS]):
        table[column] = counted[column] / (counted["length"] * units.get(column, 1))
    return table.join(counted[list(_CONCEPTS)])


def _annotation_counts(
    labels: AnnotationFrames, *, min_tokens: int
) -> tuple[pd.DataFrame, dict[str, float]]:
    """`annotation_coverage` in whole numbers: tokens, not shares of a list's ``length``.

    A category's are multiples of the share of a token that it can have; the second value says, by
    category, how many make a token.
    """
    if min_tokens < 1:
        raise ValueError(f"min_tokens is {min_tokens}; a pattern has at least 1 member.")
    # A fixed order makes what is added up later independent of the order of the rows.
    annotations = labels.annotations.sort_values("annotation_id", ignore_index=True)
    lengths = labels.lists.set_index("list_id")["length"]
    length = lengths.reindex(annotations["list_id"]).to_numpy(dtype=np.int64)
    members = encode_members(labels.members, annotations, width=int(length.max(initial=0)))
    _refuse_reserved(members.categories)
    qualifies = members.pattern_size >= min_tokens
    headline = qualifies & ~members.stopwords

    table = annotations[["annotation_id", "list_id", "annotator"]].copy()
    table["length"] = length
    table["patterns"] = members.patterns(np.ones_like(qualifies))
    table["coverage"] = members.tokens(headline).sum(axis=1)
    table["coverage_with_stopwords"] = members.tokens(qualifies).sum(axis=1)
    by_category, units = _tokens_by_category(members, headline)
    for category, tokens in by_category.items():
        table[category] = tokens
    table["concepts"] = members.patterns(headline)
    table["concepts_with_stopwords"] = members.patterns(qualifies)
    return table, dict.fromkeys(by_category, units)


def list_coverage(
    labels: AnnotationFrames, *, min_tokens: int, categories: Sequence[str]
) -> pd.DataFrame:
    """Average the annotations of each list, the unit of tables and of resampling.

    Parameters
    ----------
    labels, min_tokens
        As for `annotation_coverage`.
    categories
        The study's categories; each becomes a column, 0 where nobody used it.

    Returns
    -------
    DataFrame
        One row per list, ordered by model, kind, layer and ``list_id``: these four columns,
        ``annotations`` and ``no_pattern`` (counts), ``coverage``, ``coverage_with_stopwords``, one
        column per category, ``concepts_per_list`` and ``concepts_per_list_with_stopwords``: means
        over the list's annotators, missing (NaN) where nobody has annotated the list.

    Raises
    ------
    ValueError
        As for `annotation_coverage`; and when the labels hold a category that is not in
        `categories`, or `categories` names one twice.
    """
    _check_categories(labels.members["category"], categories)
    answers, units = _annotation_counts(labels, min_tokens=min_tokens)
    unused = {category: 0.0 for category in categories if category not in answers.columns}
    answers = answers.assign(**unused, no_pattern=answers["patterns"] == 0)
    by_list = answers.groupby("list_id")
    counts = by_list["no_pattern"].agg(annotations="size", no_pattern="sum")
    summed = by_list[["length", *_SHARES, *categories, *_CONCEPTS]].sum()
    # A quotient of whole numbers is rounded once: lists with equal means have equal numbers.
    means = pd.DataFrame(index=summed.index)
    for column in (*_SHARES, *categories):
        means[column] = summed[column] / (summed["length"] * units.get(column, 1))
    for column, name in zip(_CONCEPTS, _CONCEPTS_PER_LIST, strict=True):
        means[name] = summed[column] / counts["annotations"]

    lists = ordered_lists(labels)
    counts = counts.reindex(lists["list_id"], fill_value=0).astype(np.int64)
    means = means.reindex(lists["list_id"]).astype(np.float64)
    parts = [lists, counts.reset_index(drop=True), means.reset_index(drop=True)]
    return pd.concat(parts, axis=1)


def list_counts(labels: AnnotationFrames, *, min_tokens: int) -> pd.DataFrame:
    """The integers behind the shares of `list_coverage`, for comparisons without rounding.

    Parameters
    ----------
    labels, min_tokens
        As for `annotation_coverage`.

    Returns
    -------
    DataFrame
        One row per list, ordered as in `list_coverage`: ``list_id``, ``model``, ``kind``,
        ``layer``, ``labels`` (tokens times annotations; 0 where nobody has annotated the list),
        and how many of these labels are in a concept: ``coverage``, ``coverage_with_stopwords``.

    Raises
    ------
    ValueError
        As for `annotation_coverage`.
    """
    answers, _ = _annotation_counts(labels, min_tokens=min_tokens)
    summed = answers.groupby("list_id")[["length", *_SHARES]].sum()
    summed = summed.rename(columns={"length": "labels"})
    lists = ordered_lists(labels)
    summed = summed.reindex(lists["list_id"], fill_value=0).astype(np.int64)
    return pd.concat([lists, summed.reset_index(drop=True)], axis=1)


def ordered_lists(labels: AnnotationFrames) -> pd.DataFrame:
    """``list_id``, ``model``, ``kind`` and ``layer`` of each list, in the order of tables."""
    lists = labels.lists[["list_id", *_GROUPS]]
    lists = lists.assign(kind=pd.Categorical(lists["kind"], categories=KINDS, ordered=True))
    return lists.sort_values([*_GROUPS, "list_id"], ignore_index=True)


def coverage_table(
    labels: AnnotationFrames,
    *,
    min_tokens: int,
    categories: Sequence[str],
    by: Sequence[str] = ("model", "kind"),
) -> pd.DataFrame:
    """Tabulate coverage: the mean over each list's annotators, then over the lists of a group.

    Parameters
    ----------
    labels, min_tokens, categories
        As for `list_coverage`.
    by
        What makes a group: some of "model", "kind" and "layer"; ("model", "kind") gives table 2
        of the paper, ("model", "kind", "layer") its figure 2.

    Returns
    -------
    DataFrame
        One row per group that has a list, ordered by the columns of `by` (models by name; kinds
        value, random, update; layers ascending): these columns, ``lists_total``, ``lists`` (those
        with an annotation), ``annotations``, ``no_pattern`` (annotations without any pattern),
        ``coverage``, ``coverage_with_stopwords``, one column per category, ``concepts_per_list``
        and ``concepts_per_list_with_stopwords``. A list that nobody has annotated is counted in
        ``lists_total`` and is in no mean; where ``lists`` is 0 the means are missing (NaN).

    Raises
    ------
    ValueError
        As for `list_coverage`; and when `by` is empty or names something else.

    Notes
    -----
    Each list weighs the same, however many people annotated it. Source: Geva et al. (2022), §4.1
    and table 2.
    """
    _check_groups(by)
    lists = list_coverage(labels, min_tokens=min_tokens, categories=categories)
    return coverage_of_lists(lists, categories=categories, by=by)


def coverage_of_lists(
    lists: pd.DataFrame, *, categories: Sequence[str], by: Sequence[str] = ("model", "kind")
) -> pd.DataFrame:
    """The coverage table from the result of `list_coverage`."""
    _check_groups(by)
    lists = lists.assign(lists_total=1, lists=(lists["annotations"] > 0).astype(np.int64))
    groups = lists.groupby(list(by), observed=True)
    means = [*_SHARES, *categories, *_CONCEPTS_PER_LIST]
    table = pd.concat([groups[list(_COUNTS)].sum(), groups[means].mean()], axis=1).reset_index()
    return table.astype({"kind": "str"}) if "kind" in by else table


def _check_groups(by: Sequence[str]) -> None:
    if not by or not set(by) <= set(_GROUPS) or len(set(by)) < len(by):
        raise ValueError(f"by is {tuple(by)}; it takes model, kind and layer, each at most once.")


def _check_categories(used: pd.Series, categories: Sequence[str]) -> None:
    if len(set(categories)) < len(categories):
        raise ValueError("categories names one of them twice.")
    _refuse_reserved(categories)
    unknown = sorted(set(used.unique()) - set(categories))
    if unknown:
        raise ValueError(
            f"The labels hold the categories {', '.join(unknown)}, which the table lacks."
        )


def _refuse_reserved(categories: Sequence[str]) -> None:
    reserved = sorted(RESERVED_COLUMNS.intersection(categories))
    if reserved:
        raise ValueError(f"No category can be named {', '.join(reserved)}: it names a column.")


def _tokens_by_category(
    members: Members, chosen: NDArray[np.bool_]
) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Share the covered tokens of each annotation among categories, 1/n each.

    Gives whole numbers of shares, and how many of these make a token.
    """
    grids = {
        name: members.tokens(chosen & (members.category == code))
        for code, name in enumerate(members.categories)
    }
    n = np.zeros(members.shape, dtype=np.intp)
    for grid in grids.values():
        n += grid
    n = np.maximum(n, 1)
    units = float(lcm(*np.unique(n).tolist()))
    weight = units / n
    return {name: (grid * weight).sum(axis=1) for name, grid in grids.items()}, units
