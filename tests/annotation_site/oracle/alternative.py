"""The alternative annotator test, from METHOD's text alone, with scipy and statsmodels."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

FEWEST = 30
Judgements = tuple[bool, ...]
"""Whether each entry of a list is in a pattern that counts."""


@dataclass(frozen=True)
class Tested:
    """A person who was tested."""

    lists: int
    failed: int
    machine: Fraction
    person: Fraction
    p: float
    adjusted: float
    beaten: bool


@dataclass(frozen=True)
class Outcome:
    """The test of one machine annotator: winning rate, advantage, and each person tested."""

    rate: Fraction | None
    advantage: Fraction | None
    people: Mapping[str, Tested]
    left_out: Collection[str]
    lists: int
    failed: int


def agreeing(one: Judgements, other: Judgements) -> Fraction:
    """The share of entries that two annotations judge alike."""
    return Fraction(sum(a == b for a, b in zip(one, other, strict=True)), len(one))


def score(own: Judgements, others: Collection[Judgements]) -> Fraction:
    """The mean agreement with the others."""
    return sum((agreeing(own, other) for other in others), Fraction(0)) / len(others)


def alternative_annotator_test(
    people: Mapping[Any, Mapping[str, Judgements]],
    machine: Mapping[Any, Judgements | None],
    *,
    epsilon: float,
) -> Outcome:
    """`people` are judgements by list and person, `machine` by list; None where replies failed."""
    everybody = sorted({who for said in people.values() for who in said})
    differences: dict[str, list[int]] = {}
    wins: dict[str, list[tuple[int, int]]] = {}
    used: dict[str, list[Any]] = {}
    for who in everybody:
        differences[who], wins[who], used[who] = [], [], []
        for number, said in people.items():
            others = [own for other, own in said.items() if other != who]
            if who not in said or len(others) < 2 or number not in machine:
                continue
            replied = machine[number]
            if replied is None:
                of_machine, of_person = 0, 1
            else:
                ours, theirs = score(replied, others), score(said[who], others)
                of_machine, of_person = int(ours >= theirs), int(theirs >= ours)
            used[who].append(number)
            wins[who].append((of_machine, of_person))
            differences[who].append(of_person - of_machine)
    tested = [who for who in everybody if len(differences[who]) >= FEWEST]
    p = [one_sided(differences[who], epsilon) for who in tested]
    beaten, adjusted = [], []
    if tested:
        beaten, adjusted, *_ = multipletests(p, alpha=0.05, method="fdr_by")
    found = {
        who: Tested(
            len(used[who]),
            sum(machine[number] is None for number in used[who]),
            Fraction(sum(one for one, _ in wins[who]), len(wins[who])),
            Fraction(sum(one for _, one in wins[who]), len(wins[who])),
            p[place],
            float(adjusted[place]),
            bool(beaten[place]),
        )
        for place, who in enumerate(tested)
    }
    lists = {number for who in tested for number in used[who]}
    return Outcome(
        Fraction(int(sum(beaten)), len(tested)) if tested else None,
        sum((one.machine for one in found.values()), Fraction(0)) / len(tested) if tested else None,
        found,
        [who for who in everybody if who not in tested],
        len(lists),
        sum(machine[number] is None for number in lists),
    )


def one_sided(differences: list[int], epsilon: float) -> float:
    """p of the paired t test that the mean difference is at least epsilon."""
    if len(set(differences)) == 1:
        return 0.0 if differences[0] < epsilon else 1.0
    return float(
        stats.ttest_1samp(np.array(differences, float), epsilon, alternative="less").pvalue
    )
