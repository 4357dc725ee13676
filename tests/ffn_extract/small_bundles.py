"""A hand-made bundle of 12 vectors with lists of 3."""

from pathlib import Path

from ffn_extract.bundle import ModelInfo, TokenRow, VectorRow, write_bundle
from ffn_extract.glosses.gloss import Sense


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
