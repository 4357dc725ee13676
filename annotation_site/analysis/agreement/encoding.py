"""Encode annotations as arrays for measures of agreement."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.agreement.arrays import OUTSIDE, Integers, Pairs, Patterns
from annotation_site.analysis.agreement.matching import match
from annotation_site.analysis.annotation_frames import KINDS, AnnotationFrames


def encode(
    labels: AnnotationFrames, *, min_tokens: int, categories: Sequence[str] = ()
) -> dict[str | None, EncodedAnnotations]:
    """Encode annotations; see `EncodedAnnotations`.

    Parameters
    ----------
    labels
        What people answered; nobody answers a list twice.
    min_tokens
        A person's pattern qualifies when it has at least this many members. Others are dropped
        before anything is compared.
    categories
        Categories to look at alone as well.

    Returns
    -------
    dict
        All answers under None; under each of `categories` the same with its patterns alone.

    Raises
    ------
    ValueError
        When `min_tokens` is below 1, or a person has two annotations of one list.
    """
    if min_tokens < 1:
        raise ValueError(f"min_tokens is {min_tokens}; a pattern has at least 1 member.")
    if labels.annotations.duplicated(["list_id", "annotator"]).any():
        raise ValueError("annotations has two answers of one person to one list.")
    lists = labels.lists.assign(
        kind=pd.Categorical(labels.lists["kind"], categories=KINDS, ordered=True)
    )
    lists = lists.sort_values(["model", "kind", "layer", "list_id"], ignore_index=True)
    of_list = pd.Index(lists["list_id"]).get_indexer(labels.annotations["list_id"])
    person, people = pd.factorize(labels.annotations["annotator"], sort=True)
    order = np.lexsort((person, of_list))
    of_list, person = of_list[order].astype(np.int64), person[order].astype(np.int64)
    length = lists["length"].to_numpy(dtype=np.int64)
    lists["annotations"] = np.bincount(of_list, minlength=len(lists))
    lists = lists.drop(columns="length")
    pairs = _pairs(of_list, person)
    members = _Members.of(labels, order, min_tokens=min_tokens)
    annotations = labels.annotations.reset_index(drop=True).iloc[order]
    given = lists, annotations, tuple(people), length[of_list], pairs
    return {name: _answers(*given, members.of_category(name), name) for name in (None, *categories)}


def _answers(
    lists: pd.DataFrame,
    annotations: pd.DataFrame,
    people: tuple[object, ...],
    length: Integers,
    pairs: Pairs,
    members: "_Members",
    category: str | None,
) -> EncodedAnnotations:
    width = int(length.max(initial=0))
    outside = np.arange(width) >= length[:, None]
    in_concept = np.where(outside, OUTSIDE, 0).astype(np.int8)
    in_concept[members.annotation, members.token] = 1
    several = np.bincount(members.annotation, minlength=len(length)) > (in_concept == 1).sum(axis=1)
    category_set, sets = _category_sets(members, outside)
    patterns = members.patterns(len(length), width)
    return EncodedAnnotations(
        lists=lists,
        annotations=annotations,
        people=people,
        categories=members.categories,
        length=length,
        in_concept=in_concept,
        category=_category(members, outside),
        category_set=category_set,
        sets=sets,
        overlapping=several,
        patterns=patterns,
        pairs=pairs,
        matching=match(patterns, pairs),
        one_category=category is not None,
    )


@dataclass(frozen=True, eq=False)
class _Members:
    """Rows of qualifying patterns, ordered by annotation and pattern."""

    annotation: Integers
    token: Integers  # rank - 1
    category: Integers
    categories: tuple[str, ...]
    pattern: Integers  # a number of each pattern's own, ascending
    row: Integers  # in `AnnotationFrames.members`
    stopwords: NDArray[np.bool_]

    @classmethod
    def of(cls, labels: AnnotationFrames, order: Integers, *, min_tokens: int) -> "_Members":
        """The members of patterns with at least `min_tokens`; `order` lists the annotations."""
        rows = labels.members
        codes, names = pd.factorize(rows["category"], sort=True)
        ids = labels.annotations["annotation_id"].to_numpy()[order]
        annotation = pd.Index(ids).get_indexer(rows["annotation_id"]).astype(np.int64)
        number, numbers = pd.factorize(rows["pattern"], sort=True)
        token = rows["rank"].to_numpy(dtype=np.int64) - 1
        pattern = annotation * max(len(numbers), 1) + number
        width = int(token.max(initial=0)) + 1
        by_pattern = np.argsort(pattern * width + token, kind="stable")
        _, size = np.unique(pattern[by_pattern], return_counts=True)
        chosen = by_pattern[np.repeat(size >= min_tokens, size)]
        return cls(
            annotation=annotation[chosen],
            token=token[chosen],
            category=codes[chosen].astype(np.int64),
            categories=tuple(str(name) for name in names),
            pattern=pattern[chosen],
            row=chosen,
            stopwords=rows["stopwords"].to_numpy(dtype=np.bool_)[chosen],
        )

    def of_category(self, name: str | None) -> "_Members":
        """The members of one category's patterns; None keeps all."""
        if name is None:
            return self
        code = self.categories.index(name) if name in self.categories else -1
        kept = self.category == code
        return _Members(
            annotation=self.annotation[kept],
            token=self.token[kept],
            category=self.category[kept],
            categories=self.categories,
            pattern=self.pattern[kept],
            row=self.row[kept],
            stopwords=self.stopwords[kept],
        )

    def patterns(self, annotations: int, width: int) -> Patterns:
        """Each pattern's members as bits, for `annotations` annotations of `width` tokens."""
        start = np.flatnonzero(np.diff(self.pattern, prepend=-1))
        words = np.zeros((len(start), max(1, -(-width // 64))), dtype=np.uint64)
        if len(start):
            bit = np.uint64(1) << (63 - self.token % 64).astype(np.uint64)
            for word in range(words.shape[1]):
                inside = np.where(self.token // 64 == word, bit, np.uint64(0))
                words[:, word] = np.bitwise_or.reduceat(inside, start)
        annotation = self.annotation[start]
        count = np.bincount(annotation, minlength=annotations)
        return Patterns(
            annotation=annotation,
            row=self.row[start],
            size=np.diff(np.append(start, len(self.token))),
            words=words,
            category=self.category[start],
            stopwords=self.stopwords[start],
            first=np.cumsum(count) - count,
            count=count,
        )


def _category(members: _Members, outside: NDArray[np.bool_]) -> NDArray[np.int8]:
    if len(members.categories) > 60:
        raise ValueError("A study has at most 60 categories.")
    codes = np.where(outside, OUTSIDE, 0).astype(np.int8)
    codes[members.annotation, members.token] = members.category + 1
    return codes


def _category_sets(
    members: _Members, outside: NDArray[np.bool_]
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """The set of categories of each token as a row of the distinct sets, and these sets."""
    bits = np.zeros(outside.shape, dtype=np.int64)
    for code in range(len(members.categories)):
        chosen = members.category == code
        bits[members.annotation[chosen], members.token[chosen]] |= 2 << code
    bits[bits == 0] = 1
    codes, distinct = pd.factorize(bits.ravel())
    distinct = distinct if len(distinct) else np.array([1])
    sets = (distinct[:, None] >> np.arange(1 + len(members.categories))) & 1 == 1
    return np.where(outside, OUTSIDE, codes.reshape(bits.shape)).astype(np.int16), sets


def _pairs(of_list: Integers, person: Integers) -> Pairs:
    """Every pair of annotations of a list; annotations are ordered by list and person."""
    _, start, count = np.unique(of_list, return_index=True, return_counts=True)
    found = []
    for annotators in np.unique(count[count > 1]):
        one, other = np.triu_indices(annotators, 1)
        begin = start[count == annotators, None]
        found.append(np.stack([begin + one, begin + other]).reshape(2, -1))
    first, second = np.concatenate(found, axis=1) if found else np.zeros((2, 0), dtype=np.int64)
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    names = np.stack([person[first], person[second]], axis=1)
    width = int(person.max(initial=0)) + 1
    code, people = np.unique(names[:, 0] * width + names[:, 1], return_inverse=True)
    people_pairs = np.stack([code // width, code % width], axis=1)
    return Pairs(of_list[first], first, second, people.astype(np.int64), people_pairs)
