"""How often intervals for people like the annotators hold the truth, in simulated studies.

Run ``python -m benchmarks.people_intervals [REPETITIONS]`` in the repository's root. It prints the
tables of docs/measures.md and ends with an error where an interval of 10 people or more covers
less than 93%, or one of fewer less than 91%.

A study has 12 layers × 5 lists of two kinds. People differ in how readily they see a pattern, and
also in how they see each kind; lists differ in their level; an answer is a number of 30 tokens that
clump, and is 0 below 4 tokens. The truth is the mean over other people and other lists. Beside our
interval stand the one conditional on the annotators, and the percentiles of resamples that draw
people and lists at once.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation_site.analysis.agreement.measure import ratio
from annotation_site.analysis.strata import Strata
from annotation_site.analysis.stratified import half_widths
from annotation_site.analysis.stratum_sums import Estimate, StratumSums, weighted_means
from annotation_site.analysis.two_way import (
    Answers,
    people_draws,
    resampled_differences,
    resampled_means,
    two_way_half_widths,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LAYERS, PER_LAYER, TOKENS, LEAST_TOKENS = 12, 5, 30, 4
LISTS = LAYERS * PER_LAYER
RESAMPLES = 200  # of 1,000 in results: the width moves by a few percent
REPETITIONS = 400
TRUTH = 400_000
LEAST, LEAST_OF_FEW = 0.93, 0.91
OF_PEOPLE, OF_KIND, OF_LIST, CLUMPING = 0.5, 0.25, 0.8, 6.0
"""Standard deviations of people, of people's view of a kind and of lists, on the scale of log odds;
a small `CLUMPING` lets the tokens of an answer hang together."""
SHOWN = ("for people like these", "conditional on the annotators", "percentiles of both at once")


@dataclass(frozen=True)
class Design:
    """How many people there are, how many annotate a list, and the first one's share of places."""

    people: int
    per_list: int
    share: float | None = None

    @property
    def name(self) -> str:
        uneven = "" if self.share is None else f", one with {self.share:.0%} of the places"
        return f"{self.people} people, {self.per_list} per list{uneven}"


DESIGNS = (
    *(Design(people, 1) for people in (5, 10, 20)),
    *(Design(people, 2) for people in (5, 7, 10, 20)),
    *(Design(people, 3) for people in (5, 10, 20)),
    Design(5, 5),
    Design(10, 2, share=0.5),
)


def answers(
    generator: np.random.Generator, odds: Floats, kind: Integers, people: Floats, views: Floats
) -> Floats:
    """Shares of tokens in a concept, from lists' levels and people's tendencies."""
    seen = 1 / (1 + np.exp(-(odds - 0.8 * kind + people + views)))
    clumped = generator.beta(seen * CLUMPING, (1 - seen) * CLUMPING)
    tokens = generator.binomial(TOKENS, clumped)
    return np.where(tokens < LEAST_TOKENS, 0, tokens) / TOKENS


def truth() -> Floats:
    """The mean of value vectors, and value − random, over very many people and lists."""
    generator = np.random.default_rng(5)
    means = []
    for kind in (0, 1):
        odds = _odds(np.arange(TRUTH) % LAYERS) + generator.normal(0, OF_LIST, TRUTH)
        people = generator.normal(0, OF_PEOPLE, TRUTH)
        views = generator.normal(0, OF_KIND, TRUTH)
        kinds = np.full(TRUTH, kind)
        means.append(answers(generator, odds, kinds, people, views).mean())
    return np.array([means[0], means[0] - means[1]])


def _odds(layer: Integers) -> Floats:
    return 0.2 * (layer / (LAYERS - 1) - 0.5) - 0.4


def study(generator: np.random.Generator, design: Design) -> Answers:
    """Value lists layer by layer, then random ones."""
    lists = 2 * LISTS
    if design.share is None:
        places = np.arange(lists * design.per_list).reshape(lists, -1) % design.people
        who = generator.permuted(np.arange(design.people))[generator.permutation(places)]
    else:
        others = (1 - design.share) / (design.people - 1)
        chances = np.array([design.share] + [others] * (design.people - 1))
        arrival = generator.exponential(size=(lists, design.people)) / chances
        who = np.argsort(arrival, axis=1)[:, : design.per_list]
    person, number = who.ravel(), np.repeat(np.arange(lists), design.per_list)
    layer, kind = number % LISTS // PER_LAYER, number // LISTS
    tendency = generator.normal(0, OF_PEOPLE, design.people)
    views = generator.normal(0, OF_KIND, (design.people, 2))
    odds = _odds(layer) + generator.normal(0, OF_LIST, lists)[number]
    values = answers(generator, odds, kind, tendency[person], views[person, kind])
    return Answers(person, number, values[:, None])


def _estimate(values: Floats, sign: Floats) -> Estimate:
    """The estimate that tables show of strata with these signs, from the lists' means."""
    strata = len(sign)
    stratum = np.repeat(np.arange(strata), PER_LAYER)
    center = values.reshape(strata, PER_LAYER, 1).mean(axis=1)
    sums = StratumSums.of(values[:, None], stratum, center)
    known = Strata(
        group=np.arange(strata) // LAYERS,
        layer=np.arange(strata) % LAYERS,
        size=np.full(strata, PER_LAYER),
        population=np.full(strata, np.inf),
        chosen=np.zeros(strata, dtype=np.bool_),
    )
    return weighted_means(sums, known, sign / LAYERS)


def _at_once(found: Answers, draws: Floats, generator: np.random.Generator) -> Floats:
    """Resamples of people and lists together: the mean, and the difference; shape (2, draws)."""
    (lists,) = found.resampled_lists(draws)
    strata = 2 * LAYERS
    even = np.full(PER_LAYER, 1 / PER_LAYER)
    drawn = generator.multinomial(PER_LAYER - 1, even, size=(strata, draws.shape[1]))
    weights = drawn.transpose(0, 2, 1).reshape(2 * LISTS, -1).astype(np.float64)
    there = ~np.isnan(lists[:, 0])
    sums = np.where(there, lists[:, 0], 0.0) * weights
    shape = (strata, PER_LAYER, -1)
    total, count = sums.reshape(shape).sum(axis=1), (weights * there).reshape(shape).sum(axis=1)
    of_layer = ratio(total, count)
    mean = ratio(total[:LAYERS].sum(axis=0), count[:LAYERS].sum(axis=0))
    apart = of_layer[:LAYERS] - of_layer[LAYERS:]
    kept = ~np.isnan(apart)
    return np.stack([mean, ratio(np.where(kept, apart, 0.0).sum(axis=0), kept.sum(axis=0) * 1.0)])


def bounds(found: Answers, number: int) -> Mapping[str, Floats]:
    """Low and high of the mean and of the difference, shape (2, 2), of each way."""
    inside = found.list < LISTS
    _, person = np.unique(found.person[inside], return_inverse=True)  # who annotated value lists
    values = Answers(person, found.list[inside], found.values[inside])
    (lists,) = found.resampled_lists(np.ones((found.people, 1)))
    means = lists[:, 0, 0]
    sign = np.repeat([1.0, -1.0], LAYERS)
    estimates = _estimate(means[:LISTS], np.ones(LAYERS)), _estimate(means, sign)
    draws = people_draws(found.people, resamples=RESAMPLES, seed=number)
    layer = np.arange(2 * LISTS) % LISTS // PER_LAYER
    first = (np.arange(2 * LISTS) < LISTS).astype(np.int64)
    of_values = people_draws(values.people, resamples=RESAMPLES, seed=number)
    resampled = (
        resampled_means(values, of_values),
        resampled_differences(
            found, draws, is_first=first, layer=layer, held=np.full(LAYERS, 2.0 * PER_LAYER)
        ),
    )
    middle = np.array([one.value[0] for one in estimates])
    both, alone = [], []
    for one, of_people, sample in zip(estimates, resampled, (values, found), strict=True):
        half = two_way_half_widths(one.variances, one.freedom, of_people, sample.equal_people)
        both.append(half[0])
        alone.append(half_widths(one.variances, one.freedom)[0])
    together = _at_once(found, draws, np.random.default_rng([number, 1]))
    ways = [np.stack([middle - half, middle + half]) for half in (np.array(both), np.array(alone))]
    return dict(zip(SHOWN, [*ways, np.nanquantile(together, [0.025, 0.975], axis=1)], strict=True))


def people_coverage(design: Design, repetitions: int = REPETITIONS) -> dict[str, Floats]:
    """The shares of intervals of the mean and of value − random that hold the truth, by way."""
    generator = np.random.default_rng([design.people, design.per_list])
    true = truth()
    held: dict[str, list[Floats]] = {name: [] for name in SHOWN}
    for number in range(repetitions):
        for name, (low, high) in bounds(study(generator, design), number).items():
            held[name].append((low <= true) & (true <= high))
    return {name: np.mean(one, axis=0) for name, one in held.items()}


def main(repetitions: int) -> str:
    """Print the table; returns what covers too little, if anything does."""
    print(f"{repetitions:,} studies, {RESAMPLES:,} resamples: mean / value − random\n")
    print(f"| people | {' | '.join(SHOWN)} |\n|---|---|---|---|")
    missed = []
    for design in DESIGNS:
        found = people_coverage(design, repetitions)
        cells = (" / ".join(f"{x:.1%}" for x in one) for one in found.values())
        print(f"| {design.name} | {' | '.join(cells)} |", flush=True)
        least = LEAST if design.people >= 10 else LEAST_OF_FEW
        missed += [f"{design.name}: {x:.1%}" for x in found[SHOWN[0]] if x < least]
    return "; ".join(missed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else REPETITIONS) or 0)
