"""A hand-made bundle of 12 vectors with lists of 3."""

from pathlib import Path

from ffn_extract.bundle import (
    ModelInfo,
    TokenRow,
    TriggerPrefixRow,
    ValueStatisticsRow,
    VectorRow,
    write_bundle,
)
from ffn_extract.glosses.gloss import Sense
from ffn_extract.options import VECTOR_KINDS


def write_small_bundle(out: Path, **changed) -> None:
    parts = {
        "model": ModelInfo("small", None, "bert", 2, 4, 8, 100, "subword", "0" * 64),
        "parameters": {"top_k": 3, "seed": 0},
        "vectors": small_vectors(),
        "tokens": small_tokens(),
        "environment": {"python": "3.11"},
    }
    write_bundle(out, **{**parts, **changed})


def small_vectors() -> list[VectorRow]:
    return [
        VectorRow(
            kind, layer, index, 1.5,
            [1, 2, 3], [3.0, 2.0, 1.0], [4, 5, 6], [-3.0, -2.0, -2.0],
            *(("a text", 1, "text") if kind == "update" else (None, None, None)),
        )
        for layer in (0, 1)
        for kind in ("value", "update")
        for index in range(3)
    ]  # fmt: skip


def small_tokens() -> list[TokenRow]:
    senses = (Sense("a domestic animal", "dog", "noun", 42), Sense("to follow", "dog", "verb", 2))
    glossed = ("a domestic animal", "wordnet", "dog", "noun", senses)
    return [
        TokenRow(i, f"token{i}", f"token{i}", *(glossed if i == 2 else ())) for i in range(1, 7)
    ]


def every_kind() -> list[VectorRow]:
    """Two layers with two vectors of each kind."""
    return [
        VectorRow(kind, layer, index, None, [1, 2, 3], None)
        if kind == "shuffled"
        else VectorRow(
            kind, layer, index, 1.5, [1, 2, 3], [3.0, 2.0, 1.0], [4, 5, 6], [-3.0, -2.0, -2.0],
            *(("a text", 1, "text") if kind == "update" else (None, None, None)),
        )
        for layer in (0, 1)
        for kind in VECTOR_KINDS
        for index in range(2)
    ]  # fmt: skip


def small_statistics() -> list[ValueStatisticsRow]:
    """Of all value vectors, most of which have no list."""
    return [
        ValueStatisticsRow(layer, index, 2.5, 3.0, -0.5, None if index == 7 else 0.25)
        for layer in (0, 1)
        for index in range(8)
    ]


def small_prefixes(*, gated: bool = True) -> list[TriggerPrefixRow]:
    """Three prefixes on each side of each key."""
    return [
        TriggerPrefixRow(
            kind, layer, index, side, rank, 10 * rank, 4, f"the {rank}", 99,
            (4.0 - rank) * (1 if side == "positive" else -1), rank,
            *((-1, -1 if side == "positive" else 1) if gated else (None, None)),
        )
        for layer in (0, 1)
        for kind in ("key", "random-key")
        for index in (0, 1)
        for side in ("positive", "negative")
        for rank in (1, 2, 3)
    ]  # fmt: skip


def write_full_bundle(out: Path, **changed) -> None:
    """A bundle with every kind and every optional file."""
    parts = {
        "vectors": every_kind(),
        "value_statistics": small_statistics(),
        "trigger_prefixes": small_prefixes(),
    }
    write_small_bundle(out, **{**parts, **changed})
