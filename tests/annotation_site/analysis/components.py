"""Annotations with known or simulated variance components."""

import numpy as np
import pandas as pd

from annotation_site.analysis.annotation_frames import AnnotationFrames
from tests.annotation_site.analysis.hand_worked import frames_of

WORKED = (("a", "value", 5, 7), ("b", "value", 1, 4), ("c", "random", 3, 4), ("d", "random", 0, 2))


def two_people() -> AnnotationFrames:
    """The case worked through by hand in docs/measures.md: lists of 10 tokens in one layer."""
    tokens = [
        (one, kind, 0, person, count)
        for one, kind, *counts in WORKED
        for person, count in zip(("ana", "ben"), counts, strict=True)
    ]
    return frames_from(tokens, length=10)


def frames_from(
    rows: list[tuple[object, str, int, str, int]], *, length: int, model: str = "m"
) -> AnnotationFrames:
    """Frames in which each annotation has one pattern of the first tokens of its list.

    Rows are list, kind, layer, person and number of tokens.
    """
    lists = dict.fromkeys((one, model, kind, layer, length) for one, kind, layer, *_ in rows)
    return frames_of(
        lists=lists,
        annotations=[(f"{one}-{person}", one, person) for one, _, _, person, _ in rows],
        members=[
            (f"{one}-{person}", 1, rank, "semantic", False)
            for one, _, _, person, count in rows
            for rank in range(1, count + 1)
        ],
    )


def simulated(
    rng: np.random.Generator,
    *,
    components: dict[str, float],
    layers: int,
    lists: int,
    people_per_list: int,
    people: int,
) -> list[tuple[object, str, int, str, int]]:
    """Rows for `frames_from` of 1,000 tokens: value and random lists with these components."""
    spread = {name: variance**0.5 for name, variance in components.items()}
    each = rng.normal(0, spread["people"], people)
    rows: list[tuple[object, str, int, str, int]] = []
    for kind, mean in (("value", 0.6), ("random", 0.4)):
        own = each + rng.normal(0, spread["by_kind"], people)
        for layer in range(layers):
            for _ in range(lists):
                value = mean + layer / 100 + rng.normal(0, spread["lists"])
                who = rng.choice(people, people_per_list, replace=False)
                noise = rng.normal(0, spread["rest"], people_per_list)
                seen = np.rint(1000 * (value + own[who] + noise)).astype(int)
                number = len(rows)
                rows += [
                    (number, kind, layer, f"p{one}", int(np.clip(n, 0, 1000)))
                    for one, n in zip(who, seen, strict=True)
                ]
    return rows


def only(table: pd.DataFrame, kind: str | None) -> pd.Series:
    """The one row of a kind; of all kinds for None."""
    rows = table[table["kind"].isna()] if kind is None else table[table["kind"] == kind]
    (row,) = rows.to_dict("records")
    return pd.Series(row)
