"""How often estimates for all value vectors hold the truth, and how much a proxy narrows them.

Run ``python -m benchmarks.estimates [CAMPAIGNS]`` in the repository's root. A campaign draws 10, 17
or 33 lists from each of 12 layers of 3,072 vectors and estimates the mean of all 36,864; two people
judge each list. It prints the table of docs/estimates.md, and the seconds for the tables of a study
of 200 lists. It ends with an error where an interval holds the truth in less than 93% or more than
97% of campaigns, where a proxy with a correlation of 0.7 within layers gives more than 0.75 of the
classical width, or a useless one more than 1.02 of it; and where the shown intervals of a single
layer hold the truth in less than 90%.

The outcomes are shares of 4 tokens or more of 30, and heaps at zero: 50 or 70% of the lists, a
tenth less in the first layer and a tenth more in the last. Layers differ in their proxies too.
People agree on lists without a pattern.

At the end stands how often intervals for people like the annotators hold the truth, with 5, 10 and
20 people and others: ``benchmarks.people_intervals``.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from time import process_time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annotation_site.analysis.estimates.estimator import (
    Census,
    Estimate,
    Sample,
    classical_estimate,
    difference_estimate,
)
from annotation_site.analysis.estimates.lists import near_bounds
from annotation_site.analysis.estimates.models import EstimateInput
from annotation_site.analysis.estimates.proxies import proxies_of
from annotation_site.analysis.estimates.tables import estimate_differences_table, estimates_table
from annotation_site.analysis.strata import Populations
from benchmarks import people_intervals

Floats = NDArray[np.float64]

LAYERS, VECTORS, TOKENS, PEOPLE = 12, 3_072, 30, 2
CAMPAIGNS = 2_000
AT_ONCE = 250  # campaigns whose lists are in memory
PER_LAYER = (10, 17, 33)
ZEROS = (0.5, 0.7)
CORRELATIONS = (0.0, 0.5, 0.7, -0.6)
DISAGREEMENT = 0.1  # of one person's share, its standard deviation
ONE_LAYER = (30, 50)
ONE_LAYER_CORRELATIONS = (0.0, 0.7)
ENOUGH = 100  # intervals of which a share says something
LEAST, MOST = 0.93, 0.97
LEAST_OF_ONE_LAYER = 0.90
NARROW, USELESS = 0.75, 1.02


@dataclass(frozen=True)
class Population:
    """All vectors of a model: what lists are like, shape (layers, vectors), and their proxy."""

    outcome: Floats
    proxy: Floats

    @property
    def census(self) -> Census:
        """The proxy's mean in each layer."""
        return Census(self.proxy.mean(axis=1, keepdims=True))


@dataclass(frozen=True)
class Row:
    """Measured over campaigns: shares that hold the truth, and the mean ratio of widths."""

    zeros: float
    correlation: float
    per_layer: int
    held: float
    classical: float
    width: float

    @property
    def complaint(self) -> str:
        """Why the row is not as it should be, or ""."""
        said = []
        if not LEAST <= self.held <= MOST or not LEAST <= self.classical <= MOST:
            said.append("coverage")
        most = {0.7: NARROW, 0.0: USELESS}.get(self.correlation, 1.0)
        if self.width > most:
            said.append("width")
        return " and ".join(said)


@cache
def population(zeros: float, correlation: float) -> Population:
    """The vectors of a design, which campaigns draw from; the correlation is that within layers."""
    generator = np.random.default_rng([round(100 * zeros), round(100 * correlation) + 100])
    outcome = np.empty((LAYERS, VECTORS))
    proxy = np.empty((LAYERS, VECTORS))
    for layer in range(LAYERS):
        none = generator.random(VECTORS) < zeros + 0.2 * (layer / (LAYERS - 1) - 0.5)
        tokens = np.rint(TOKENS * generator.beta(2, 3, VECTORS)).clip(4, TOKENS)
        outcome[layer] = np.where(none, 0.0, tokens / TOKENS)
        away = (outcome[layer] - outcome[layer].mean()) / outcome[layer].std()
        noise = generator.standard_normal(VECTORS)
        # The correlation with what people say, who are noisy, is the design's.
        noisy = DISAGREEMENT * np.sqrt((outcome[layer] > 0).mean() / PEOPLE)
        inner = correlation * np.hypot(outcome[layer].std(), noisy) / outcome[layer].std()
        proxy[layer] = 40 + 3 * layer + 5 * (inner * away + np.sqrt(1 - inner**2) * noise)
    return Population(outcome, proxy)


def campaigns(
    vectors: Population, per_layer: int, count: int, seed: int
) -> Iterator[tuple[Sample, Floats, Floats]]:
    """Samples of so many campaigns, a column each, their proxies, and the disagreement of people.

    Disagreement has a mean of 0, so that the truth is the mean of the outcomes.
    """
    generator = np.random.default_rng([seed, per_layer])
    layers = len(vectors.outcome)
    sizes = np.full(layers, float(VECTORS))
    stratum = np.repeat(np.arange(layers), per_layer)
    for begin in range(0, count, AT_ONCE):
        columns = min(AT_ONCE, count - begin)
        keys = generator.random((layers, columns, VECTORS), dtype=np.float32)
        drawn = np.argpartition(keys, per_layer, axis=2)[:, :, :per_layer].transpose(0, 2, 1)
        where = np.arange(layers)[:, None, None]
        shape = (layers * per_layer, columns)
        true, proxy = (one[where, drawn].reshape(shape) for one in (vectors.outcome, vectors.proxy))
        said = judged(true, generator)
        within = said.var(axis=0, ddof=1).mean(axis=0) / PEOPLE
        sample = Sample(said.mean(axis=0), stratum, sizes / sizes.sum(), sizes, np.arange(layers))
        yield sample, proxy, np.broadcast_to(within, (layers, columns))


def judged(outcome: Floats, generator: np.random.Generator) -> Floats:
    """What each person says of each list, shape (people, *outcomes)."""
    noise = DISAGREEMENT * generator.standard_normal((PEOPLE, *outcome.shape))
    return np.asarray(outcome + (outcome > 0) * noise)


def measured(zeros: float, correlation: float, per_layer: int, count: int) -> Row:
    """One row of the table."""
    vectors = population(zeros, correlation)
    truth = float(vectors.outcome.mean())
    held, classical, widths = [], [], []
    for sample, proxy, within in campaigns(vectors, per_layer, count, seed=2022):
        found = difference_estimate(sample, proxy, vectors.census, disagreement=within)
        alone = classical_estimate(sample, disagreement=within)
        held.append(holds(found, truth))
        classical.append(holds(alone, truth))
        widths.append(found.half_widths() / alone.half_widths())
    return Row(
        zeros, correlation, per_layer,
        *(float(np.concatenate(one).mean()) for one in (held, classical, widths)),
    )  # fmt: skip


def of_one_layer(zeros: float, correlation: float, lists: int, count: int) -> tuple[float, float]:
    """The share of shown intervals of a middle layer that hold the truth, and the share shown."""
    every, middle = population(zeros, correlation), slice(LAYERS // 2, LAYERS // 2 + 1)
    vectors = Population(every.outcome[middle], every.proxy[middle])
    held, shown = [], []
    for sample, proxy, within in campaigns(vectors, lists, count, seed=2023):
        found = difference_estimate(sample, proxy, vectors.census, disagreement=within)
        shown.append([not near_bounds(one, share=True) for one in sample.values.T])
        held.append(holds(found, float(vectors.outcome.mean())))
    is_shown = np.concatenate(shown)
    if not is_shown.any():
        return float("nan"), 0.0
    return float(np.concatenate(held)[is_shown].mean()), float(is_shown.mean())


def holds(found: Estimate, truth: float) -> NDArray[np.bool_]:
    """Which intervals hold the truth."""
    return np.asarray(np.abs(found.value - truth) <= found.half_widths())


def study(lists: int = 200, seed: int = 1) -> EstimateInput:
    """A study of value lists of the population's layers and one proxy, as tables take it."""
    vectors = population(0.5, 0.7)
    generator = np.random.default_rng(seed)
    layer = np.sort(np.arange(lists) % LAYERS)
    index = np.concatenate(
        [
            generator.choice(VECTORS, int((layer == one).sum()), replace=False)
            for one in range(LAYERS)
        ]
    )
    said = judged(vectors.outcome[layer, index], generator)
    number = np.arange(lists)
    mean = said.mean(axis=0)
    rows = pd.DataFrame(
        {"list_id": number, "model": "gpt2", "kind": "value", "layer": layer, "annotations": PEOPLE,
         "coverage": mean, "concepts_per_list": 3 * mean}
    )  # fmt: skip
    annotations = pd.DataFrame(
        {"list_id": np.tile(number, PEOPLE), "coverage": said.ravel(),
         "concepts_per_list": 3 * said.ravel()}
    )  # fmt: skip
    known = zip(number.tolist(), ["p"] * lists, vectors.proxy[layer, index].tolist(), strict=True)
    means = vectors.proxy.mean(axis=1).tolist()
    return EstimateInput(
        rows,
        annotations,
        ["coverage", "concepts_per_list"],
        counts=["concepts_per_list"],
        populations=Populations({("gpt2", "value", one): VECTORS for one in range(LAYERS)}),
        proxies=proxies_of(
            {"p": "A proxy"}, known, [("p", "gpt2", n, VECTORS, one) for n, one in enumerate(means)]
        ),
    )


def seconds(lists: int = 200) -> float:
    """Processor time of both tables of a study."""
    given = study(lists)
    began = process_time()
    estimates_table(given)
    estimate_differences_table(given)
    return process_time() - began


def main(count: int) -> int:
    """Print the table; 1 where a row is not as it should be."""
    print("| lists without a pattern | correlation within layers | lists per layer | holds the "
          "truth | classical | width |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    wrong = 0
    for zeros in ZEROS:
        for correlation in CORRELATIONS:
            for per_layer in PER_LAYER:
                row = measured(zeros, correlation, per_layer, count)
                wrong += bool(row.complaint)
                print(
                    f"| {zeros:.0%} | {str(correlation).replace('-', '−')} | {per_layer} | "
                    f"{row.held:.1%} | {row.classical:.1%} | {row.width:.3f} |"
                    + (f" {row.complaint}!" if row.complaint else ""),
                    flush=True,
                )
    print(
        "\n| lists without a pattern | correlation | lists of one layer | holds the truth | shown |"
    )
    print("|---|---|---|---|---|")
    for zeros in ZEROS:
        for correlation in ONE_LAYER_CORRELATIONS:
            for lists in ONE_LAYER:
                held, shown = of_one_layer(zeros, correlation, lists, count)
                low = shown >= ENOUGH / count and held < LEAST_OF_ONE_LAYER
                wrong += low
                print(
                    f"| {zeros:.0%} | {correlation} | {lists} | "
                    f"{f'{held:.1%}' if shown >= ENOUGH / count else '–'} | {shown:.0%} |"
                    + (" coverage!" if low else ""),
                    flush=True,
                )
    print(f"\nTables of a study of 200 lists and 36,864 vectors: {seconds():.3f} s")
    print("\nIntervals for people like the annotators: ", end="")
    wrong += bool(people_intervals.main(max(count // 5, 1)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else CAMPAIGNS))
