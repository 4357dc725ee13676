"""The Omega index: agreement of two groupings in which an entry may be in several groups."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.agreement.arrays import Floats, Integers, Patterns
from annotation_site.analysis.agreement.measure import Statistics, per_list, ratio
from annotation_site.analysis.agreement.patterns import (
    ALL_OR_NOTHING,
    mean_over_lists,
    pairs_of,
)

_CELLS = 4_000_000  # pairs of entries that are counted at once

Counts = NDArray[np.integer[Any]]
"""How many patterns hold both entries of a pair, a row per annotation."""


def omega_index(answers: EncodedAnnotations) -> Statistics:
    r"""The Omega index of two people's patterns of a list.

    Two entries are together in so many patterns of a person. Two people agree on a pair of entries
    where they have the same number. With :math:`N` pairs of entries, of which :math:`a_j` and
    :math:`b_j` are together in :math:`j` patterns, the index is
    :math:`(o - e) / (1 - e)`: `o` the share of pairs of entries with equal numbers,
    :math:`e = \sum_j a_j b_j / N^2`. Where no entry is in several patterns it is the adjusted Rand
    index.

    References
    ----------
    Collins and Dent (1988), Omega: a general formulation of the Rand index of cluster recovery
    suitable for non-disjoint solutions, https://doi.org/10.1207/s15327906mbr2302_6
    """
    pairs = answers.pairs
    every = pairs_of(answers.length[pairs.first])
    equal, chance = _disjoint(answers, every)
    several = answers.overlapping[pairs.first] | answers.overlapping[pairs.second]
    for rows, found in _counted(answers, np.flatnonzero(several), every):
        equal[rows], chance[rows] = found
    # Multiplied out by the squared number of pairs, so that whole numbers are compared with 0.
    index = ratio(equal * every - chance, every**2 - chance)
    left_out = {ALL_OR_NOTHING: per_list(answers, np.isnan(index))}
    return replace(mean_over_lists(answers, index, ALL_OR_NOTHING), left_out=left_out)


def _disjoint(answers: EncodedAnnotations, every: Floats) -> tuple[Floats, Floats]:
    """Equal pairs of entries, and Σ a_j b_j, where each entry is in one pattern at most."""
    found, patterns, pairs = answers.matching.candidates, answers.patterns, answers.pairs
    together = np.bincount(
        patterns.annotation, weights=pairs_of(patterns.size), minlength=len(answers.length)
    )
    one, other = together[pairs.first], together[pairs.second]
    both = np.bincount(found.pair, weights=pairs_of(found.shared), minlength=len(one))
    equal = every - one - other + 2 * both
    return equal, one * other + (every - one) * (every - other)


def _counted(
    answers: EncodedAnnotations, rows: Integers, every: Floats
) -> Iterator[tuple[Integers, tuple[Floats, Floats]]]:
    """The same of these pairs of annotations by counting, some of them at a time."""
    width = answers.in_concept.shape[1]
    cells = width * (width - 1) // 2
    step = max(1, _CELLS // max(cells, 1))
    for begin in range(0, len(rows), step):
        now = rows[begin : begin + step]
        sides = np.stack([answers.pairs.first[now], answers.pairs.second[now]])
        known, place = np.unique(sides, return_inverse=True)
        first, second = place.reshape(sides.shape)
        together = _together(answers.patterns, known, width)
        # Entries beyond the end of a list are in no pattern, and no entries.
        beyond = cells - every[now]
        equal = _true_of_rows(together[first] == together[second]) - beyond
        numbers = range(1, int(together.max(initial=0)) + 1)
        count = np.stack([_true_of_rows(together == number) for number in (0, *numbers)], axis=1)
        one, other = count[first].astype(np.float64), count[second].astype(np.float64)
        one[:, 0] -= beyond
        other[:, 0] -= beyond
        yield now, (equal, (one * other).sum(axis=1))


def _true_of_rows(cells: NDArray[np.bool_]) -> Integers:
    """How many cells of each row are true, counted as bits, 64 at once."""
    packed = np.packbits(cells, axis=1)
    padded = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    counted: Integers = np.bitwise_count(padded.view(np.uint64)).sum(axis=1, dtype=np.int64)
    return counted


def _together(patterns: Patterns, annotations: Integers, width: int) -> Counts:
    """How many patterns of each annotation hold both entries, shape (annotations, pairs)."""
    one, other = np.triu_indices(width, 1)
    count = patterns.count[annotations]
    size = np.int8 if count.max(initial=0) < 128 else np.int16
    found = np.zeros((len(annotations), len(one)), dtype=size)
    for number in range(int(count.max(initial=0))):
        having = np.flatnonzero(count > number)
        member = patterns.members(patterns.first[annotations[having]] + number, width)
        found[having] += member[:, one] & member[:, other]
    return found
