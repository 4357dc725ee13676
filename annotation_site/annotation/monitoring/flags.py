"""Flags: hints at hurried work. Pure: no database.

A flag informs the researcher and rejects nothing: each is one sentence with its numbers, and the
person it is about may have a good reason.
"""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from django.utils.translation import gettext as _

RECENT = 50  # a person's last answers, which flags look at
LAST = 20  # of these, the ones whose time is judged
FEWEST = 5  # answers before time or repetition is judged: the first lists are still learning
FEWEST_FOR_SHARES = 10  # answers before a share of them is judged

FAST_SECONDS = 15
FAST_SHARE = 1 / 4  # of the study's median
EMPTY_MORE = 0.2  # the least difference of shares that is worth a look
EMPTY_ERRORS = 3  # standard errors above the others' share
SAME_IN_A_ROW = 3
SAME_SHARE = 0.2

Patterns = frozenset[frozenset[int]]
"""An answer's patterns as sets of ranks; their numbers and words do not matter here."""


@dataclass(frozen=True)
class RecentAnnotation:
    """One submitted annotation: its active time and marked ranks; empty means "no pattern"."""

    active_seconds: int
    patterns: Patterns


@dataclass(frozen=True)
class Flag:
    """One hint at hurried work, as a sentence with its numbers."""

    kind: Literal["fast", "empty", "identical"]
    sentence: str

    @property
    def label(self) -> str:
        """The kind in the reader's language."""
        return {"fast": _("fast"), "empty": _("empty"), "identical": _("identical")}[self.kind]


def flags_of(
    recent: Mapping[int, Sequence[RecentAnnotation]], *, study_median: float | None
) -> dict[int, list[Flag]]:
    """The flags of every person, from their last annotations, oldest first.

    `study_median` is the active time in seconds of a typical answer of the whole study, None
    while there is none. Nobody's flags depend on how people or their answers are numbered.
    """
    empty = {person: sum(not a.patterns for a in answers) for person, answers in recent.items()}
    all_empty, all_annotations = sum(empty.values()), sum(map(len, recent.values()))
    found = {}
    for person, answers in recent.items():
        others = (all_empty - empty[person], all_annotations - len(answers))
        flags = (
            fast_flag([a.active_seconds for a in answers[-LAST:]], study_median),
            empty_flag(empty[person], len(answers), *others),
            identical_flag([a.patterns for a in answers]),
        )
        found[person] = [flag for flag in flags if flag is not None]
    return found


def fast_flag(seconds: Sequence[int], study_median: float | None) -> Flag | None:
    """Flag "fast": a median under 15 seconds, or under a quarter of the study's."""
    if len(seconds) < FEWEST:
        return None
    median = statistics.median(seconds)
    slow_study = study_median is not None and median < FAST_SHARE * study_median
    if median >= FAST_SECONDS and not slow_study:
        return None
    values = {"n": len(seconds), "median": f"{median:g}"}
    if study_median is None:
        sentence = _(
            "Very fast: the median of the last %(n)s lists is %(median)s s of active time."
        )
    else:
        values["study"] = f"{study_median:g}"
        sentence = _(
            "Very fast: the median of the last %(n)s lists is %(median)s s of active time; in the "
            "whole study it is %(study)s s."
        )
    return Flag("fast", sentence % values)


def empty_flag(empty: int, answers: int, others_empty: int, others: int) -> Flag | None:
    """Flag "empty": "no pattern" far more often than the other people together."""
    if answers < FEWEST_FOR_SHARES or others < FEWEST_FOR_SHARES:
        return None
    own, theirs = empty / answers, others_empty / others
    # With two answers added, one of each kind, so that a share of 0 has an error too.
    expected = (others_empty + 1) / (others + 2)
    error = math.sqrt(expected * (1 - expected) * (1 / answers + 1 / others))
    if own - theirs < max(EMPTY_MORE, EMPTY_ERRORS * error):
        return None
    return Flag(
        "empty",
        _(
            "Often empty: no pattern in %(empty)s of the last %(n)s lists (%(own)s); for the other "
            "annotators it is %(theirs)s."
        )
        % {"empty": empty, "n": answers, "own": f"{own:.0%}", "theirs": f"{theirs:.0%}"},
    )


def identical_flag(answers: Sequence[Patterns]) -> Flag | None:
    """Flag "identical": the same ranks in list after list, or in many; "no pattern" is for
    `empty_flag`.
    """
    if len(answers) < FEWEST:
        return None
    row = max((len(list(same)) for marked, same in groupby(answers) if marked), default=0)
    most = max(Counter(marked for marked in answers if marked).values(), default=0)
    if row >= SAME_IN_A_ROW:
        return Flag(
            "identical",
            _("Identical: the same ranks are marked in %(n)s lists in a row.") % {"n": row},
        )
    share = most / len(answers)
    if len(answers) >= FEWEST_FOR_SHARES and most >= SAME_IN_A_ROW and share > SAME_SHARE:
        return Flag(
            "identical",
            _(
                "Identical: the same ranks are marked in %(most)s of the last %(n)s lists "
                "(%(share)s)."
            )
            % {"most": most, "n": len(answers), "share": f"{share:.0%}"},
        )
    return None
