"""Shares of a key's trigger prefixes: in patterns of one category, of both, or of none.

Figure 2 of Geva et al. (2021). The definitions, and a study worked through by hand, are in
``docs/measures.md``.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from annotation_site.analysis.annotation_frames import KINDS, AnnotationFrames
from annotation_site.analysis.coverage import ordered_lists
from annotation_site.analysis.members import encode_members
from annotation_site.analysis.paper import PREFIXES_SHOWN

BOTH, NONE = "both", "none"
PATTERNS, WITH_PATTERN = "patterns_per_key", "with_pattern"
KEY_COLUMNS = {
    "model": str, "kind": str, "layer": int, "keys": int, "never_active": int, "short": int,
}  # fmt: skip
"""A row per model, kind and layer of the extractions: how many keys they have, how many of these
are never active and so have no list, and how many have fewer prefixes than a list shows."""


def share_names(categories: Sequence[str]) -> tuple[str, ...]:
    """Names of the shares that add up to 1, in the order in which figure 2 stacks them.

    Examples
    --------
    >>> share_names(["shallow", "semantic"])
    ('only_shallow', 'both', 'only_semantic', 'none')
    >>> share_names(["semantic"])
    ('only_semantic', 'none')
    """
    only = [f"only_{category}" for category in categories]
    return (*only[:1], *([BOTH] if len(only) > 1 else []), *only[1:], NONE)


def list_prefix_shares(
    labels: AnnotationFrames, *, min_tokens: int, categories: Sequence[str]
) -> pd.DataFrame:
    """Average the annotations of each list, the unit of tables and of resampling.

    Parameters
    ----------
    labels
        What people answered.
    min_tokens
        A pattern qualifies when it has at least this many prefixes (3 in the paper).
    categories
        The study's categories.

    Returns
    -------
    DataFrame
        One row per list, ordered by model, kind, layer and ``list_id``: these four columns, the
        shares of `share_names`, each of the prefixes shown, ``patterns_per_key`` and
        ``with_pattern`` (the share of annotations with a qualifying pattern). Means over the
        list's annotators, missing (NaN) where nobody has annotated the list.

    Raises
    ------
    ValueError
        When `min_tokens` is below 1, or the labels hold a category that is not in `categories`.

    Notes
    -----
    Q are an annotation's qualifying patterns. Of the k prefixes that the list shows, those are
    ``only_c`` that are in patterns of Q of category c alone, ``both`` in patterns of Q of several
    categories, ``none`` in no pattern of Q. A shorter list has a smaller k. Source: Geva et al.
    (2021), section 3.2 and figure 2.
    """
    if min_tokens < 1:
        raise ValueError(f"min_tokens is {min_tokens}; a pattern has at least 1 member.")
    if unknown := sorted(set(labels.members["category"]) - set(categories)):
        raise ValueError(
            f"The labels hold the categories {', '.join(unknown)}, which is no choice."
        )
    # A fixed order makes what is added up later independent of the order of the rows.
    annotations = labels.annotations.sort_values("annotation_id", ignore_index=True)
    lengths = labels.lists.set_index("list_id")["length"]
    length = lengths.reindex(annotations["list_id"]).to_numpy(dtype=np.int64)
    members = encode_members(labels.members, annotations, width=int(length.max(initial=0)))
    qualifies = members.pattern_size >= min_tokens

    of_category = {
        name: members.tokens(qualifies & (members.category == code))
        for code, name in enumerate(members.categories)
    }
    nowhere = np.zeros(members.shape, dtype=np.bool_)
    number = sum((grid.astype(np.int64) for grid in of_category.values()), nowhere.astype(np.int64))
    counted = annotations[["list_id"]].copy()
    counted["length"], counted["annotations"] = length, 1
    for name in categories:
        counted[f"only_{name}"] = (of_category.get(name, nowhere) & (number == 1)).sum(axis=1)
    counted[BOTH] = (number > 1).sum(axis=1)
    counted[NONE] = length - (number > 0).sum(axis=1)
    counted[PATTERNS] = members.patterns(qualifies)
    counted[WITH_PATTERN] = (counted[PATTERNS] > 0).astype(np.int64)

    summed = counted.groupby("list_id").sum()
    # A quotient of whole numbers is rounded once: lists with equal means have equal numbers.
    means = pd.DataFrame(index=summed.index)
    for name in share_names(categories):
        means[name] = summed[name] / summed["length"]
    for name in (PATTERNS, WITH_PATTERN):
        means[name] = summed[name] / summed["annotations"]
    lists = ordered_lists(labels)
    found = means.reindex(lists["list_id"]).astype(np.float64).reset_index(drop=True)
    return pd.concat([lists, found], axis=1)


def keys_table(keys: pd.DataFrame, labels: AnnotationFrames) -> pd.DataFrame:
    """Count keys without a list, and those with a short one, over all layers and then by layer.

    Parameters
    ----------
    keys
        The columns of `KEY_COLUMNS`.
    labels
        Of the study's own lists.

    Returns
    -------
    DataFrame
        ``model``, ``kind``, ``layer`` (missing: all layers), ``keys``, ``never_active`` and
        ``short`` of the extraction, ``lists`` and ``lists_short`` of the study.
    """
    lists = labels.lists.assign(
        lists=1, lists_short=(labels.lists["length"] < PREFIXES_SHOWN).astype(np.int64)
    )
    strata = ["model", "kind", "layer"]
    own = lists.groupby(strata)[["lists", "lists_short"]].sum()
    table = keys.set_index(strata).join(own, how="outer").fillna(0).reset_index()
    numbers = ["keys", "never_active", "short", "lists", "lists_short"]
    table["kind"] = pd.Categorical(table["kind"], categories=KINDS, ordered=True)
    table = table.sort_values(strata, ignore_index=True)
    whole = table.groupby(["model", "kind"], observed=True)[numbers].sum().reset_index()
    whole.insert(2, "layer", pd.Series(pd.NA, index=whole.index, dtype="Int64"))
    found = pd.concat([whole, table.astype({"layer": "Int64"})], ignore_index=True)
    return found.astype({"kind": "str", **dict.fromkeys(numbers, "int64")})[[*strata, *numbers]]
