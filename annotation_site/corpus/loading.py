"""Load the rows of a bundle into the database, chunk by chunk."""

import json
from collections.abc import Callable
from dataclasses import asdict

from django.db import transaction
from django.utils.translation import gettext_noop

from annotation_site.analysis.stopwords import is_stopword
from annotation_site.corpus.models import LanguageModel, Token, Vector
from annotation_site.errors import SiteError
from annotation_site.sentences import Sentence
from ffn_extract.bundle import Bundle, Manifest, ModelInfo, TokenRow, VectorRow

CHUNK = 1000  # rows per transaction: a few tens of milliseconds, so that nobody waits for it
CONTINUATION = "⋯"
NUL = gettext_noop("The bundle's manifest holds NUL characters. Make the bundle again.")
TOO_LONG = gettext_noop(
    "The bundle's %(field)s of the model is longer than a %(field)s can be. Make the bundle again."
)
# Controls that are no white space, and signs that change the direction of what follows them.
_UNSHOWN = dict.fromkeys(
    {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    - {*b"\t\n\r", 0x85},
    "\ufffd",
)
Progress = Callable[[str, int, int], None]


def model_get_or_create(info: ModelInfo) -> LanguageModel:
    """Get or create the row of the bundle's model."""
    model, _ = LanguageModel.objects.get_or_create(
        name=info.name,
        revision=info.revision or "",
        weights_digest=info.weights_digest,
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


def rows_load(extraction_id: int, bundle: Bundle, progress: Progress, report: Progress) -> None:
    """Write all tokens and vectors, replacing those of an interrupted run.

    `progress(step, done, total)` runs in each chunk's transaction, before its rows: what it raises
    keeps them out. `report` follows it.
    """
    rows_delete(extraction_id)
    counts = bundle.manifest.counts
    done = 0
    for tokens in bundle.iter_tokens(CHUNK):
        done += len(tokens)
        made = [_token(extraction_id, row) for row in tokens]
        with transaction.atomic():
            progress("load_tokens", done, counts.tokens)
            Token.objects.bulk_create(made)
        report("load_tokens", done, counts.tokens)
    done = 0
    for vectors in bundle.iter_vectors(CHUNK):
        done += len(vectors)
        lists = [_vector(extraction_id, row) for row in vectors]
        with transaction.atomic():
            progress("load_vectors", done, counts.vectors)
            Vector.objects.bulk_create(lists)
        report("load_vectors", done, counts.vectors)


def rows_delete(extraction_id: int, beat: Callable[[], object] = lambda: None) -> None:
    """Remove an extraction's lists and tokens in short transactions; `beat` follows each."""
    for model in (Vector, Token):
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
