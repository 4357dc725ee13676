"""How long searches over all lists take, and what their index costs.

Run ``python -m benchmarks.search [--lists N]`` in the repository's root: on SQLite, in a file of
its own that is removed at the end. With ``DATABASE_URL=postgres://…`` it makes a database of its
own beside the named one and drops it at the end. ``--loading`` measures instead how long a
bundle's lists take to load with the index and without it.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe

VOCABULARY = 50_257
LAYERS = 48
LENGTH = 30
FLAT = 20  # Zipf-Mandelbrot: token r is drawn in proportion to 1 / (r + FLAT)
ANNOTATED = 10_000  # lists, by two people each
ROUNDS = 9
LOADED = 20_000  # lists of a bundle
SECRET = "the key of a benchmark, which guards nothing"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lists", type=int, default=100_000)
    parser.add_argument("--loading", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("SECRET_KEY", SECRET)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
        os.environ["VAR_DIR"] = folder
        import django
        from django.conf import settings

        django.setup()
        from django.db import connection

        print(describe())
        on_sqlite = connection.vendor == "sqlite"
        if on_sqlite:
            settings.DATABASES["default"]["TEST"]["NAME"] = str(Path(folder) / "benchmark.sqlite3")
        name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            if options.loading:
                _loading(Path(folder))
            else:
                _fill(options.lists)
                _search(options.lists)
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)


def _drawn(lists: int) -> Iterator[list[list[int]]]:
    """Lists of different tokens, in chunks."""
    random = np.random.default_rng(0)
    weights = np.cumsum(1 / (np.arange(VOCABULARY) + FLAT))
    weights /= weights[-1]
    for first in range(0, lists, 10_000):
        drawn = np.searchsorted(weights, random.random((min(10_000, lists - first), LENGTH * 2)))
        yield [list(dict.fromkeys(row))[:LENGTH] for row in drawn.tolist()]


def _fill(lists: int) -> None:
    from django.db import connection

    from annotation_site.corpus.models import Extraction, LanguageModel, Token
    from annotation_site.corpus.postings import ListSegment, postings_continue

    model = LanguageModel.objects.create(
        name="random", model_type="gpt2", n_layers=LAYERS, d_model=1600,
        d_ff=lists // LAYERS + 1, vocab_size=VOCABULARY, vocabulary="subword",
        weights_digest="none",
    )  # fmt: skip
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
    start = time.perf_counter()
    _store(extraction.pk, lists)
    print(f"{lists:,} lists stored in {time.perf_counter() - start:.0f} s")
    before = _size()
    start = time.perf_counter()
    while not ListSegment.objects.filter(is_last=True).exists():
        postings_continue(extraction_id=extraction.pk)
    seconds = time.perf_counter() - start
    grown = (_size() - before) / 1e6
    print(f"index written in {seconds:.0f} s: {grown:.0f} MB beside {before / 1e6:.0f} MB")
    _annotate(extraction)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _store(extraction: int, lists: int) -> None:
    """Store lists with both sides; on PostgreSQL by COPY, which alone takes minutes there."""
    from django.db import connection

    from annotation_site.corpus.models import Vector

    scores = np.sort(np.random.default_rng(1).normal(4, 1, (997, LENGTH)))[:, ::-1].astype("<f4")
    columns = (
        "extraction_id, kind, layer, index, norm, token_ids, scores, bottom_token_ids, "
        "bottom_scores, context, context_token"
    )
    number = 0
    for chunk in _drawn(lists):
        rows = []
        for ids in chunk:
            rows.append((number % LAYERS, number // LAYERS, ids, scores[number % 997][: len(ids)]))
            number += 1
        if connection.vendor == "postgresql":
            lines = (
                f"{extraction}\tvalue\t{layer}\t{index}\t1\t{ids}\t\\\\x{own.tobytes().hex()}\t"
                f"{ids[::-1]}\t\\\\x{own.tobytes().hex()}\t\t\n"
                for layer, index, ids, own in rows
            )
            with connection.cursor() as cursor:
                cursor.copy_expert(
                    f"COPY corpus_vector ({columns}) FROM STDIN", io.StringIO("".join(lines))
                )
            continue
        Vector.objects.bulk_create(
            (
                Vector(
                    extraction_id=extraction, kind="value", layer=layer, index=index, norm=1,
                    token_ids=ids, scores=own, bottom_token_ids=ids[::-1], bottom_scores=own,
                )
                for layer, index, ids, own in rows
            ),
            batch_size=5000,
        )  # fmt: skip


def _size() -> int:
    """Bytes of the database."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0])
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.execute("PRAGMA page_count")
        pages = cursor.fetchone()[0]
        cursor.execute("PRAGMA page_size")
        return int(pages * cursor.fetchone()[0])


def _annotate(extraction: Any) -> None:
    """A closed study of some lists with two annotations each."""
    from annotation_site.accounts.models import User
    from annotation_site.annotation.models import (
        Assignment,
        Item,
        Membership,
        Pattern,
        PatternMember,
        Study,
    )

    study = Study.objects.create(
        slug="closed", title="Closed", state="closed", categories=["semantic"],
        lists_per_layer=ANNOTATED,
    )  # fmt: skip
    study.extractions.add(extraction)
    people = [User.objects.create(username=f"person {n}") for n in range(2)]
    members = [
        Membership.objects.create(study=study, user=user, role="annotator", consent_version=0)
        for user in people
    ]
    vectors = extraction.vectors.order_by("pk").values_list("pk", flat=True)[:ANNOTATED]
    items = Item.objects.bulk_create(Item(study=study, vector_id=pk) for pk in vectors)
    rows = Assignment.objects.bulk_create(
        (
            Assignment(item=item, membership=member, position=n, state="submitted", version=1)
            for member in members
            for n, item in enumerate(items, 1)
        ),
        batch_size=2000,
    )
    patterns = Pattern.objects.bulk_create(
        (
            Pattern(
                assignment=row, number=1, description=f"words about thing {row.pk % 500}",
                category="semantic", stopwords=False, stopwords_proposed=False,
            )
            for row in rows
        ),
        batch_size=2000,
    )  # fmt: skip
    PatternMember.objects.bulk_create(
        (
            PatternMember(pattern=one, rank=rank)
            for one in patterns
            for rank in range(1, 5 + one.pk % 7)
        ),
        batch_size=5000,
    )


def _search(lists: int) -> None:
    from annotation_site.accounts.models import User
    from annotation_site.corpus.models import ListSegment
    from annotation_site.explorer.search.finding import VectorSearch, found_page, vectors_found

    reader = User.objects.create(username="a reader", role="researcher")
    searches = {
        "one token, the most common": VectorSearch(tokens="w0"),
        "one token, number 1,000": VectorSearch(tokens="w1000"),
        "three tokens, all": VectorSearch(tokens="w0 w1 w2"),
        "three tokens, any": VectorSearch(tokens="w0 w1 w2", match="any"),
        "prefix of 111 tokens": VectorSearch(tokens="w123*"),
        "ten common tokens, any": VectorSearch(
            tokens="w10 w11 w12 w13 w14 w15 w16 w17 w18 w19", match="any"
        ),
        "one token in 8 layers": VectorSearch(tokens="w0", layer_from=8, layer_to=15),
        "8 layers": VectorSearch(layer_from=8, layer_to=15),
        "words in descriptions": VectorSearch(said="words thing 77"),
        "category, and a token": VectorSearch(tokens="w0", category="semantic"),
        "share of at least 20%, by share": VectorSearch(percent_from=20, order="share"),
    }
    print(f"\n| search among {lists:,} lists | found | fastest | median | slowest |")
    print("|---|---|---|---|---|")
    for name, search in searches.items():
        count = len(vectors_found(search, reader))
        seconds = _timed(lambda search=search: found_page(search, reader))  # type: ignore[misc]
        times = (min(seconds), statistics.median(seconds), max(seconds))
        print(f"| {name} | {count:,} | {' | '.join(map(_ms, times))} |")
    ListSegment.objects.update(is_last=False)
    print("\n| the same without the index | found | once |\n|---|---|---|")
    for name in ("one token, the most common", "three tokens, all", "8 layers"):
        start = time.perf_counter()
        page = found_page(searches[name], reader)
        print(f"| {name} | {page.count:,} | {_ms(time.perf_counter() - start)} |")


def _timed(work: Callable[[], object]) -> list[float]:
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _loading(folder: Path) -> None:
    """Load a bundle with the index and without it, in turns."""
    from annotation_site.corpus import loading
    from annotation_site.corpus.models import Extraction, LanguageModel
    from ffn_extract.bundle import ModelInfo, TokenRow, VectorRow, open_bundle, write_bundle

    scores = np.sort(np.random.default_rng(1).normal(4, 1, LENGTH))[::-1].tolist()
    vectors = (
        VectorRow("value", n // 1000, n % 1000, 1.0, ids, scores, ids[::-1], scores[::-1])
        for n, ids in enumerate(ids for chunk in _drawn(LOADED) for ids in chunk)
        if len(ids) == LENGTH
    )
    rows = list(vectors)
    used = sorted({i for row in rows for i in row.token_ids})
    write_bundle(
        folder / "bundle",
        model=ModelInfo(
            "m", None, "gpt2", LOADED // 1000, 8, 1000, VOCABULARY, "subword", "0" * 64
        ),
        parameters={"kinds": ["value"], "top_k": LENGTH, "seed": 0},
        vectors=rows,
        tokens=[TokenRow(i, f"w{i}", f"w{i}") for i in used],
        environment={"packages": {}},
    )
    model = LanguageModel.objects.create(
        name="m", model_type="gpt2", n_layers=1, d_model=8, d_ff=8, vocab_size=9,
        vocabulary="subword", weights_digest="0",
    )  # fmt: skip
    extraction = Extraction.objects.create(model=model, state="loading", bundle_digest="x")
    with_index = loading.PostingsWriter

    class Without:
        def __init__(self, extraction_id: int) -> None:
            pass

        def add(self, vectors: object) -> Iterator[Any]:
            return iter(())

        def close(self) -> Iterator[Any]:
            return iter(())

    times: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(3):
        for name, writer in (("without", Without), ("with", with_index)):
            loading.PostingsWriter = writer  # type: ignore[assignment,misc]
            loading.rows_delete(extraction.pk)
            start = time.perf_counter()
            bundle = open_bundle(folder / "bundle")
            loading.rows_load(extraction.pk, bundle, lambda *_: None, lambda *_: None)
            times[name].append(time.perf_counter() - start)
    least = {name: min(seconds) for name, seconds in times.items()}
    print(
        f"{len(rows):,} lists loaded with {len(used):,} tokens: {least['without']:.1f} s without "
        f"the index, {least['with']:.1f} s with it ({least['with'] / least['without']:.2f} times)"
    )


if __name__ == "__main__":
    main()
