"""Early exit: where a rule on dominant sub-updates says that the prediction is found (6.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffn_extract.measurements.events import saturation_layers
from ffn_extract.measurements.exit_classifiers import FOLDS, GRID, TOLERANCE, Fitted, fit_and_test
from ffn_extract.measurements.exit_rule import exits, ordered_overlaps, set_overlaps
from ffn_extract.measurements.in_paper import Beside, InPaper, Numbers
from ffn_extract.measurements.kept import Arrays
from ffn_extract.measurements.linkage import Labels
from ffn_extract.measurements.measurement import (
    Cell,
    Figure,
    Line,
    Measurement,
    Readings,
    Result,
    Table,
    rounded,
)

Floats = NDArray[np.float64]
COLUMNS = (
    "method", "variant", "accuracy", "accuracy_sd", "saved_correct", "saved_correct_sd",
    "saved_all", "saved_all_sd", "seeds",
)  # fmt: skip
FEATURES = ("x", "o", "x_plus_o")
METHODS = (
    ("rule", "set"), ("rule", "ordered"),
    *((feature, variant) for feature in FEATURES for variant in ("ridge", "lasso")),
)  # fmt: skip
SPLIT_SEEDS = (38, 39, 40, 41, 42)
"""Those of the paper's released code, each beside the measurement's own seed."""
FEW = 2_000
_CLASSIFIERS = [
    (feature, variant, numbers)
    for feature, numbers in {
        "x": ("94.4% ± 6.4", "3.0 ± 0.4", "94.4% ± 2.1", "3.6 ± 0.5"),
        "o": ("92.9% ± 5.4", "3.1 ± 0.3", "92.9% ± 1.5", "3.8 ± 0.4"),
        "x_plus_o": ("94.4% ± 6.4", "3.0 ± 0.4", "94.4% ± 2.1", "3.6 ± 0.5"),
    }.items()
    for variant in ("ridge", "lasso")
]
_PAPER: Mapping[str, Mapping[tuple[Cell, ...], str]] = {
    "accuracy, paper": {
        ("rule", "set"): "94.1% ± 1.4",
        **{(f, v): f"{numbers[0]}[^penalty]" for f, v, numbers in _CLASSIFIERS},
    },
    "layers saved, paper": {
        ("rule", "set"): "3.2 ± 0.3",
        **{(f, v): numbers[1] for f, v, numbers in _CLASSIFIERS},
    },
    "accuracy, repository[^repository]": {
        ("rule", "ordered"): "94.9% ± 0.6",
        **{(f, v): numbers[2] for f, v, numbers in _CLASSIFIERS},
    },
    "layers saved, repository": {
        ("rule", "ordered"): "3.4 ± 0.1",
        **{(f, v): numbers[3] for f, v, numbers in _CLASSIFIERS},
    },
}
"""WikiLM's numbers in table 6, and those that the README of the released code has."""
_SPLITS = 4  # spawn key, beside those of examples, draws and clusters


@dataclass(frozen=True)
class Split:
    """Numbers of examples: a tenth is tested; classifiers hold a ninth of the others out."""

    tested: Labels
    fitted: Labels
    held: Labels

    @property
    def training(self) -> Labels:
        """All that are not tested."""
        return np.concatenate([self.fitted, self.held])


def split_of(n: int, seed: int, split_seed: int) -> Split:
    """Split the numbers 0 … n − 1 at random."""
    sequence = np.random.SeedSequence(seed, spawn_key=(_SPLITS, split_seed))
    order = np.random.Generator(np.random.PCG64(sequence)).permutation(n)
    tested = max(1, n // 10)
    held = tested + max(1, (n - tested) // 9)
    return Split(order[:tested], order[held:], order[tested:held])


def compute(readings: Readings) -> Result:
    """Fit every rule in every layer and split, and test where examples exit."""
    saturated = saturation_layers(readings.arrays)
    splits = [split_of(len(saturated), readings.options.seed, seed) for seed in SPLIT_SEEDS]
    before_last = readings.n_layers - 1
    clusters = _dominant_clusters(readings)

    def part(number: int) -> Arrays:
        split, layer = divmod(number, before_last)
        return _fires_at(readings, clusters, saturated, splits[split], layer)

    parts = readings.in_parts("exits", part, len(splits) * before_last)
    rows: list[tuple[Cell, ...]] = []
    exited: dict[tuple[str, str], list[Labels]] = {}
    for place, method in enumerate(METHODS):
        exited[method] = [
            _first([one["fires"][place] for one in _of(parts, k, before_last)], split, before_last)
            for k, split in enumerate(splits)
        ]
    exited["oracle", ""] = [saturated[split.tested] for split in splits]
    for method, layers in exited.items():
        rows.append((*method, *_scores(readings, splits, layers), len(splits)))
    means = [
        np.mean([(saturated[split.training] == layer).sum() for split in splits])
        for layer in range(readings.n_layers)
    ]
    members: list[tuple[Cell, ...]] = [(layer, float(mean)) for layer, mean in enumerate(means)]
    unfinished = sum(int(one["unfinished"]) for one in parts)
    return Result(
        [Table("early_exit", COLUMNS, rows), Table("members", ("layer", "examples"), members)],
        [_figure(exited, readings.n_layers)],
        _words(rows, readings, unfinished),
        {
            "split_seeds": list(SPLIT_SEEDS),
            "grid": list(GRID),
            "folds": FOLDS,
            "tolerance": TOLERANCE,
        },
    )


def _of(parts: Sequence[Arrays], split: int, layers: int) -> Sequence[Arrays]:
    return parts[split * layers : (split + 1) * layers]


def _dominant_clusters(readings: Readings) -> Labels:
    """The clusters of the dominant sub-updates, −1 beyond a layer's vectors, (n, layers, 10)."""
    dominant = np.asarray(readings.arrays["dominant"])
    starts = np.cumsum([0, *readings.n_values])[:-1]
    places = np.where(dominant >= 0, dominant + starts[None, :, None], 0)
    return np.where(dominant >= 0, readings.clusters[places], -1)


def _fires_at(
    readings: Readings, clusters: Labels, saturated: Labels, split: Split, layer: int
) -> Arrays:
    """Whether each method lets each tested example exit at a layer, shape (methods, tested)."""
    training, tested = split.training, split.tested
    own, signs = clusters[:, layer], np.asarray(readings.arrays["signs"])[:, layer]
    overlaps = (
        set_overlaps(own[tested], own[training], signs[tested], signs[training]),
        ordered_overlaps(own[tested], own[training]),
    )
    fires = [exits(one, saturated[training], layer) for one in overlaps]
    fitted = _fitted_at(readings, saturated, split, layer)
    return {
        "fires": np.stack([*fires, *(one.fires for one in fitted)]),
        "unfinished": np.array(sum(one.unfinished for one in fitted)),
    }


def _fitted_at(readings: Readings, saturated: Labels, split: Split, layer: int) -> list[Fitted]:
    """Classifiers of each feature, ridge and lasso, in the order of `METHODS`."""
    # As in the rule, examples that saturate earlier are no training examples of this layer.
    fit, held = (one[saturated[one] >= layer] for one in (split.fitted, split.held))
    x, o = (readings.state(f"{name}.{layer}").astype(np.float64) for name in ("before", "update"))
    return [
        fit_and_test(
            state[fit], saturated[fit] == layer, state[held], saturated[held] == layer,
            state[split.tested], lasso=lasso,
        )
        for state in (x, o, x + o)
        for lasso in (False, True)
    ]  # fmt: skip


def _first(fires: Sequence[NDArray[np.bool_]], split: Split, last: int) -> Labels:
    """The first layer at which each tested example exits, the last layer where none lets it."""
    if not fires:
        return np.full(len(split.tested), last)
    stacked = np.stack(fires)
    layers: Labels = np.where(stacked.any(axis=0), stacked.argmax(axis=0), last)
    return layers


def _scores(
    readings: Readings, splits: Sequence[Split], exited: Sequence[Labels]
) -> tuple[Cell, ...]:
    """Accuracy, and layers saved over correct examples and over all: mean, sd over splits."""
    tops, final = np.asarray(readings.arrays["top_after"]), np.asarray(readings.arrays["final"])
    numbers: list[tuple[float, float, float]] = []
    for split, layers in zip(splits, exited, strict=True):
        correct = tops[split.tested, layers] == final[split.tested]
        saved = readings.n_layers - 1 - layers
        of_correct = float(saved[correct].mean()) if correct.any() else float("nan")
        numbers.append((float(correct.mean()), of_correct, float(saved.mean())))
    cells: list[Cell] = []
    for column in np.array(numbers).T:
        known = column[~np.isnan(column)]
        cells.append(rounded(float(known.mean())) if len(known) else None)
        cells.append(rounded(float(known.std(ddof=1))) if len(known) > 1 else None)
    return tuple(cells)


def _figure(exited: dict[tuple[str, str], list[Labels]], n_layers: int) -> Figure:
    lines = []
    for method, variant in exited:
        if variant == "lasso":
            continue  # six lines can be told apart
        layers = np.concatenate(exited[method, variant])
        shares = np.bincount(layers, minlength=n_layers) / len(layers)
        label = f"{method}, {variant}".removesuffix(", ")
        lines.append(Line(label, range(n_layers), shares.tolist()))
    return Figure("early_exit", "Examples by the layer at which they exit", "share", lines)


def _words(rows: Sequence[tuple[Cell, ...]], readings: Readings, unfinished: int) -> list[str]:
    layers, n = readings.n_layers, len(readings.arrays["final"])
    by = {(row[0], row[1]): row for row in rows}
    words = []
    for method, said in (
        (("rule", "set"), "The rule on sets of clusters"),
        (("rule", "ordered"), "the rule as released, on clusters by rank"),
        (("oracle", ""), "an oracle that exits at saturation"),
    ):
        accuracy, saved, every = (float(by[method][i] or 0) for i in (2, 4, 6))
        words.append(
            f"{said} is right for {accuracy:.1%} of the tested examples and saves {saved:.2f} of "
            f"{layers} layers where it is right, {every:.2f} over all"
        )
    found = ["; ".join(words) + "."]
    if n < FEW:
        found += ["", f"These are {n:,} examples; below {FEW:,} the numbers say little."]
    if unfinished:
        found += ["", f"{unfinished:,} fits of a logistic regression did not converge."]
    return found


MEASUREMENT = Measurement(
    name="early-exit",
    title="Early exit",
    definition=(
        "A tenth of the examples is tested, in 5 random splits. Every example has, in each layer, "
        "the clusters of its 10 dominant sub-updates (see `clusters`). At layer l, A are the "
        "training examples that saturate there (see `saturation`) and B_s those that saturate at "
        "s, for each s > l that has any. An example exits at the first l where the mean and the "
        "maximum of its overlaps with the members of A are above those with the members of every "
        "B_s; a layer without A, or without any B_s, lets none exit; what never exits runs to the "
        "last layer and saves none. Overlap of the variant `set`: the sum of minimal "
        "multiplicities of clusters, each with the sign of m, sub-updates of size 0 left out; of "
        "`ordered`, which is what the paper's released code does: the number of ranks with the "
        "same cluster, without the sign. An exit is correct where the top token of x̃ there is the "
        "model's prediction.\n\n"
        "Baselines are a logistic regression per layer on x, o or x + o, standardised, that tells "
        "A from the B_s together: liblinear with ridge or lasso, C of 0.001, 0.01 and 0.1 by the "
        "best balanced accuracy in 8-fold cross-validation, classes weighed by the inverse of "
        "their frequency, and the threshold with the highest F1 on a ninth of the training "
        "examples that is held out. With fewer than 8 examples of a class, or none of A held out, "
        "the layer lets none exit. The oracle exits at saturation. sd is the standard deviation "
        "over splits (divided by their number less 1)."
    ),
    source="Geva et al. (2022), section 6.2, appendix A.5 and table 6.",
    columns={
        "early_exit": {
            "method": "rule, a classifier on x, o or x_plus_o, or oracle",
            "variant": "set or ordered, ridge or lasso; empty for the oracle",
            "accuracy": "share of tested examples whose exit is correct, mean over splits",
            "accuracy_sd": "its standard deviation over splits",
            "saved_correct": "layers saved by an example whose exit is correct, mean",
            "saved_correct_sd": "its standard deviation over splits",
            "saved_all": "layers saved by any tested example, mean",
            "saved_all_sd": "its standard deviation over splits",
            "seeds": "number of splits",
        },
        "members": {
            "layer": "layer, counted from 0",
            "examples": "training examples that saturate there (A), mean over splits",
        },
    },
    needs=("sizes", "candidates", "states"),
    clusters=True,
    packages=("fastcluster", "scikit-learn"),
    compute=compute,
    in_paper=InPaper(
        section="6.2",
        says=(
            "In WikiLM[^layers] the rule on clusters of dominant sub-updates exits with the "
            "model's own prediction in 94.1% of examples and saves 3.2 of 16 layers there, on a "
            "par with classifiers that read x and o.[^corpus][^prefix][^prediction]"
        ),
        tables=[
            Beside(
                "early_exit",
                "Accuracy, and layers saved where the exit is right (table 6), mean over splits",
                "{method}, {variant}",
                [
                    Numbers("accuracy", "accuracy", "{:.1%}"),
                    Numbers("accuracy_sd", "its sd", "{:.1%}"),
                    Numbers("saved_correct", "layers saved", "{:.2f}"),
                    Numbers("saved_all", "over all[^saved-all]", "{:.2f}"),
                ],
                paper=_PAPER,
            ),
            Beside(
                "members",
                "Training examples that saturate in each layer, mean over splits",
                "{layer}",
                [Numbers("examples", "examples", "{:,.1f}")],
            ),
        ],
        footnotes={
            "saved-all": "An addition to the paper, which counts saved layers of examples with the "
            "right prediction only.",
            "repository": "The repository of the released code reports other numbers than the "
            "paper. Its rule compares clusters rank by rank, without the sign of m (`ordered`); "
            "the paper's text describes the size of an intersection (`set`).",
            "penalty": "The paper takes ridge or lasso in each layer, whichever is better.",
        },
    ),
)
