"""Labels for tests of agreement: grids of values, and random answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from annotation_site.analysis.agreement.tables import agreement_table, measure_agreement
from annotation_site.analysis.annotation_frames import KINDS, AnnotationFrames
from annotation_site.analysis.coverage import DEFAULT_CATEGORIES
from tests.annotation_site.analysis.hand_worked import frames_of

LENGTH = 7
PEOPLE = ("ana", "ben", "cem")


def values_of(labels: AnnotationFrames, min_tokens: int = 1, **options: Any) -> dict[str, float]:
    """Every measure over all lists."""
    table = agreement_table(measure_agreement(labels, min_tokens=min_tokens, **options))
    return dict(zip(table["measure"], table["value"], strict=True))


def grid_labels(grid: Mapping[str, Sequence[Sequence[str | None] | None]]) -> AnnotationFrames:
    """Lists of tokens whose categories each person gives.

    `grid` has a row per person and list: the categories of its tokens, None for no pattern; or
    None where the person has not answered. Each token is a pattern of its own.
    """
    rows = list(grid.values())
    lengths = [
        next(len(row[number]) for row in rows if row[number] is not None)
        for number in range(len(rows[0]))
    ]
    annotations, members = [], []
    for person, answers in grid.items():
        for number, answer in enumerate(answers):
            if answer is None:
                continue
            annotations.append((len(annotations), number, person))
            members += [
                (len(annotations) - 1, rank, rank, category, False)
                for rank, category in enumerate(answer, start=1)
                if category is not None
            ]
    lists = [(number, "toy", "value", 0, length) for number, length in enumerate(lengths)]
    return frames_of(lists=lists, annotations=annotations, members=members)


@st.composite
def some_labels(draw: st.DrawFn, *, overlap: bool = True) -> AnnotationFrames:
    """A few lists, each annotated by none to three people; tokens in several patterns or not."""
    groups = draw(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 1)), max_size=4))
    lists, annotations, members = [], [], []
    for number, (kind, layer) in enumerate(groups):
        length = draw(st.integers(LENGTH - 1, LENGTH))
        lists.append((number, "toy", kind, layer, length))
        for person in sorted(draw(st.sets(st.sampled_from(PEOPLE)))):
            annotations.append((len(annotations), number, person))
            sets = draw(st.lists(st.sets(st.integers(1, length)), max_size=3))
            taken: set[int] = set()
            for pattern, ranks in enumerate(sets, start=1):
                kept = sorted(ranks if overlap else ranks - taken)
                taken |= ranks
                category = draw(st.sampled_from(DEFAULT_CATEGORIES))
                row = (len(annotations) - 1, pattern)
                members += [(*row, rank, category, False) for rank in kept]
    return frames_of(lists=lists, annotations=annotations, members=members)


def random_labels(
    lists: int, people: int, *, share: float = 1.0, overlap: bool = False, seed: int = 0
) -> AnnotationFrames:
    """Answers in which people see noisy copies of the same patterns; all of them, or a share."""
    rng = np.random.default_rng(seed)
    annotations, members = [], []
    for number in range(lists):
        truth = rng.integers(0, 4, 10)
        for person in range(people):
            if rng.random() > share:
                continue
            annotations.append((len(annotations), number, f"p{person}"))
            seen = np.where(rng.random(10) < 0.7, truth, rng.integers(0, 4, 10))
            for pattern in range(1, 4):
                category = DEFAULT_CATEGORIES[int(rng.integers(0, 3))]
                extra = rng.random(10) < (0.1 if overlap else 0.0)
                flag = (number + person + pattern) % 5 == 0
                members += [
                    (len(annotations) - 1, pattern, int(rank) + 1, category, flag)
                    for rank in np.flatnonzero((seen == pattern) | extra)
                ]
    rows = [(number, "toy", KINDS[number % 3], number // 3 % 3, 10) for number in range(lists)]
    return frames_of(lists=rows, annotations=annotations, members=members)
