"""Which value vectors `suppression` turns on, by which rule, and random ones beside them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_extract.chosen_vectors import Place
from ffn_extract.errors import OptionError
from ffn_extract.lists import prepared
from ffn_extract.measurements.kept import Arrays
from ffn_extract.measurements.labels import labelled_vectors
from ffn_extract.measurements.measurement import Opened
from ffn_extract.measurements.suppression_options import Turned
from ffn_extract.projection.projector import Projector
from ffn_extract.vectors import all_value_vectors, chosen_value_vectors

SHOWN_TOKENS = 10
_DRAWN = 2  # spawn key: lengths and order of examples have 0 and 1


@dataclass(frozen=True)
class Choice:
    """Chosen vectors with their coefficients, and the rule that chose them.

    `found` has an entry per vector on what the rule saw there; `made_up` says that it rests on
    annotations that no person gave.
    """

    by: str
    rule: str
    turned: Sequence[Turned]
    found: Sequence[Mapping[str, Any]] = ()
    made_up: bool = False

    def to_json(self) -> dict[str, Any]:
        """The entry of a manifest."""
        return {
            "by": self.by,
            "rule": self.rule,
            "vectors": [list(turned) for turned in self.turned],
            **({"found": list(self.found)} if self.found else {}),
            **({"made_up": True} if self.made_up else {}),
        }


@dataclass(order=True, frozen=True)
class _Held:
    """A list's place in the order of `promoting`; the least comes first."""

    missing: int
    other_entries: int
    first_rank: int
    place: Place
    words: tuple[str, ...] = field(compare=False)


def choose(opened: Opened) -> Choice:
    """The vectors to turn on, by the option that was given. Raises OptionError."""
    options = opened.options.suppression
    if options.set:
        _require_places(opened, [turned[:2] for turned in options.set])
        return Choice("set", "given with their coefficients", options.set)
    if options.promoting:
        return _by_words(opened)
    if options.labels is not None:
        return _by_labels(opened, Path(options.labels))
    raise OptionError.written(
        "set",
        lambda say: (
            f"Say which vectors suppression turns on: {say('set')} takes LAYER:INDEX=3, "
            f"{say('promoting')} words that their lists hold, {say('labels')} a file that a study "
            "exports."
        ),
    )


def random_ones(opened: Opened, chosen: Sequence[Turned]) -> list[Turned]:
    """For each chosen vector another one of its layer, with the same coefficient.

    Drawn by the seed without replacement; chosen ones are left out. Raises OptionError where a
    layer has too few.
    """
    seeds = np.random.SeedSequence(opened.options.seed, spawn_key=(_DRAWN,))
    generator = np.random.Generator(np.random.PCG64(seeds))
    drawn: list[Turned] = []
    for layer in sorted({turned[0] for turned in chosen}):
        own = [turned for turned in chosen if turned[0] == layer]
        taken = {index for _, index, _ in own}
        others = [i for i in range(opened.weights.n_values(layer)) if i not in taken]
        if len(others) < len(own):
            raise OptionError.about(
                "chosen",
                f"takes {len(own)} vectors of layer {layer}, which has {len(others)} others for "
                "the random control. Choose fewer.",
            )
        indices = generator.choice(np.array(others), len(own), replace=False).tolist()
        drawn += [(layer, i, c) for i, (*_, c) in zip(sorted(indices), own, strict=True)]
    return drawn


def top_tokens(opened: Opened, turned: Sequence[Turned]) -> list[str]:
    """The first tokens of each vector's list as people see them.

    Of −v where the coefficient is below 0. Raises FFNExtractError.
    """
    if not turned:
        return []
    projector = _projector(opened, min(SHOWN_TOKENS, opened.options.model.top_k), keep=False)
    vectors = chosen_value_vectors(opened.weights, [(layer, index) for layer, index, _ in turned])
    signs = np.array([-1.0 if coefficient < 0 else 1.0 for *_, coefficient in turned])
    signed = prepared(vectors, "raw", opened.weights) * signs[:, None]
    ids = projector.project(signed).top.token_ids.tolist()
    return [" ".join(opened.vocabulary.form(i).display for i in row) for row in ids]


def _by_words(opened: Opened) -> Choice:
    options, vocabulary = opened.options.suppression, opened.vocabulary
    top_k = opened.options.model.top_k
    words = options.promoting
    of_token = {
        token_id: surface
        for token_id in vocabulary.texts
        if (surface := (vocabulary.form(token_id).surface or "").strip().lower()) in words
    }
    unknown = [word for word in words if word not in of_token.values()]
    if unknown:
        raise OptionError.about(
            "promoting",
            f"has words that are no token of the vocabulary: {', '.join(unknown[:10])}. Leave "
            "them out, or give other words.",
        )
    sign = -1.0 if options.coefficient < 0 else 1.0
    held: list[_Held] = []
    for layer, lists in _all_lists(opened, sign):
        for index, ids in enumerate(lists.tolist()):
            ranks = [rank for rank, i in enumerate(ids) if i in of_token]
            if ranks:
                own = {of_token[ids[rank]] for rank in ranks}
                some = tuple(word for word in words if word in own)
                missing = len(words) - len(some)
                held.append(_Held(missing, -len(ranks), ranks[0], (layer, index), some))
    held.sort()
    best = held[: options.chosen]
    _require_enough(opened, len(held), "value vectors have one of the words in their lists")
    side = "top" if sign > 0 else "lowest"
    return Choice(
        "promoting",
        f"The {options.chosen} value vectors whose lists (the {top_k} {side} tokens of E·v, "
        "unembedding E) hold the most of the words; ties: more tokens of the list that are one of "
        "the words, then the better rank of the first, the lower layer, the lower index. A token "
        "is a word if it equals it in lower case and without its mark of a word's start.",
        [(*one.place, options.coefficient) for one in best],
        [
            {"vector": list(one.place), "words": list(one.words), "tokens": -one.other_entries}
            for one in best
        ],
    )


def _all_lists(opened: Opened, sign: float) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Layers, and the lists of all their value vectors, or of −v, shape (n_values, top_k)."""
    options, weights = opened.options.model, opened.weights
    projector = _projector(opened, options.top_k, keep=True)
    layers = list(weights.layers)

    def compute(number: int) -> Arrays:
        rows = [
            projector.project(sign * prepared(vectors, "raw", weights)).top.token_ids
            for vectors in all_value_vectors(weights, layers[number])
        ]
        return {"ids": np.concatenate(rows)}

    key = ["lists", options.top_k, options.drop_special, sign]
    kept = opened.kept(key, "choosing", len(layers), compute)
    with opened.steps.step("choosing") as done:
        kept.run(opened.workers, done)
    for number, layer in enumerate(layers):
        yield layer, kept.read(number)["ids"]


def _by_labels(opened: Opened, path: Path) -> Choice:
    options = opened.options.suppression
    found = labelled_vectors(path, options.described, options.category, opened.info)
    _require_enough(opened, len(found.places), "value vectors have such a pattern")
    best = found.places[: options.chosen]
    _require_places(opened, best)
    return Choice(
        "labels",
        f"The {options.chosen} value vectors with the most annotations that have a pattern with "
        "one of the words in its description, or of the category, or both where both are given; "
        "ties: the lower layer, then the lower index.",
        [(*place, options.coefficient) for place in best],
        [
            {
                "vector": list(place),
                "annotations": found.annotations[place],
                "descriptions": list(found.descriptions[place]),
            }
            for place in best
        ],
        found.made_up,
    )


def _projector(opened: Opened, top_k: int, *, keep: bool) -> Projector:
    weights, vocabulary = opened.weights, opened.vocabulary
    n_rows = weights.dimensions.vocab_size
    weights.forget_rows(~vocabulary.allowed(n_rows, drop_special=False))
    return Projector(
        weights.unembedding,
        vocabulary.allowed(n_rows, drop_special=opened.options.model.drop_special),
        top_k,
        both_sides=False,
        device=opened.device,
        keep=keep,
    )


def _require_enough(opened: Opened, found: int, what: str) -> None:
    chosen = opened.options.suppression.chosen
    if found < chosen:
        raise OptionError.about(
            "chosen",
            f"is {chosen}, and {found} {what}. Give more words, or a smaller number.",
        )


def _require_places(opened: Opened, places: Sequence[Place]) -> None:
    """Refuse vectors that the model does not have. Raises OptionError."""
    layers = list(opened.weights.layers)
    for layer, index in places:
        if layer not in layers:
            raise OptionError.about(
                "set", f"has {layer}:{index}, and the model has layers 0 to {max(layers)}."
            )
        n = opened.weights.n_values(layer)
        if index >= n:
            raise OptionError.about(
                "set", f"has {layer}:{index}, and layer {layer} has value vectors 0 to {n - 1}."
            )
