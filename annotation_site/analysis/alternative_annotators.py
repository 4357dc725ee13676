"""The alternative annotator test: does a machine annotator agree with people as people do?

Each person in turn is compared with the machine annotator, list by list: which of the two agrees
more with the other people of the list? The definitions are in ``docs/measures.md``.

References
----------
Calderon, Reichart and Dror (2025), The alternative annotator test for LLM-as-a-judge: how to
statistically justify replacing human annotators with LLMs,
https://aclanthology.org/2025.acl-long.782
Benjamini and Yekutieli (2001), The control of the false discovery rate in multiple testing under
dependency, https://doi.org/10.1214/aos/1013699998
"""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse, special

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.alternative_sentences import NO, UNDEFINED, YES
from annotation_site.analysis.annotation_frames import typed_frame
from annotation_site.analysis.strata import Floats, Integers, Marks, joined

PEOPLE = 3
"""Fewest people: the one who is compared, and two others."""
LISTS = 30
"""Fewest lists of a person who is tested, each annotated by two others too."""
Q = 0.05
"""The false discovery rate over the people who are tested."""
PASSED_FROM = 0.5
"""The winning rate from which the test is passed."""
EPSILONS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
EXPERTS, CROWD = 0.2, 0.1
"""The default of ε, for experts and for a crowd."""

FEW_PEOPLE = f"undefined, because fewer than {PEOPLE} people annotated."
NOT_ASKED = "undefined, because this machine annotator was asked about no list."
FEW_LISTS = (
    f"undefined, because nobody has {LISTS} lists that two other people annotated and this machine "
    "annotator was asked about."
)
FEW_OF_PERSON = (
    f"undefined, because this person has fewer than {LISTS} lists that two other people annotated "
    "and this machine annotator was asked about."
)
FEW_TESTED = f"fewer than {PEOPLE} people are tested"

TEST_COLUMNS: Mapping[str, type] = {
    "annotator": object,
    "epsilon": float,
    "default": object,
    "winning_rate": float,
    "passed": object,
    "advantage": float,
    "people_tested": int,
    "people_beaten": int,
    "people_left_out": int,
    "lists": int,
    "failed": int,
    "undefined": object,
    "warning": object,
}
PEOPLE_COLUMNS: Mapping[str, type] = {
    "annotator": object,
    "person": object,
    "epsilon": float,
    "lists": int,
    "failed": int,
    "advantage": float,
    "person_advantage": float,
    "difference": float,
    "p": float,
    "p_adjusted": float,
    "beaten": object,
    "undefined": object,
}


@dataclass(frozen=True, eq=False)
class Comparisons:
    """One machine annotator beside each person, counted over the person's lists.

    Of lists that the machine was asked about and three people or more annotated. All arrays have
    the shape (people,).

    Attributes
    ----------
    people
        Ids of the people who annotated.
    lists, failed
        Lists that are compared, and those of them whose replies failed.
    machine_ahead, person_ahead
        Lists on which one of the two agrees more with the others; on the rest they are equal.
    used
        Whether each list enters the comparison of each person, shape (lists, people), in the order
        of `EncodedAnnotations.lists`.
    failing
        Whether the machine's replies about each list failed, shape (lists,).
    asked
        How many of the study's lists the machine annotated or failed to annotate.
    """

    people: tuple[object, ...]
    lists: Integers
    failed: Integers
    machine_ahead: Integers
    person_ahead: Integers
    used: sparse.csr_array
    failing: Marks
    asked: int

    @property
    def tested(self) -> Marks:
        """People with enough lists."""
        return np.asarray(self.lists >= LISTS)

    @property
    def machine_advantage(self) -> Floats:
        """The share of lists on which the machine agrees at least as much; NaN without a list."""
        return self._share(self.lists - self.person_ahead)

    @property
    def person_advantage(self) -> Floats:
        """The share of lists on which the person agrees at least as much; NaN without a list."""
        return self._share(self.lists - self.machine_ahead)

    @property
    def difference(self) -> Floats:
        """The person's advantage minus the machine's; NaN without a list."""
        return self._share(self.person_ahead - self.machine_ahead)

    def p_values(self, epsilon: float) -> Floats:
        """p of a one-sided paired t test that the difference is at least `epsilon`.

        NaN for people who are not tested. Without variance the limit: 0 where the difference is
        below `epsilon`, else 1.
        """
        p = np.full(len(self.people), np.nan)
        n = self.lists.astype(np.float64)
        difference = (self.person_ahead - self.machine_ahead).astype(np.float64)
        # Differences per list are −1, 0 or 1, so whole numbers give their variance exactly.
        spread = n * (self.person_ahead + self.machine_ahead) - difference**2
        for person in np.flatnonzero(self.tested):
            mean = difference[person] / n[person]
            if spread[person] == 0:
                p[person] = 0.0 if mean < epsilon else 1.0
                continue
            error = np.sqrt(spread[person] / (n[person] - 1)) / n[person]
            p[person] = special.stdtr(n[person] - 1, (mean - epsilon) / error)
        return p

    def _share(self, counts: Integers) -> Floats:
        found = np.full(len(self.people), np.nan)
        np.divide(counts, self.lists, out=found, where=self.lists > 0)
        return found


def compare(
    people: EncodedAnnotations, machine: EncodedAnnotations, failures: Collection[Hashable]
) -> Comparisons:
    """Compare a machine annotator with each person.

    Parameters
    ----------
    people
        People's annotations that count.
    machine
        The machine annotator's, at most one of each list, with the same minimum.
    failures
        Ids of lists whose replies failed: there the person is ahead.
    """
    ids = pd.Index(people.lists["list_id"])
    number = ids.get_indexer(people.annotations["list_id"])
    names = pd.Index(pd.Series(people.people, dtype="object"))
    person = names.get_indexer(people.annotations["annotator"].astype("object"))
    width = people.in_concept.shape[1]
    judged = np.bincount(number, minlength=len(ids))
    of_machine = ids.get_indexer(machine.annotations["list_id"])
    there = of_machine >= 0
    said = np.zeros(len(ids), dtype=np.bool_)
    said[of_machine[there]] = True
    marked = np.zeros((len(ids), width), dtype=np.bool_)
    grid = machine.in_concept[there][:, :width] == 1
    marked[of_machine[there], : grid.shape[1]] = grid
    failing = np.asarray(ids.isin(list(failures))) & ~said
    rows = np.flatnonzero((judged >= PEOPLE)[number] & (said | failing)[number])
    lists = number[rows]

    inside = people.in_concept[rows] >= 0
    own = people.in_concept[rows] == 1
    shape = len(ids), len(number)
    of_list = sparse.csr_array((np.ones(len(number)), (number, np.arange(len(number)))), shape)
    marks = np.rint(of_list @ (people.in_concept == 1).astype(np.float64)).astype(np.int64)
    others_in = marks[lists] - own
    others_out = (judged[lists, None] - 1) - others_in
    # Sums over the same others and entries: whole numbers, so that equal scores are equal.
    score = np.where(own, others_in, others_out)
    alternative = np.where(marked[lists], others_in, others_out)
    ahead = ((score - alternative) * inside).sum(axis=1)
    lost = failing[lists]
    at = person[rows]

    def counted(which: Marks) -> Integers:
        return np.bincount(at[which], minlength=len(names)).astype(np.int64)

    used = sparse.csr_array(
        (np.ones(len(rows), dtype=np.bool_), (lists, at)), shape=(len(ids), len(names))
    )
    return Comparisons(
        people=people.people,
        lists=counted(np.ones(len(rows), dtype=np.bool_)),
        failed=counted(lost),
        machine_ahead=counted((ahead < 0) & ~lost),
        person_ahead=counted((ahead > 0) | lost),
        used=used,
        failing=failing,
        asked=int((said | failing).sum()),
    )


def benjamini_yekutieli(p: Floats) -> Floats:
    """Adjust p-values for the false discovery rate under any dependence; NaN stay NaN."""
    known = np.flatnonzero(~np.isnan(p))
    adjusted = np.full(len(p), np.nan)
    if len(known):
        order = known[np.argsort(p[known], kind="stable")]
        place = np.arange(1, len(order) + 1)
        factor = len(order) * (1 / place).sum() / place
        least = np.minimum.accumulate((p[order] * factor)[::-1])[::-1]
        adjusted[order] = np.minimum(least, 1)
    return adjusted


def default_epsilon(*, crowd: bool) -> float:
    """The default of ε: what people cost more, for experts or for a crowd."""
    return CROWD if crowd else EXPERTS


def alternative_annotator_rows(
    name: str, comparisons: Comparisons, *, crowd: bool
) -> Iterator[dict[str, object]]:
    """Rows of `TEST_COLUMNS` of one machine annotator: one for each ε, or one that says why not."""
    tested = comparisons.tested
    count = int(tested.sum())
    used = np.asarray(comparisons.used[:, np.flatnonzero(tested)].sum(axis=1)).ravel() > 0
    row = {
        "annotator": name,
        "winning_rate": np.nan,
        "passed": UNDEFINED,
        "advantage": np.nan,
        "people_tested": count,
        "people_beaten": 0,
        "people_left_out": len(tested) - count,
        "lists": int(used.sum()),
        "failed": int((used & comparisons.failing).sum()),
        "undefined": "",
        "warning": "",
    }
    default = default_epsilon(crowd=crowd)
    if why := _why_undefined(comparisons):
        yield {**row, "epsilon": default, "default": YES, "undefined": why}
        return
    advantage = float(comparisons.machine_advantage[tested].mean())
    warning = _left_out(len(tested) - count)
    for epsilon in EPSILONS:
        beaten = int((benjamini_yekutieli(comparisons.p_values(epsilon)) <= Q).sum())
        yield {
            **row,
            "epsilon": epsilon,
            "default": YES if epsilon == default else NO,
            "winning_rate": beaten / count,
            "passed": YES if beaten / count >= PASSED_FROM else NO,
            "advantage": advantage,
            "people_beaten": beaten,
            "warning": joined([FEW_TESTED if count < PEOPLE else "", warning]),
        }


def _why_undefined(comparisons: Comparisons) -> str:
    if len(comparisons.people) < PEOPLE:
        return FEW_PEOPLE
    if not comparisons.asked:
        return NOT_ASKED
    return "" if comparisons.tested.any() else FEW_LISTS


def _left_out(people: int) -> str:
    if not people:
        return ""
    who = "1 person is" if people == 1 else f"{people} people are"
    return f"{who} left out: fewer than {LISTS} lists with two others and this machine annotator"


def person_rows(name: str, comparisons: Comparisons, *, crowd: bool) -> Iterator[dict[str, object]]:
    """Rows of `PEOPLE_COLUMNS` of one machine annotator, at the default ε."""
    epsilon = default_epsilon(crowd=crowd)
    p = comparisons.p_values(epsilon)
    adjusted = benjamini_yekutieli(p)
    for number, person in enumerate(comparisons.people):
        is_tested = bool(comparisons.tested[number])
        yield {
            "annotator": name,
            "person": person,
            "epsilon": epsilon,
            "lists": comparisons.lists[number],
            "failed": comparisons.failed[number],
            "advantage": comparisons.machine_advantage[number],
            "person_advantage": comparisons.person_advantage[number],
            "difference": comparisons.difference[number],
            "p": p[number],
            "p_adjusted": adjusted[number],
            "beaten": (YES if adjusted[number] <= Q else NO) if is_tested else UNDEFINED,
            "undefined": "" if is_tested else FEW_OF_PERSON,
        }


def table_of(rows: Iterator[Mapping[str, object]], columns: Mapping[str, type]) -> pd.DataFrame:
    """A dataframe of such rows."""
    values: Sequence[Sequence[object]] = [[row[name] for name in columns] for row in rows]
    return typed_frame(values, columns)
