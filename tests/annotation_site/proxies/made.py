"""Extractions with every value vector, and studies of a few of them."""

from typing import Any

from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Extraction, Token, ValueStatistics, Vector
from tests.annotation_site.factories import LanguageModelFactory, make_extraction, make_study

LAYERS, PER_LAYER = 3, 8
WORDS = [
    *("dog", "cat", "horse", "cow", "walking", "talking", "singing"),
    *("reading", "unhappy", "undo", "uneasy", "unfair"),
]


def make_census(*, statistics: bool = False, **changes: Any) -> Extraction:
    """A ready extraction with all 8 value vectors of each of 3 layers, its words in English."""
    model = changes.pop("model", None) or LanguageModelFactory(n_layers=LAYERS, d_ff=PER_LAYER)
    extraction = make_extraction(layers=LAYERS, per_layer=PER_LAYER, model=model, **changes)
    extraction.parameters = {"kinds": ["value", "random"], "per_layer": "all", "seed": 0}
    extraction.save()
    tokens = list(Token.objects.filter(extraction=extraction))
    for token in tokens:
        # Runs of 30 tokens then hold different numbers of animals, endings and prefixes.
        word = WORDS[token.token_id % len(WORDS)]
        token.display = word if token.token_id % 7 < 3 else f"x{token.token_id}q"
    Token.objects.bulk_update(tokens, ["display"])
    if statistics:
        make_statistics(extraction)
    return extraction


def make_statistics(extraction: Extraction) -> None:
    """Value statistics of every vector: different numbers, by layer and index."""
    ValueStatistics.objects.bulk_create(
        ValueStatistics(
            extraction=extraction,
            layer=layer,
            index=index,
            norm=1 + layer + index / 10,
            kurtosis=index - layer,
            skew=index / 3,
        )
        for layer in range(extraction.model.n_layers)
        for index in range(extraction.model.d_ff)
    )
    extraction.counts = {"value_statistics": extraction.model.n_layers * extraction.model.d_ff}
    extraction.save()


def make_value_study(extraction: Extraction | None = None, **changes: Any) -> Study:
    """An open study of two value vectors and two random ones of each layer."""
    return make_study(
        extraction=extraction or make_census(),
        **{"kinds": ("value", "random"), "lists_per_layer": 2, "annotators": 2, **changes},
    )


def values_of(extraction: Extraction) -> dict[tuple[int, int], Vector]:
    found = Vector.objects.filter(extraction=extraction, kind="value")
    return {(one.layer, one.index): one for one in found}
