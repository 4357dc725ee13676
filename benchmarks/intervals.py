"""How often the intervals of results hold the truth, for outcomes of many shapes.

Run ``python -m benchmarks.intervals [REPETITIONS]`` in the repository's root; each repetition is a
study of 12 layers × 3, 5 or 10 lists of each kind. It prints the tables of docs/measures.md and
ends with an error where a row of all layers covers less than 93%, or one of a single layer less
than 90%, and where a measure of agreement covers less than 93% though its row has no warning.
Above 97% an interval is wider than it need be, which the last line names.

The shapes: lists in which nobody saw a pattern (50, 70 and 85% of them), shares that are skewed
without a heap at zero, and shares near 1. In each, layers differ, as layers of models do.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.agreement.tables import agreement_tables, measure_agreement
from annotation_site.analysis.annotation_frames import FRAME_COLUMNS, AnnotationFrames
from annotation_site.analysis.strata import FEW_OF_ONE_LAYER, FEW_PER_STRATUM_RESAMPLED, too_near
from annotation_site.analysis.stratified import stratified_half_widths

Floats = NDArray[np.float64]
Generator = np.random.Generator
Shape = Callable[[Generator, int, int], Floats]

LAYERS = 12
TOKENS = 30
REPETITIONS = 4_000
AT_ONCE = 100  # studies in one call, as models of one table
PER_LAYER = (3, 5, 10)
ONE_LAYER = (20, 25, 30, 50)
LEAST, MOST = 0.93, 0.97
LEAST_OF_ONE_LAYER = 0.90
ENOUGH = 100  # intervals of which a share says something
TRUTH = 400_000  # lists per layer whose mean is taken for the truth


def heap_at_zero(zeros: float) -> Shape:
    """Shares of 4 tokens or more, and lists without a pattern: `zeros` of them in the middle
    layer, a tenth fewer in the first and a tenth more in the last."""

    def draw(generator: Generator, layer: int, size: int) -> Floats:
        none = generator.random(size) < min(zeros + 0.2 * (layer / (LAYERS - 1) - 0.5), 0.97)
        tokens = np.rint(TOKENS * generator.beta(2, 3, size)).clip(4, TOKENS)
        return np.where(none, 0.0, tokens / TOKENS)

    return draw


def skewed(generator: Generator, layer: int, size: int) -> Floats:
    """Mostly small shares and a long tail, which later layers have less of."""
    return np.rint(TOKENS * generator.beta(0.6, 3 + layer / 6, size)) / TOKENS


def near_one(generator: Generator, layer: int, size: int) -> Floats:
    """Nearly every token is in a pattern, in later layers a little less often."""
    return 1 - np.rint(TOKENS * generator.beta(0.4 + layer / 40, 5, size)) / TOKENS


SHAPES: Mapping[str, Shape] = {
    "50% zeros": heap_at_zero(0.50),
    "70% zeros": heap_at_zero(0.70),
    "85% zeros": heap_at_zero(0.85),
    "skewed": skewed,
    "near 1": near_one,
}


def fewer(shape: Shape) -> Shape:
    """The random vectors of a shape: a third of the lists that have a pattern have none."""

    def draw(generator: Generator, layer: int, size: int) -> Floats:
        return np.where(generator.random(size) < 1 / 3, 0.0, shape(generator, layer, size))

    return draw


def truths(shape: Shape) -> Floats:
    """The mean of each layer, shape (LAYERS,)."""
    layers = range(LAYERS)
    return np.array([shape(np.random.default_rng(7), one, TRUTH).mean() for one in layers])


def studies(
    shape: Shape, per_layer: int, count: int, generator: Generator, layers: Sequence[int]
) -> Floats:
    """The lists of so many studies, layer by layer, shape (layers · per_layer, count)."""
    drawn = [shape(generator, layer, per_layer * count) for layer in layers]
    return np.concatenate([one.reshape(per_layer, count) for one in drawn])


def intervals(values: Floats, per_layer: int, weights: Sequence[float]) -> tuple[Floats, Floats]:
    """The bounds that tables show for Σ weight · mean of a layer, one for each study."""
    strata = len(weights)
    stratum = np.repeat(np.arange(strata), per_layer)
    means = values.reshape(strata, per_layer, -1).mean(axis=1)
    middle = np.asarray(weights) @ means
    half = stratified_half_widths(
        values,
        stratum,
        weights=np.abs(weights),
        pools=np.arange(strata),
        population=np.full(strata, np.inf),
    )
    least = -1.0 if min(weights) < 0 else 0.0
    return np.maximum(middle - half, least), np.minimum(middle + half, 1.0)


def of_all_layers(shape: Shape, per_layer: int, count: int) -> tuple[float, float]:
    """The shares of studies whose interval of a mean, and of a difference, holds the truth."""
    generator = np.random.default_rng([per_layer, count])
    layers, each = range(LAYERS), 1 / LAYERS
    value = studies(shape, per_layer, count, generator, layers)
    random = studies(fewer(shape), per_layer, count, generator, layers)
    mean, other = truths(shape).mean(), truths(fewer(shape)).mean()
    of_means = intervals(value, per_layer, [each] * LAYERS)
    both = intervals(np.concatenate([value, random]), per_layer, [each] * LAYERS + [-each] * LAYERS)
    return held(of_means, mean), held(both, mean - other)


def of_one_layer(shape: Shape, per_layer: int, count: int) -> tuple[float, float]:
    """The share of shown intervals of one layer that hold the truth, and the share shown."""
    generator, layer = np.random.default_rng([per_layer, count]), LAYERS // 2
    values = studies(shape, per_layer, count, generator, [layer])
    shown = np.array([not too_near(one) for one in values.T])
    if not shown.any():
        return float("nan"), 0.0
    bounds = intervals(values[:, shown], per_layer, [1.0])
    return held(bounds, truths(shape)[layer]), float(shown.mean())


def held(bounds: tuple[Floats, Floats], truth: float) -> float:
    """The share of intervals that hold the truth."""
    low, high = bounds
    return float(((low <= truth) & (truth <= high)).mean())


# Agreement of two people.

AGREEMENT_PER_LAYER = (3, 4, 5, 6, 10)
AGREEMENT_RESAMPLES = 1_000  # of 10,000 in results: the ends of an interval move by a few percent
AGREEMENT_TRUTH = 48_000  # lists
# Chance levels have no interval and would cost their time.
MEASURES = {name: replace(one, has_chance=False) for name, one in AGREEMENT_MEASURES.items()}
CATEGORIES = ("semantic", "syntactic")
SEEN, KEPT, OTHER_CATEGORY, OWN = 0.8, 0.85, 0.1, 0.15
FLAGGED, OTHER_FLAG = 0.3, 0.1


def frames_of(
    per_layer: int, count: int, generator: Generator, layers: Sequence[int] = range(LAYERS)
) -> AnnotationFrames:
    """Two people's patterns in so many studies.

    A list has no pattern, one or two, more often one in later layers. A person sees each with
    probability `SEEN` and each of its tokens with `KEPT`, takes the other category with
    `OTHER_CATEGORY`, and adds a pattern that nobody else sees with `OWN`. A pattern is flagged
    as stopwords with `FLAGGED`, and a person sets the other flag with `OTHER_FLAG`.
    """
    (of_flags,) = generator.spawn(1)  # draws of its own, so that the others stay as they were
    lists, annotations, members = [], [], []
    for study in range(count):
        for layer in layers:
            for _ in range(per_layer):
                number = len(lists)
                lists.append((number, f"study {study:04}", "value", layer, TOKENS))
                order = generator.permutation(TOKENS) + 1
                present = generator.random(2) < (0.3 + 0.4 * layer / (LAYERS - 1), 0.3)
                sizes = generator.integers(4, 11, size=2)
                true = [order[10 * i : 10 * i + sizes[i]] for i in range(2) if present[i]]
                flags = of_flags.random(2) < FLAGGED
                for person in ("ana", "ben"):
                    annotation = len(annotations)
                    annotations.append((annotation, number, person))
                    found = [
                        (pattern[generator.random(len(pattern)) < KEPT], i)
                        for i, pattern in enumerate(true)
                        if generator.random() < SEEN
                    ]
                    if generator.random() < OWN:
                        found.append((order[20:25], 0))
                    for n, (ranks, category) in enumerate(found, start=1):
                        name = CATEGORIES[(category + (generator.random() < OTHER_CATEGORY)) % 2]
                        flag = bool(flags[category] ^ (of_flags.random() < OTHER_FLAG))
                        members += [(annotation, n, int(rank), name, flag) for rank in ranks]
    frames = {"lists": lists, "annotations": annotations, "members": members}
    return AnnotationFrames(
        **{n: pd.DataFrame(f, columns=[*FRAME_COLUMNS[n]]) for n, f in frames.items()}
    )


def batches(count: int, seed: int) -> Iterator[tuple[int, Generator]]:
    """How many studies to make at once, with a generator for each batch."""
    for begin in range(0, count, AT_ONCE):
        yield min(AT_ONCE, count - begin), np.random.default_rng([seed, begin])


def agreement_coverage(
    per_layer: int, count: int, truth: "pd.Series[float]", layers: Sequence[int] = range(LAYERS)
) -> "pd.Series[float]":
    """By measure the share of intervals shown that hold the truth; missing where few are."""
    parts = []
    for size, generator in batches(count, 100 + per_layer):
        labels = frames_of(per_layer, size, generator, layers)
        agreement = measure_agreement(labels, min_tokens=4, measures=MEASURES)
        (table,) = agreement_tables(agreement, by=[("model",)], resamples=AGREEMENT_RESAMPLES)
        table = table[table["low"].notna()]
        truths = table["measure"].map(truth)
        parts.append(table.assign(held=(table["low"] <= truths) & (truths <= table["high"])))
    whole = pd.concat(parts)
    found = whole.groupby("measure", sort=False)["held"].agg(["mean", "size"])
    return found["mean"].where(found["size"] >= ENOUGH)


def agreement_truth(layers: Sequence[int] = range(LAYERS)) -> "pd.Series[float]":
    """Each measure over very many lists."""
    per_layer = AGREEMENT_TRUTH // len(layers)
    labels = frames_of(per_layer, 1, np.random.default_rng(11), layers)
    agreement = measure_agreement(labels, min_tokens=4, measures=MEASURES)
    (table,) = agreement_tables(agreement, by=[("model",)])
    return table.set_index("measure")["value"]


def print_agreement(
    tables: Mapping[int, "pd.Series[float]"], measures: list[str], what: str
) -> None:
    """A row per measure, a column per number of lists."""
    print(f"\n| measure of agreement, by {what} | {' | '.join(map(str, tables))} |")
    print("|---" * (len(tables) + 1) + "|")
    for measure in measures:
        shares = [one.get(measure, np.nan) for one in tables.values()]
        row = ("–" if np.isnan(one) else f"{one:.1%}" for one in shares)
        print(f"| {measure} | {' | '.join(row)} |", flush=True)


def main(repetitions: int) -> str:
    """Print the tables; returns what covers too little, if anything does."""
    missed, wide = [], []
    print(f"{repetitions:,} studies of {LAYERS} layers; share of 95% intervals that hold the truth")
    print("\n| outcomes | lists per layer | mean | value − random |\n|---|---|---|---|")
    for name, shape in SHAPES.items():
        for per_layer in PER_LAYER:
            found = of_all_layers(shape, per_layer, repetitions)
            print(f"| {name} | {per_layer} | {found[0]:.1%} | {found[1]:.1%} |", flush=True)
            missed += [f"{name}, {per_layer}: {x:.1%}" for x in found if x < LEAST]
            wide += [f"{name}, {per_layer}: {x:.1%}" for x in found if x > MOST]
    print("\n| outcomes of one layer | lists | shown | holds the truth |\n|---|---|---|---|")
    for name, shape in SHAPES.items():
        for count in ONE_LAYER:
            held, shown = of_one_layer(shape, count, repetitions)
            print(f"| {name} | {count} | {shown:.0%} | {held:.1%} |", flush=True)
            if shown * repetitions >= ENOUGH and held < LEAST_OF_ONE_LAYER:
                missed.append(f"one layer, {name}, {count}: {held:.1%}")
    print(f"\n{repetitions:,} studies, {AGREEMENT_RESAMPLES:,} resamples")
    for layers, counts, unwarned, what in (
        (range(LAYERS), AGREEMENT_PER_LAYER, FEW_PER_STRATUM_RESAMPLED, "lists per layer"),
        ([LAYERS // 2], ONE_LAYER, FEW_OF_ONE_LAYER, "lists of one layer"),
    ):
        truth = agreement_truth(layers)
        tables = {n: agreement_coverage(n, repetitions, truth, layers) for n in counts}
        print_agreement(tables, list(truth.dropna().index), what)
        for n, table in tables.items():
            least = table.min()
            if n >= unwarned and least < LEAST:
                missed.append(f"agreement, {n} {what}, without a warning: {least:.1%}")
    print(f"\nWider than need be: {'; '.join(wide) or 'none'}")
    return "; ".join(missed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else REPETITIONS) or 0)
