"""People's annotations as arrays, the input of every measure of agreement."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annotation_site.analysis.agreement.arrays import Integers, Pairs, Patterns
from annotation_site.analysis.agreement.matching import Matching


@dataclass(frozen=True, eq=False)
class EncodedAnnotations:
    """Encoded annotations, filtered by `min_tokens` and, if asked, to one category.

    Attributes
    ----------
    lists
        ``list_id``, ``model``, ``kind``, ``layer``, ``annotations`` (how many), by which tables
        are grouped; ordered by model, kind, layer and id.
    annotations
        `AnnotationFrames.annotations` in the order of all that is said per annotation: by list,
        then person. The index is the row there.
    people, categories
        Ids of annotators and names of categories, sorted.
    length
        Tokens of each annotation's list, shape (annotations,).
    in_concept
        1 where the token is in some pattern, else 0; shape (annotations, longest list).
    category
        0 where a token has no pattern, else 1 + index of its category. Says nothing where
        `overlapping`.
    category_set
        Row of `sets` that a token carries. `sets` has shape (sets, 1 + categories); its first
        column is "none".
    matching
        Of the patterns of every pair of annotations.
    overlapping
        True for annotations in which a token is in several qualifying patterns.
    one_category
        True when only one category's patterns were kept.
    """

    lists: pd.DataFrame
    annotations: pd.DataFrame
    people: tuple[object, ...]
    categories: tuple[str, ...]
    length: Integers
    in_concept: NDArray[np.int8]
    category: NDArray[np.int8]
    category_set: NDArray[np.int16]
    sets: NDArray[np.bool_]
    overlapping: NDArray[np.bool_]
    patterns: Patterns
    pairs: Pairs
    matching: Matching
    one_category: bool = False

    def by_pair(self) -> "EncodedAnnotations":
        """The same annotations, with every pair of annotations as a list of its own.

        Its `lists` have the columns ``first`` and ``second``, the two people, and each measure
        of such a list knows these two answers only.
        """
        pairs, rows = self.pairs, np.arange(len(self.pairs.list))
        lists = self.lists.iloc[pairs.list].reset_index(drop=True).assign(annotations=2)
        names = pd.Series(self.people, dtype="object")
        for side, column in enumerate(("first", "second")):
            person = pairs.people_pairs[pairs.people, side]
            lists[column] = names.iloc[person].to_numpy()
        alone = np.zeros((min(1, len(rows)), 2), dtype=np.int64)
        pairs = replace(pairs, list=rows, people=np.zeros_like(rows), people_pairs=alone)
        return replace(self, lists=lists, pairs=pairs)
