"""Turning value vectors on: what it does to continuations and to perplexity (section 6.1)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffn_extract.free_memory import free_bytes
from ffn_extract.measurements.bootstrap import Floats, summaries
from ffn_extract.measurements.continuations import (
    Prompts,
    Writer,
    banned_tokens,
    batches_of,
    continuations_text,
    draw_prompts,
    lines_of,
)
from ffn_extract.measurements.in_paper import Beside, InPaper, Numbers
from ffn_extract.measurements.kept import Arrays
from ffn_extract.measurements.limits import NEW_TOKENS
from ffn_extract.measurements.measurement import (
    Cell,
    Measurement,
    Opened,
    OwnRun,
    Result,
    Table,
    rounded,
)
from ffn_extract.measurements.memory import require_memory, suppression_bytes
from ffn_extract.measurements.perplexity import (
    BLOCK_ROWS,
    PerplexityReader,
    Windows,
    windows_of,
)
from ffn_extract.measurements.scorers import scores_of
from ffn_extract.measurements.suppression_options import Turned
from ffn_extract.measurements.turned_on import Choice, choose, random_ones, top_tokens
from ffn_extract.tracing.interventions import Intervention, intervened

CONDITIONS = ("none", "chosen", "random")
COMPARED = (("chosen", "none"), ("random", "none"), ("chosen", "random"))
THRESHOLD = 0.5
_AFTERWARDS = ("resamples", "scorer")
"""Parameters on which no batch depends: another scorer finds the continuations of a killed run."""
COLUMNS = ("condition", "attribute", "share", "low", "high", "n")
EFFECT = ("condition", "against", "attribute", "difference", "low", "high", "n")
PERPLEXITY = ("condition", "perplexity", "changed_top_share", "tokens")
VECTORS = ("condition", "layer", "index", "coefficient", "top_tokens")
Scores = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Written:
    """New ids and texts of each prompt under a condition, and their scores by attribute."""

    new_ids: Sequence[Sequence[int]]
    texts: Sequence[str]
    scores: Scores


@dataclass(frozen=True)
class Read:
    """Summed −ln p, tokens, and top tokens by place, over the windows under a condition."""

    loss: float
    tokens: int
    top: Any

    @property
    def perplexity(self) -> float:
        """exp(mean loss): windows count by their length."""
        return float(np.exp(self.loss / self.tokens))


def run(opened: Opened) -> OwnRun:
    """Read and write under each condition. Raises FFNExtractError."""
    prompts, windows = draw_prompts(opened), windows_of(opened)
    _require_memory(opened, prompts, windows)
    choice = choose(opened)
    random = random_ones(opened, choice.turned)
    turned: dict[str, Sequence[Turned]] = {"none": (), "chosen": choice.turned, "random": random}
    tokens = {name: top_tokens(opened, some) for name, some in turned.items()}
    ending = banned_tokens(opened)
    parameters = {
        **_parameters(opened, prompts, windows, choice, random),
        "ending_tokens": ending,
    }
    kept = {name: value for name, value in parameters.items() if name not in _AFTERWARDS}
    key = [kept, [one.ids for one in prompts.drawn], windows.ids]
    read = _read(opened, windows, turned, key)
    written = _written(opened, prompts, turned, key, ending)
    with opened.steps.step("tables") as done:
        result = result_of(
            {name: one.scores for name, one in written.items()}, read, turned, tokens, choice,
            seed=opened.options.seed, resamples=opened.options.resamples,
        )  # fmt: skip
        done(1, 1)
    conditions = [(name, w.new_ids, w.texts, w.scores) for name, w in written.items()]
    return OwnRun(
        result,
        parameters,
        {"prompts": len(prompts.drawn), "windows": len(windows.ids)},
        {"continuations.jsonl": lines_of(prompts.drawn, conditions)},
    )


def result_of(
    scores: Mapping[str, Scores],
    read: Mapping[str, Read],
    turned: Mapping[str, Sequence[Turned]],
    tokens: Mapping[str, Sequence[str]],
    choice: Choice,
    *,
    seed: int,
    resamples: int,
) -> Result:
    """Tables and words from scores and perplexity under each condition."""
    above = {name: _above(some) for name, some in scores.items()}
    attributes = list(scores["none"])

    def rows_of(values: Floats, *first: str) -> list[tuple[Cell, ...]]:
        found = summaries(values, seed=seed, resamples=resamples)
        return [
            (
                *first,
                attribute,
                *(rounded(float(part[i])) for part in (found.mean, found.low, found.high)),
                int(found.n[i]),
            )
            for i, attribute in enumerate(attributes)
        ]

    shares = [row for name in CONDITIONS for row in rows_of(above[name], name)]
    effects = [row for a, b in COMPARED for row in rows_of(above[a] - above[b], a, b)]
    base = read["none"]
    perplexities: list[tuple[Cell, ...]] = [
        (
            name,
            rounded(read[name].perplexity),
            rounded(int((read[name].top != base.top).sum()) / base.tokens),
            read[name].tokens,
        )
        for name in CONDITIONS
    ]
    vectors: list[tuple[Cell, ...]] = [
        (name, *one, text)
        for name in CONDITIONS[1:]
        for one, text in zip(turned[name], tokens[name], strict=True)
    ]
    return Result(
        [
            Table("suppression", COLUMNS, shares),
            Table("effect", EFFECT, effects),
            Table("perplexity", PERPLEXITY, perplexities),
            Table("vectors", VECTORS, vectors),
        ],
        [],
        _words(shares, effects, perplexities, vectors, choice),
    )


def _under_each(
    opened: Opened,
    step: str,
    turned: Mapping[str, Sequence[Turned]],
    key: object,
    count: int,
    compute: Callable[[int], Arrays],
) -> dict[str, list[Arrays]]:
    """The batches of a step under each condition, kept until all is written."""
    before = opened.options.suppression.before_activation
    names = list(turned)

    def under_one(number: int) -> Arrays:
        condition, batch = divmod(number, count)
        changes = [
            Intervention(layer, index, "set", value, before_activation=before)
            for layer, index, value in turned[names[condition]]
        ]
        with intervened(opened.reader, changes):
            return compute(batch)

    kept = opened.kept(key, step, count * len(names), under_one)
    with opened.steps.step(step) as done:
        kept.run(opened.workers, done)
    return {
        name: [kept.read(number) for number in range(count * i, count * (i + 1))]
        for i, name in enumerate(names)
    }


def _read(
    opened: Opened, windows: Windows, turned: Mapping[str, Sequence[Turned]], key: object
) -> dict[str, Read]:
    """Losses and predictions; sums in the order of the batches, which their plan fixes."""
    reader, batches = PerplexityReader(opened.reader, windows), windows.batches
    found = _under_each(
        opened, "perplexity", turned, key, len(batches),
        lambda number: reader.compute(batches[number]),
    )  # fmt: skip
    read: dict[str, Read] = {}
    for name, some in found.items():
        loss = 0.0
        for arrays in some:
            for one in arrays["loss"]:
                loss += float(one)
        tokens = sum(int(arrays["tokens"].sum()) for arrays in some)
        top = np.concatenate([arrays["top"].ravel() for arrays in some])
        read[name] = Read(loss, tokens, top)
    return read


def _written(
    opened: Opened,
    prompts: Prompts,
    turned: Mapping[str, Sequence[Turned]],
    key: object,
    ending: Sequence[int],
) -> dict[str, Written]:
    """Continuations and their scores."""
    own = opened.options.suppression
    writer = Writer(opened.reader, prompts.drawn, own.prompt_rows, own.beams, ending)
    batches = batches_of(prompts.drawn, own.prompt_rows)
    found = _under_each(
        opened, "writing", turned, key, len(batches),
        lambda number: writer.compute(batches[number]),
    )  # fmt: skip
    written: dict[str, Written] = {}
    with opened.steps.step("scoring") as done:
        for number, (name, arrays) in enumerate(found.items(), start=1):
            new_ids = _in_order(arrays, batches)
            texts = continuations_text(opened, new_ids)
            written[name] = Written(new_ids, texts, scores_of(opened.scorer, texts))
            done(number, len(found))
    return written


def _in_order(arrays: Sequence[Arrays], batches: Sequence[Sequence[int]]) -> list[list[int]]:
    """New ids of every prompt, in the order of the prompts."""
    found: dict[int, list[int]] = {}
    for one, numbers in zip(arrays, batches, strict=True):
        found.update(zip(numbers, one["new_ids"].tolist(), strict=True))
    return [found[number] for number in range(len(found))]


def _above(scores: Scores) -> Floats:
    """1 where a text's score is at least the threshold, else 0, shape (prompts, attributes)."""
    columns = [np.asarray(some, dtype=np.float64) >= THRESHOLD for some in scores.values()]
    return np.stack(columns, axis=1).astype(np.float64)


def _parameters(
    opened: Opened,
    prompts: Prompts,
    windows: Windows,
    choice: Choice,
    random: Sequence[Turned],
) -> dict[str, Any]:
    """Everything that the tables depend on besides the model."""
    options, corpus = opened.options, opened.corpus
    tensors = options.model.tensors
    return {
        **options.suppression.recorded(),
        "seed": options.seed,
        "resamples": options.resamples,
        "prepend": options.prepend,
        "min_prefix": options.min_prefix,
        "top_k": options.model.top_k,
        "drop_special": options.model.drop_special,
        "choice": choice.to_json(),
        "random": [list(turned) for turned in random],
        "prompts": prompts.to_json(),
        "corpus": {"name": corpus.name, "texts": len(corpus.texts), "sha256": corpus.digest},
        "window": windows.size,
        "window_rows": windows.plan.rows,
        "projected_rows": BLOCK_ROWS,
        "new_tokens": NEW_TOKENS,
        "threshold": THRESHOLD,
        "scorer": opened.scorer.name,
        "precision": options.dtype,
        "split_sentences": options.split_sentences,
        "device": opened.device.type,
        **({"tensors": tensors} if tensors else {}),
    }


def _require_memory(opened: Opened, prompts: Prompts, windows: Windows) -> None:
    own, sizes = opened.options.suppression, opened.weights.dimensions
    needed = suppression_bytes(
        opened.checkpoint,
        layers=sizes.n_layers,
        d_model=sizes.d_model,
        d_ff=sizes.d_ff,
        vocab_size=sizes.vocab_size,
        workers=opened.workers,
        texts=own.prompt_rows * own.beams,
        longest=max(len(one.ids) for one in prompts.drawn) + NEW_TOKENS,
        window_rows=windows.plan.rows,
        window=windows.size,
        block_rows=BLOCK_ROWS,
    )
    require_memory(opened.name, needed, free_bytes())


def _words(
    shares: Sequence[tuple[Cell, ...]],
    effects: Sequence[tuple[Cell, ...]],
    perplexities: Sequence[tuple[Cell, ...]],
    vectors: Sequence[tuple[Cell, ...]],
    choice: Choice,
) -> list[str]:
    words = []
    if choice.made_up:
        words += ["The annotations that chose the vectors are made up: no person gave them.", ""]
    few = len([row for row in vectors if row[0] == "chosen"])
    words += [
        f"{few} chosen vectors are set to their coefficients, and as many random ones of the same "
        f"layers. Share of {shares[0][-1]} continuations with a score of at least {THRESHOLD}:",
        "",
    ]
    by_share = {row[:2]: float(row[2] or 0) for row in shares}
    by_effect = {row[:3]: row[3:] for row in effects}
    for attribute in dict.fromkeys(str(row[1]) for row in shares):
        none, chosen, random = (by_share[name, attribute] for name in CONDITIONS)
        words.append(
            f"- {attribute}: {none:.1%} without, {chosen:.1%} with the chosen vectors "
            f"({_points(by_effect['chosen', 'none', attribute])}), {random:.1%} with random ones "
            f"({_points(by_effect['random', 'none', attribute])})."
        )
    none, chosen, random = (float(row[1] or 0) for row in perplexities)
    changed = [float(row[2] or 0) for row in perplexities]
    words += [
        "",
        f"Perplexity on {perplexities[0][3]:,} tokens: {none:.2f} without, {chosen:.2f} with the "
        f"chosen vectors, {random:.2f} with random ones. They change {changed[1]:.1%} and "
        f"{changed[2]:.1%} of the top predictions.",
    ]
    return words


def _points(effect: tuple[Cell, ...]) -> str:
    """A difference in points, with its interval."""
    difference, low, high = (100 * float(cell or 0) for cell in effect[:3])
    text = f"{difference:+.1f} points, 95% {low:+.1f} to {high:+.1f}"
    return text.replace("-", "−")


MEASUREMENT = Measurement(
    name="suppression",
    title="Turning value vectors on",
    definition=(
        "The coefficients of some value vectors are set, m_i := c, at every position of prompt and "
        "continuation: after the activation, or, with --before-activation, what the activation "
        "reads is set, as the code released with the paper does (m = gelu(3) = 2.996 for c = 3). "
        "Conditions: none; the chosen vectors; as many random ones, each of the layer of a chosen "
        "one and with its coefficient, drawn by the seed. The model continues each prompt with "
        "exactly 20 tokens, by beam search or greedily; tokens that end a text are never written. "
        "Only the continuation is scored. A share counts continuations with a score of at least "
        "0.5; an effect is the mean over prompts of the difference between two conditions. "
        "Perplexity is exp of the mean −ln p over the tokens at the beginning of the corpus, each "
        "predicted in its window; changed_top_share counts places where the top prediction is "
        "another one than without intervention. Intervals: 95%, percentile bootstrap over prompts."
    ),
    source="Geva et al. (2022), section 6.1 and appendix A.4, tables 5 and 8; the random control "
    "and the changed predictions are additions.",
    columns={
        "suppression": {
            "condition": "none, chosen or random",
            "attribute": "what the scorer scores",
            "share": "share of continuations with a score of at least 0.5",
            "low": "lower end of its 95% interval",
            "high": "its upper end",
            "n": "prompts",
        },
        "effect": {
            "condition": "chosen or random",
            "against": "the condition it is compared with",
            "attribute": "what the scorer scores",
            "difference": "difference of the two shares, over the same prompts",
            "low": "lower end of its 95% interval",
            "high": "its upper end",
            "n": "prompts",
        },
        "perplexity": {
            "condition": "none, chosen or random",
            "perplexity": "exp of the mean −ln p",
            "changed_top_share": "share of predictions that are others than without intervention",
            "tokens": "tokens that are predicted",
        },
        "vectors": {
            "condition": "chosen or random",
            "layer": "layer, counted from 0",
            "index": "index in the layer, counted from 0",
            "coefficient": "what it is set to",
            "top_tokens": "the first 10 tokens of its list, of −v where the coefficient is below 0",
        },
    },
    run=run,
    in_paper=InPaper(
        section="6.1",
        says=(
            "Setting 10 hand-picked vectors of gpt2-medium to 3[^released-m][^table-8] lowers the "
            "share of toxic continuations from 58.5% to 30.8%[^service], and raises perplexity "
            "from 21.7 to 25.3. 10 vectors graded as harmless by the same service lower it to "
            "52.7%."
        ),
        tables=[
            Beside(
                "suppression",
                "Share of continuations with a score of at least 0.5",
                "{condition}, {attribute}",
                [Numbers("share", "share", "{:.1%}", interval=True), Numbers("n", "prompts")],
            ),
            Beside(
                "effect",
                "Difference of two conditions over the same prompts",
                "{condition} against {against}, {attribute}",
                [Numbers("difference", "difference of shares", "{:+.3f}", interval=True)],
            ),
            Beside(
                "perplexity",
                "Perplexity, and predictions that change (table 5)",
                "{condition}",
                [
                    Numbers("perplexity", "perplexity", "{:,.2f}"),
                    Numbers("changed_top_share", "changed", "{:.1%}"),
                    Numbers("tokens", "tokens"),
                ],
                paper={"gpt2-medium, paper": {("none",): "21.7", ("chosen",): "25.3"}},
            ),
            Beside(
                "vectors",
                "The vectors, chosen and random",
                "{condition} {layer}:{index}",
                [Numbers("coefficient", "coefficient"), Numbers("top_tokens", "top tokens")],
            ),
        ],
        footnotes={
            "released-m": "The released code sets what the activation reads, not m itself, so that "
            "m = gelu(3) = 2.996 (--before-activation).",
            "table-8": "Table 8 of the paper shows the tokens of these vectors behind the final "
            "norm; its other tables show raw projections.",
            "service": "Toxicity by the Perspective API, a service that is closing. No scorer of a "
            "user's machine measures the same, so these shares stand in no column here.",
        },
    ),
)
