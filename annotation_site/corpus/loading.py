"""Load the rows of a bundle into the database, chunk by chunk."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.utils.translation import gettext_noop

from annotation_site.analysis.stopwords import is_stopword
from annotation_site.corpus.models import (
    LanguageModel,
    ListSegment,
    Token,
    TokenPostings,
    TriggerPrefixes,
    ValueStatistics,
    Vector,
)
from annotation_site.corpus.postings import PostingsWriter
from annotation_site.errors import SiteError
from annotation_site.sentences import Sentence
from ffn_extract.bundle import (
    Manifest,
    ModelInfo,
    TokenRow,
    TriggerPrefixRow,
    ValueStatisticsRow,
    VectorRow,
)

if TYPE_CHECKING:
    from ffn_extract.bundle import Bundle

CHUNK = 1000  # rows per transaction: a few tens of milliseconds, so that nobody waits for it
CONTINUATION = "⋯"
NUL = gettext_noop("The bundle's manifest holds NUL characters. Make the bundle again.")
TOO_LONG = gettext_noop(
    "The bundle's %(field)s of the model is longer than a %(field)s can be. Make the bundle again."
)
PREFIX_FIELDS = (
    "sentence", "position", "prefix", "token_id", "coefficient", "copies", "gate_sign", "up_sign",
)  # fmt: skip
# Controls that are no white space, and signs that change the direction of what follows them.
_UNSHOWN = dict.fromkeys(
    {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    - {*b"\t\n\r", 0x85},
    "\ufffd",
)
Progress = Callable[[str, int, int], None]
Chunk = tuple[int, Sequence[models.Model]]
"""Rows to write, and the number of the bundle's rows that they come from."""


def model_get_or_create(info: ModelInfo) -> LanguageModel:
    """Get or create the row of the bundle's model."""
    model, _ = LanguageModel.objects.get_or_create(
        name=info.name,
        revision=info.revision or "",
        weights_digest=info.fingerprint,
        defaults={
            "model_type": info.model_type,
            "n_layers": info.n_layers,
            "d_model": info.d_model,
            "d_ff": info.d_ff,
            "vocab_size": info.vocab_size,
            "vocabulary": info.vocabulary,
        },
    )
    return model


def require_storable(manifest: Manifest) -> None:
    """Refuse a manifest that a database cannot store. Raises SiteError."""
    if "\\u0000" in json.dumps([manifest.parameters, manifest.environment]):
        raise SiteError(Sentence(NUL))
    too_long = [
        name
        for name, most in (("name", 300), ("revision", 200), ("model_type", 100))
        if len(getattr(manifest.model, name) or "") > most
    ]
    if too_long:
        raise SiteError(Sentence(TOO_LONG, field=too_long[0]))


def rows_load(extraction_id: int, bundle: "Bundle", progress: Progress, report: Progress) -> None:
    """Write all rows of a bundle, replacing those of an interrupted run.

    `progress(step, done, total)` runs in each chunk's transaction, before its rows: what it raises
    keeps them out. `report` follows it.
    """
    rows_delete(extraction_id)

    def store(step: str, total: int, chunks: Iterable[Chunk]) -> None:
        done = 0
        for count, rows in chunks:
            done += count
            with transaction.atomic():
                progress(step, done, total)
                type(rows[0])._default_manager.bulk_create(rows)
            report(step, done, total)

    counts = bundle.manifest.counts
    store("load_tokens", counts.tokens, _chunks(_token, extraction_id, bundle.iter_tokens(CHUNK)))
    lists = chain(
        _vector_chunks(extraction_id, bundle.iter_vectors(CHUNK)),
        _chunks(_value_statistics, extraction_id, bundle.iter_value_statistics(CHUNK)),
        _prefix_chunks(extraction_id, bundle.iter_trigger_prefixes(CHUNK)),
    )
    total = counts.vectors + (counts.value_statistics or 0) + (counts.trigger_prefixes or 0)
    store("load_vectors", total, lists)


def _chunks(
    make: Callable[[int, Any], models.Model], extraction_id: int, rows: Iterable[list[Any]]
) -> Iterator[Chunk]:
    for chunk in rows:
        yield len(chunk), [make(extraction_id, row) for row in chunk]


def _vector_chunks(extraction_id: int, rows: Iterable[list[VectorRow]]) -> Iterator[Chunk]:
    """Chunks of lists, and those of the index of their tokens, which count as none."""
    postings = PostingsWriter(extraction_id)
    for chunk in rows:
        vectors = [_vector(extraction_id, row) for row in chunk]
        yield len(chunk), vectors
        for made in postings.add(vectors):  # stored by now, so they have their keys
            yield 0, made
    for made in postings.close():
        yield 0, made


def _prefix_chunks(extraction_id: int, rows: Iterable[list[TriggerPrefixRow]]) -> Iterator[Chunk]:
    """Chunks of whole lists: one of a key and side can cross the chunks of rows."""
    count, made = 0, []
    by_list = groupby(
        chain.from_iterable(rows), key=lambda row: (row.kind, row.layer, row.index, row.side)
    )
    for (kind, layer, index, side), prefixes in by_list:
        found = [_prefix(row) for row in prefixes]
        made.append(
            TriggerPrefixes(
                extraction_id=extraction_id,
                kind=kind,
                layer=layer,
                index=index,
                side=side,
                prefixes=found,
            )
        )
        count += len(found)
        if count >= CHUNK:
            yield count, made
            count, made = 0, []
    if made:
        yield count, made


def rows_delete(extraction_id: int, beat: Callable[[], object] = lambda: None) -> None:
    """Remove an extraction's rows in short transactions; `beat` follows each."""
    models_of_rows = (
        ListSegment, TokenPostings, TriggerPrefixes, ValueStatistics, Vector, Token,
    )  # fmt: skip
    for model in models_of_rows:
        while True:
            chunk = list(
                model.objects.filter(extraction_id=extraction_id).values_list("pk", flat=True)[
                    :CHUNK
                ]
            )
            if not chunk:
                break
            model.objects.filter(pk__in=chunk).delete()
            beat()


def _text(value: str) -> str:
    """PostgreSQL cannot store NUL; the exact text with it stays in the bundle."""
    return value.replace("\0", "\ufffd")


def shown(value: str | None) -> str:
    """A text of a bundle as pages show it: nothing in it turns the rest of a line around."""
    return (value or "").translate(_UNSHOWN)


def _token(extraction_id: int, row: TokenRow) -> Token:
    return Token(
        extraction_id=extraction_id,
        token_id=row.token_id,
        text=_text(row.text),
        display=shown(row.display),
        gloss=shown(row.gloss),
        gloss_source=shown(row.gloss_source)[:40],
        gloss_lemma=shown(row.gloss_lemma),
        gloss_part=row.gloss_part or "",
        senses=[
            {**asdict(sense), "gloss": shown(sense.gloss), "lemma": shown(sense.lemma)}
            for sense in row.senses
        ],
        is_stopword=is_stopword(row.display.removeprefix(CONTINUATION)),
    )


def _vector(extraction_id: int, row: VectorRow) -> Vector:
    return Vector(
        extraction_id=extraction_id,
        kind=row.kind,
        layer=row.layer,
        index=row.index,
        norm=row.norm,
        token_ids=row.token_ids,
        scores=row.scores,
        bottom_token_ids=row.bottom_token_ids,
        bottom_scores=row.bottom_scores,
        context=shown(row.context),
        context_position=row.context_position,
        context_token=shown(row.context_token),
    )


def _value_statistics(extraction_id: int, row: ValueStatisticsRow) -> ValueStatistics:
    return ValueStatistics(extraction_id=extraction_id, **asdict(row))


def _prefix(row: TriggerPrefixRow) -> dict[str, Any]:
    """A prefix as it is stored in the list of its key and side."""
    return {name: getattr(row, name) for name in PREFIX_FIELDS} | {"prefix": shown(row.prefix)}
