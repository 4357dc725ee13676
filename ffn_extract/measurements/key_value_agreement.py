"""Agreement of a value's top token with the token after its key's top trigger (2021, 4.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_extract.bundle.rows import MOST_PREFIXES
from ffn_extract.checkpoints.config import heads_of
from ffn_extract.corpora import Corpus
from ffn_extract.errors import CorpusError
from ffn_extract.free_memory import free_bytes
from ffn_extract.keys.passes import BLOCK, FIRST_BLOCK, KeyPass, LayerKeys, needed_bytes
from ffn_extract.keys.sentences import Sentences
from ffn_extract.measurements.examples import drawn_order, prepended_ids
from ffn_extract.measurements.kept import Arrays, KeptParts
from ffn_extract.measurements.limits import BLOCK_BATCHES
from ffn_extract.measurements.measurement import (
    Cell,
    Figure,
    Line,
    Measurement,
    Opened,
    OwnRun,
    Result,
    Table,
    rounded,
)
from ffn_extract.measurements.memory import parameters_of, require_memory
from ffn_extract.measurements.value_scores import ScoredValues, scored_values
from ffn_extract.tracing.batches import BatchPlan

COLUMNS = (
    "layer", "keys", "undefined", "agreement", "chance", "mean_rank", "median_rank",
    "precision_50",
)  # fmt: skip
BINS = ("layer", "bin", "keys", "agreement")
ENDS = (0.0001, 0.001, 0.01, 0.1, 0.5)
"""Largest probabilities at which one bin ends and the next begins."""
NO_NEXT, NO_TRIGGER = -1, -2
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class LayerValues:
    """A layer's values beside the tokens after the triggers of their keys.

    `following` has the token after each trigger, the top one first: NO_NEXT where its sentence ends
    with it, NO_TRIGGER behind the last one, shape (keys, 50).
    """

    following: Ids
    values: ScoredValues

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Keys whose top trigger has a next token, shape (keys,)."""
        return self.following[:, 0] >= 0

    @property
    def agrees(self) -> NDArray[np.bool_]:
        """Whether the top token is the one after the top trigger, shape (keys,)."""
        agrees: NDArray[np.bool_] = self.values.top == self.following[:, 0]
        return agrees


def run(opened: Opened) -> OwnRun:
    """Find the triggers of every key, and score every value. Raises FFNExtractError."""
    with opened.steps.step("examples") as done:
        sentences = _sentences(opened)
        done(1, 1)
    _require_memory(opened, sentences)
    parameters = _parameters(opened, sentences)
    following = _following(opened, sentences, parameters)
    layers = [
        LayerValues(own, values)
        for own, values in zip(following, _scored(opened, following, parameters), strict=True)
    ]
    with opened.steps.step("tables") as done:
        result = result_of(layers)
        done(1, 1)
    counts = {"sentences": len(sentences), "keys": sum(map(len, following))}
    return OwnRun(result, parameters, counts, {})


def result_of(layers: Sequence[LayerValues]) -> Result:
    """Tables, figures and words, from the values of each layer."""
    rows = [(layer, *_row(one)) for layer, one in enumerate(layers)]
    bins = [(layer, *row) for layer, one in enumerate(layers) for row in _bins(one)]
    return Result(
        [Table("agreement", COLUMNS, rows), Table("agreement_bins", BINS, bins)],
        _figures(rows, bins),
        _words(rows),
    )


def _row(one: LayerValues) -> tuple[Cell, ...]:
    """The cells of a layer, behind its number."""
    defined = one.defined
    n = int(defined.sum())
    if not n:
        return (0, len(defined), None, None, None, None, None)
    following, tops = one.following[defined], one.values.top[defined]
    ranks = one.values.rank[defined]
    with_next = following >= 0
    precision = ((following == tops[:, None]) & with_next).sum(axis=1) / with_next.sum(axis=1)
    return (
        n,
        len(defined) - n,
        rounded(int(one.agrees[defined].sum()) / n),
        rounded(_chance(tops, following[:, 0])),
        rounded(int(ranks.sum()) / n),
        rounded(float(np.median(ranks))),
        rounded(float(precision.mean())),
    )


def _chance(tops: Ids, following: Ids) -> float:
    """Mean agreement over all permutations of the tops, which count pairs of equal tokens."""
    tokens, counts = np.unique(tops, return_counts=True)
    others, beside = np.unique(following, return_counts=True)
    _, own, other = np.intersect1d(tokens, others, assume_unique=True, return_indices=True)
    return float((counts[own] * beside[other]).sum()) / len(tops) ** 2


def _bins(one: LayerValues) -> list[tuple[Cell, ...]]:
    """The cells of each bin of a layer, behind the layer's number."""
    own = np.digitize(one.values.largest, ENDS)
    rows: list[tuple[Cell, ...]] = []
    for place, name in enumerate(bin_names()):
        within = one.defined & (own == place)
        n = int(within.sum())
        rows.append((name, n, rounded(int(one.agrees[within].sum()) / n) if n else None))
    return rows


def bin_names() -> list[str]:
    """How bins are called, such as "0.01 to 0.1", the lowest one first."""
    inner = [f"{low:g} to {high:g}" for low, high in pairwise(ENDS)]
    return [f"below {ENDS[0]:g}", *inner, f"from {ENDS[-1]:g}"]


def _figures(rows: Sequence[tuple[Cell, ...]], bins: Sequence[tuple[Cell, ...]]) -> list[Figure]:
    """Without lines, and figures, that have no number anywhere."""
    figures = [
        Figure(
            "agreement",
            "Values whose top token follows their key's top trigger",
            "share",
            [_line("value vectors", rows, 3), _line("chance", rows, 4)],
        ),
        Figure(
            "agreement_rank",
            "Rank of the token after the top trigger among the value's scores",
            "median rank",
            [_line("value vectors", rows, 6)],
        ),
        Figure(
            "agreement_bins",
            "Agreement by the largest probability of the value",
            "share",
            [_line(name, [row for row in bins if row[1] == name], 3) for name in bin_names()],
        ),
    ]
    some = [replace(one, lines=[line for line in one.lines if line.layers]) for one in figures]
    return [one for one in some if one.lines]


def _line(label: str, rows: Sequence[tuple[Cell, ...]], column: int) -> Line:
    some = [row for row in rows if row[column] is not None]
    return Line(
        label, [int(row[0] or 0) for row in some], [float(row[column] or 0) for row in some]
    )


def _words(rows: Sequence[tuple[Cell, ...]]) -> list[str]:
    some = [row for row in rows if row[3] is not None]
    keys, undefined = (sum(int(row[column] or 0) for row in rows) for column in (1, 2))
    if not some:
        return [f"No key's top trigger has a next token; there are {undefined:,} keys."]
    best = max(some, key=lambda row: float(row[3] or 0))
    agreement = sum(float(row[3] or 0) * int(row[1] or 0) for row in some) / keys
    chance = sum(float(row[4] or 0) * int(row[1] or 0) for row in some) / keys
    return [
        f"The top token of {agreement:.2%} of {keys:,} values is the token after their key's top "
        f"trigger, by chance of {chance:.2%}; most in layer {best[0]}, {best[3]:.2%}.",
        "",
        f"Keys without a trigger, or whose top trigger ends its sentence: {undefined:,}.",
    ]


def _sentences(opened: Opened) -> Sentences:
    """The sentences that are read, drawn by the seed. Raises CorpusError and OptionError."""
    corpus, options = opened.corpus, opened.options
    if len(corpus.texts) < options.examples:
        raise CorpusError(
            f"The corpus has {len(corpus.texts):,} sentences, and {options.examples:,} are to be "
            "read. Give a larger --corpus or a smaller --examples."
        )
    drawn = sorted(drawn_order(corpus, options.seed)[: options.examples])
    before = prepended_ids(opened.tokenizer, options)
    texts = (corpus.texts[number] for number in drawn)
    return Sentences(texts, opened.tokenizer, opened.checkpoint, opened.limit, before)


def _require_memory(opened: Opened, sentences: Sentences) -> None:
    sizes, plan = opened.weights.dimensions, _plan(opened)
    needed = needed_bytes(
        weights=parameters_of(opened.checkpoint),
        sizes=[opened.weights.n_values(layer) for layer in opened.weights.layers],
        sides=1,
        length=MOST_PREFIXES,
        rows=plan.rows,
        longest=int(sentences.lengths.max()),
        d_model=sizes.d_model,
        d_ff=sizes.d_ff,
        heads=heads_of(opened.checkpoint.config),
        workers=opened.workers,
    )
    require_memory(opened.name, needed, free_bytes())


def _plan(opened: Opened) -> BatchPlan:
    return BatchPlan(opened.options.batch_rows, opened.options.length_multiple)


def _parameters(opened: Opened, sentences: Sentences) -> dict[str, Any]:
    """Everything that the tables depend on besides the model."""
    options, plan, corpus = opened.options, _plan(opened), opened.corpus
    tensors = options.model.tensors
    return {
        "corpus": _corpus_json(corpus),
        "sentences": options.examples,
        "seed": options.seed,
        **sentences.counted.to_json(),
        "batch_plan": {
            **plan.to_json(),
            "first_block": FIRST_BLOCK,
            "block": BLOCK,
            "projected_rows": plan.rows * BLOCK_BATCHES,
        },
        "prefixes": MOST_PREFIXES,
        "precision": options.dtype,
        "split_sentences": options.split_sentences,
        "device": opened.device.type,
        **({"tensors": tensors} if tensors else {}),
    }


def _corpus_json(corpus: Corpus) -> dict[str, Any]:
    return {"name": corpus.name, "texts": len(corpus.texts), "sha256": corpus.digest}


def _following(opened: Opened, sentences: Sentences, parameters: Mapping[str, Any]) -> list[Ids]:
    """The token after each trigger of each key, by layer, by the pass that lists of keys have."""
    with opened.steps.step("triggers") as done:

        def compute(_: int) -> Arrays:
            reader = opened.reader
            keys = [LayerKeys(np.arange(len(values))) for values in reader.values]
            one = KeyPass(
                reader, sentences, keys, _plan(opened), kept.folder / "blocks",
                signed=False, length=MOST_PREFIXES, limit=opened.limit,
            )  # fmt: skip
            one.run(opened.workers, done)
            return {
                str(layer): _next_tokens(lists.entries, sentences)
                for layer, lists in enumerate(one.lists[0])
            }

        kept: KeptParts = opened.kept(["triggers", parameters], "triggers", 1, compute)
        kept.run(1, lambda *_: None)
        arrays = kept.read(0)
    return [arrays[str(layer)] for layer in range(len(arrays))]


def _next_tokens(entries: NDArray[np.void], sentences: Sentences) -> Ids:
    """The token after each entry of lists, shape (keys, length).

    Not the token at which the key fires, with which the paper's released script compares.
    """
    found = np.full(entries.shape, NO_TRIGGER, dtype=np.int64)
    listed = entries["copies"] > 0
    # One sentence at a time: each is read from its file once.
    places = np.flatnonzero(listed)
    numbers = entries["sentence"].reshape(-1)[places]
    positions = entries["position"].reshape(-1)[places].astype(np.int64) + 1
    flat = found.reshape(-1)
    order = np.argsort(numbers, kind="stable")
    bounds = np.flatnonzero(np.diff(numbers[order], prepend=-1, append=-1))
    for start, stop in pairwise(bounds.tolist()):
        own = order[start:stop]
        ids = np.array([*sentences.ids(int(numbers[own[0]])), NO_NEXT], dtype=np.int64)
        flat[places[own]] = ids[positions[own]]
    return found


def _scored(
    opened: Opened, following: Sequence[Ids], parameters: Mapping[str, Any]
) -> list[ScoredValues]:
    """Every layer's values, as lists of value vectors are made: without the gain of a norm."""
    block = _plan(opened).rows * BLOCK_BATCHES

    def compute(layer: int) -> Arrays:
        found = scored_values(
            opened.reader.unembed,
            lambda start, stop: opened.weights.value_rows(layer, start, stop).to(opened.device),
            np.maximum(following[layer][:, 0], 0),
            block,
            layer,
        )
        return {"top": found.top, "largest": found.largest, "rank": found.rank}

    with opened.steps.step("values") as done:
        _ = opened.reader  # loaded before processes are forked
        kept = opened.kept(["values", parameters], "values", len(following), compute)
        kept.run(opened.workers, done)
        return [ScoredValues(**kept.read(layer)) for layer in range(len(following))]


MEASUREMENT = Measurement(
    name="key-value-agreement",
    title="Agreement of keys and values",
    definition=(
        "The triggers of a key are its list of trigger prefixes: the 50 prefixes with the largest "
        "coefficients, one for each sentence, over all prefixes of --examples sentences that the "
        "seed draws. A key and its value agree if the value's top token, the one with the highest "
        "E·v (unembedding E, without the norm and without a bias), is the token that follows the "
        "top trigger in its sentence. Keys without a trigger, and those whose top trigger ends its "
        "sentence, are counted as undefined. Chance is the mean agreement over all permutations of "
        "the value vectors within their layer. The rank is that of the next token by E·v: 1 + the "
        "tokens with a higher score, or with an equal one and a lower id. Precision at 50 is, for "
        "each of these keys, the share of its triggers with a next token whose next token is the "
        "value's top token; then the mean over keys. Bins are those of the largest probability of "
        "softmax(E·v). --min-prefix does not count here. The script released with the paper "
        "compares with the last token of the trigger, not with the next one."
    ),
    source="Geva et al. (2021), section 4.2, figures 4 to 6 and table 2.",
    columns={
        "agreement": {
            "layer": "layer, counted from 0",
            "keys": "keys whose top trigger has a next token",
            "undefined": "the other keys",
            "agreement": "share of these keys that agree with their value",
            "chance": "the share by chance",
            "mean_rank": "mean rank of the next token by the value's scores",
            "median_rank": "median rank",
            "precision_50": "mean share of the triggers that agree with the value",
        },
        "agreement_bins": {
            "layer": "layer, counted from 0",
            "bin": "largest probability of the value, the lower end included",
            "keys": "keys whose top trigger has a next token and whose value is in the bin",
            "agreement": "share of these that agree",
        },
    },
    run=run,
)
