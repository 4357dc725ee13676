"""Pairs of separately encoded annotations of one list: a person's two, or a person's and a
machine's.

People's answers are read once and compared with anybody's, and nobody's with more than is asked.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.agreement.arrays import OUTSIDE, Grid, Integers, Pairs, Patterns
from annotation_site.analysis.agreement.matching import match
from annotation_site.analysis.strata import STRATA

SIDES = ("first", "second")


def couples(
    first: EncodedAnnotations, second: EncodedAnnotations, *, on: Sequence[str] = ()
) -> pd.DataFrame:
    """Find the annotations of the same list that also have equal values in the columns `on`.

    Returns
    -------
    DataFrame
        One row per couple, ordered by model, kind and layer, then as `first` was given: ``first``
        and ``second`` (rows of annotations), ``annotator`` (of the first answer), ``answered``
        (id of the list), ``model``, ``kind``, ``layer``.
    """
    one = first.annotations[["list_id", "annotator"]].rename_axis("given").reset_index()
    other = second.annotations[["list_id", *on]]
    found = pd.merge(
        one.assign(first=np.arange(len(one))),
        other.assign(second=np.arange(len(other))),
        on=["list_id", *on],
    )
    found = found.merge(first.lists[["list_id", *STRATA]], on="list_id")
    found = found.sort_values([*STRATA, "given"], ignore_index=True)
    return found.drop(columns="given").rename(columns={"list_id": "answered"})


def beside(
    first: EncodedAnnotations, second: EncodedAnnotations, chosen: pd.DataFrame
) -> EncodedAnnotations:
    """Some of the `couples`, each as a list of its own annotated by "first" and "second".

    A measure of pairs of people has a pair for each person of `first`.
    """
    categories = tuple(sorted({*first.categories, *second.categories}))
    first, second = _named(first, categories), _named(second, categories)
    sets, code = np.unique(np.concatenate([first.sets, second.sets]), axis=0, return_inverse=True)
    codes = np.split(code, [len(first.sets)])
    patterns = joined_patterns(first.patterns, second.patterns)
    rows = np.arange(len(chosen))
    person, names = pd.factorize(chosen["annotator"], sort=True)
    pairs = Pairs(
        list=rows,
        first=chosen["first"].to_numpy(dtype=np.int64),
        second=chosen["second"].to_numpy(dtype=np.int64) + len(first.length),
        people=person.astype(np.int64),
        people_pairs=np.arange(2 * len(names)).reshape(-1, 2),
    )
    return EncodedAnnotations(
        lists=chosen.drop(columns=list(SIDES)).assign(list_id=rows, annotations=2),
        annotations=pd.concat([first.annotations, second.annotations]),
        people=tuple((name, side) for name in names for side in SIDES),
        categories=categories,
        length=np.concatenate([first.length, second.length]),
        in_concept=_stacked(first.in_concept, second.in_concept, OUTSIDE),
        category=_stacked(first.category, second.category, OUTSIDE),
        category_set=_stacked(
            _recoded(first.category_set, codes[0]), _recoded(second.category_set, codes[1]), OUTSIDE
        ),
        sets=sets,
        overlapping=np.concatenate([first.overlapping, second.overlapping]),
        patterns=patterns,
        pairs=pairs,
        matching=match(patterns, pairs),
    )


def _named(answers: EncodedAnnotations, categories: tuple[str, ...]) -> EncodedAnnotations:
    """The same answers, their categories among more of them."""
    if answers.categories == categories:
        return answers
    place = np.array([categories.index(one) for one in answers.categories], dtype=np.int64)
    column = np.append(0, 1 + place)  # none stays the first
    sets = np.zeros((len(answers.sets), 1 + len(categories)), dtype=np.bool_)
    sets[:, column] = answers.sets
    patterns = replace(answers.patterns, category=place[answers.patterns.category])
    category = _recoded(answers.category, column)
    return replace(answers, categories=categories, category=category, sets=sets, patterns=patterns)


def _recoded(grid: Grid, codes: Integers) -> Grid:
    # OUTSIDE is -1, and so the last.
    return np.append(codes, OUTSIDE).astype(grid.dtype)[grid]


def _stacked(one: Grid, other: Grid, beyond: int) -> Grid:
    """The rows of both; the narrower ones get `beyond` at the end."""
    width = max(one.shape[1], other.shape[1])
    return np.concatenate(
        [
            np.pad(grid, ((0, 0), (0, width - grid.shape[1])), constant_values=beyond)
            for grid in (one, other)
        ]
    )


def joined_patterns(one: Patterns, other: Patterns) -> Patterns:
    """The annotations of both, one after the other."""
    return Patterns(
        annotation=np.append(one.annotation, other.annotation + len(one.count)),
        row=np.append(one.row, other.row),
        size=np.append(one.size, other.size),
        words=_stacked(one.words, other.words, 0),
        category=np.append(one.category, other.category),
        stopwords=np.append(one.stopwords, other.stopwords),
        first=np.append(one.first, other.first + len(one.size)),
        count=np.append(one.count, other.count),
    )
