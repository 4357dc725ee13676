"""How long a search for a token takes over a million lists, on PostgreSQL.

Run ``DATABASE_URL=postgres://… python -m benchmarks.token_search [--lists N]`` in the repository's
root. It makes a database of its own beside the named one and drops it at the end.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator

from benchmarks.machine import describe

VOCABULARY = 50_257
LAYERS = 48
WORDS = 40
SPREAD = 1.0  # of ids: like words in text, few tokens stand in very many lists


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lists", type=int, default=1_000_000)
    lists = parser.parse_args().lists
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        print("Not measured: set DATABASE_URL to a PostgreSQL server to make a database on.")
        return
    os.environ.setdefault("SECRET_KEY", "the key of a benchmark, which guards nothing")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
    import django

    django.setup()
    from django.db import connection

    name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        print(describe())
        _fill(lists)
        _search(lists)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def _fill(lists: int) -> None:
    """An extraction with so many lists of 30 tokens, by COPY."""
    from django.db import connection

    from annotation_site.corpus.models import Extraction, LanguageModel, Token

    model = LanguageModel.objects.create(
        name="random",
        model_type="gpt2",
        n_layers=LAYERS,
        d_model=1600,
        d_ff=lists // LAYERS + 1,
        vocab_size=VOCABULARY,
        vocabulary="subword",
        weights_digest="none",
    )
    extraction = Extraction.objects.create(model=model, state="ready", bundle_digest="none")
    Token.objects.bulk_create(
        (
            Token(
                extraction=extraction, token_id=i, text=f"w{i}", display=f"w{i}", is_stopword=False
            )
            for i in range(VOCABULARY)
        ),
        batch_size=5000,
    )
    columns = "extraction_id, kind, layer, index, norm, token_ids, scores, context, context_token"
    start = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.copy_expert(
            f"COPY corpus_vector ({columns}) FROM STDIN", _Lines(_rows(extraction.pk, lists))
        )
        cursor.execute("ANALYZE corpus_vector")
        cursor.execute("ANALYZE corpus_token")
    print(f"{lists:,} lists loaded with their index in {time.perf_counter() - start:.0f} s")


def _rows(extraction: int, lists: int) -> Iterator[str]:
    import numpy as np

    random = np.random.default_rng(0)
    for first in range(0, lists, 10_000):
        count = min(10_000, lists - first)
        ids = np.minimum(random.lognormal(9.5, SPREAD, (count, 30)), VOCABULARY - 1).astype(int)
        for number, row in enumerate(ids.tolist(), first):
            layer, index = number % LAYERS, number // LAYERS
            yield f"{extraction}\tvalue\t{layer}\t{index}\t1\t{row}\t\\\\x\t\t\n"


class _Lines:
    """Rows as the file that COPY reads."""

    def __init__(self, rows: Iterator[str]) -> None:
        self._rows = rows
        self._rest = ""

    def read(self, size: int) -> str:
        while len(self._rest) < size and (row := next(self._rows, None)) is not None:
            self._rest += row
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def _search(lists: int) -> None:
    from annotation_site.corpus.browsing import vectors_page
    from annotation_site.corpus.models import Extraction

    extraction = Extraction.objects.get()
    times = []
    for number in range(WORDS + 1):
        word = f"w{(number * 7919) % VOCABULARY}"
        start = time.perf_counter()
        page = vectors_page(extraction, word=word)
        if number:  # the first one opens the connection
            times.append((time.perf_counter() - start, page.count))
    seconds = sorted(one for one, _ in times)
    found = statistics.median(count for _, count in times)
    print(
        f"a page of the lists with a token, {WORDS} tokens, each in {found:.0f} lists (median, at "
        f"most counted: 1,001): median {statistics.median(seconds) * 1000:.0f} ms, "
        f"slowest {seconds[-1] * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
