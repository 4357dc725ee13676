"""Extractions with every value vector, and studies of a few of them."""

from itertools import chain
from typing import Any

from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS
from annotation_site.annotation.lists.entries import list_entries
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Extraction, Token, ValueStatistics, Vector
from tests.annotation_site.factories import (
    LanguageModelFactory,
    answer,
    make_extraction,
    make_study,
    pattern,
    submit,
)

LAYERS, PER_LAYER = 3, 8
MANY = 10  # lists per layer, of which three layers have enough for an interval
WORDS = [
    *("dog", "cat", "horse", "cow", "walking", "talking", "singing"),
    *("reading", "unhappy", "undo", "uneasy", "unfair"),
]


def make_census(*, statistics: bool = False, **changes: Any) -> Extraction:
    """A ready extraction with all 8 value vectors of each of 3 layers, its words in English."""
    per_layer = changes.pop("per_layer", PER_LAYER)
    model = changes.pop("model", None) or LanguageModelFactory(n_layers=LAYERS, d_ff=per_layer)
    changes = {"kinds": ("value", "random"), **changes}
    extraction = make_extraction(layers=LAYERS, per_layer=per_layer, model=model, **changes)
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


def make_estimated_study(**changes: Any) -> Study:
    """A study with 10 of 40 value vectors of each of 3 layers, all annotated by one person.

    So are 6 lists of random vectors. The person finds what the machine annotator of affixes finds,
    and a little more in every other list.
    """
    study = make_value_study(
        make_census(per_layer=40), lists_per_layer=MANY, annotators=1, **changes
    )
    annotate(study)
    return study


def annotate(study: Study) -> None:
    """Submit every list of a value vector, and two random ones of each layer."""
    propose = MACHINE_ANNOTATORS["machine-affixes"].propose
    membership = study.memberships.filter(role="annotator").first()
    own = membership.assignments.order_by("item__vector__layer", "item__vector__index")
    values = own.filter(item__vector__kind="value")
    few = [
        own.filter(item__vector__kind="random", item__vector__layer=n)[:2] for n in range(LAYERS)
    ]
    for n, assignment in enumerate(chain(values, *few)):
        entries = list_entries(assignment.item.vector, study.list_source)
        ranks = sorted(
            {rank for one in propose([e.text for e in entries], 4, None) for rank in one.ranks}
        )
        ranks = sorted({*ranks, *range(1, 5 + n % 3)} if n % 2 else ranks)
        submit(assignment, answer(*([pattern(1, ranks)] if ranks else [])))
