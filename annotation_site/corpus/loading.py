"""Rows of a bundle into the database, chunk by chunk."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from annotation_site.analysis.stopwords import is_stopword
from annotation_site.corpus.models import LanguageModel, Token, Vector
from annotation_site.errors import SiteError
from ffn_extract.bundle import Bundle, Manifest, ModelInfo, TokenRow, VectorRow

log = logging.getLogger(__name__)
CHUNK = 1000  # rows per transaction: a few tens of milliseconds, so that nobody waits for it
CONTINUATION = "⋯"
Progress = Callable[[str, int, int], None]


def model_get_or_create(info: ModelInfo) -> LanguageModel:
    """The row of the bundle's model."""
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
    """Refuse a manifest that a database could not hold. Raises SiteError."""
    if "\\u0000" in json.dumps([manifest.parameters, manifest.environment]):
        raise SiteError("The bundle's manifest holds NUL characters. Write it again.")
    too_long = [
        name
        for name, most in (("name", 300), ("revision", 200), ("model_type", 100))
        if len(getattr(manifest.model, name) or "") > most
    ]
    if too_long:
        raise SiteError(f"The model's {too_long[0]} in the bundle is too long to be one.")


def rows_load(extraction_id: int, bundle: Bundle, progress: Progress, report: Progress) -> None:
    """Write all tokens and vectors, in place of what an interrupted run left.

    `progress(step, done, total)` runs in each chunk's transaction, before its rows: what it raises
    keeps them out. `report` follows it.
    """
    rows_delete(extraction_id)
    counts = bundle.manifest.counts
    done = 0
    for tokens in bundle.iter_tokens(CHUNK):
        done += len(tokens)
        with transaction.atomic():
            progress("load_tokens", done, counts.tokens)
            Token.objects.bulk_create([_token(extraction_id, row) for row in tokens])
        report("load_tokens", done, counts.tokens)
    done = 0
    for vectors in bundle.iter_vectors(CHUNK):
        done += len(vectors)
        with transaction.atomic():
            progress("load_vectors", done, counts.vectors)
            Vector.objects.bulk_create([_vector(extraction_id, row) for row in vectors])
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


def _text(value: str | None) -> str:
    """PostgreSQL cannot store NUL; the exact text with it stays in the bundle."""
    return (value or "").replace("\0", "\ufffd")


def _token(extraction_id: int, row: TokenRow) -> Token:
    return Token(
        extraction_id=extraction_id,
        token_id=row.token_id,
        text=_text(row.text),
        display=_text(row.display),
        gloss=_text(row.gloss),
        gloss_source=_text(row.gloss_source)[:40],
        gloss_lemma=_text(row.gloss_lemma),
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
        context=_text(row.context),
        context_position=row.context_position,
        context_token=_text(row.context_token),
    )


class ProgressReporter:
    """Passes progress on at most twice a second, and always the first and last of a step.

    Extraction reports far more often than a page can show or a database should write.
    """

    def __init__(self, write: Progress, seconds: float = 0.5) -> None:
        self.write = write
        self.seconds = seconds
        self._step = ""
        self._written_at = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if step != self._step or done == total or now - self._written_at >= self.seconds:
            self.write(step, done, total)
            self._step, self._written_at = step, now


@contextmanager
def heartbeat(
    beat: Callable[[], None], *, stop_at: tuple[type[Exception], ...], seconds: float = 2
) -> Iterator[None]:
    """Call `beat` in a thread until the block ends: long steps report nothing for a while.

    Errors in `stop_at` end the thread, others (a database restart) are logged and tried again.
    Within a transaction nobody else sees the claim, so there is nobody to be told.
    """
    if connection.in_atomic_block:
        yield
        return
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(seconds):
            try:
                beat()
            except stop_at:
                break
            except Exception:  # whatever it is, a thread that dies in silence looks like a dead run
                log.exception("A heartbeat failed; trying again")
                connection.close()
        connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
