"""Rows of a bundle into the database, chunk by chunk."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from annotation_site.analysis.stopwords import is_stopword
from annotation_site.corpus.models import LanguageModel, Token, Vector
from ffn_extract.bundle import Bundle, ModelInfo, TokenRow, VectorRow

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


def rows_load(extraction_id: int, bundle: Bundle, progress: Progress) -> None:
    """Write all tokens and vectors; `progress(step, done, total)` follows each chunk."""
    counts = bundle.manifest.counts
    done = 0
    for tokens in bundle.iter_tokens(CHUNK):
        _insert(Token, [_token(extraction_id, row) for row in tokens])
        done += len(tokens)
        progress("load_tokens", done, counts.tokens)
    done = 0
    for vectors in bundle.iter_vectors(CHUNK):
        _insert(Vector, [_vector(extraction_id, row) for row in vectors])
        done += len(vectors)
        progress("load_vectors", done, counts.vectors)


def rows_delete(extraction_id: int) -> None:
    """Remove what a broken import left, in short transactions."""
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


def _insert(model: type[Token] | type[Vector], rows: list[Token] | list[Vector]) -> None:
    with transaction.atomic():
        model.objects.bulk_create(rows)  # type: ignore[arg-type]


def _token(extraction_id: int, row: TokenRow) -> Token:
    return Token(
        extraction_id=extraction_id,
        token_id=row.token_id,
        # PostgreSQL cannot store NUL; the exact text with it stays in the bundle.
        text=row.text.replace("\0", "\ufffd"),
        display=row.display,
        gloss=(row.gloss or "").replace("\0", "\ufffd"),
        gloss_source=row.gloss_source or "",
        gloss_lemma=row.gloss_lemma or "",
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
        context=(row.context or "").replace("\0", "\ufffd"),
        context_position=row.context_position,
        context_token=(row.context_token or "").replace("\0", "\ufffd"),
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
def heartbeat(beat: Callable[[], None], seconds: float = 2) -> Iterator[None]:
    """Call `beat` in a thread until the block ends: long steps report nothing for a while."""
    stopped = threading.Event()

    def run() -> None:
        try:
            while not stopped.wait(seconds):
                beat()
        except Exception:
            return  # a lost claim or database is met by the run's own next report
        finally:
            connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
