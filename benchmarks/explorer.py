"""How long the explorer's pages take over all value vectors of a model.

Run ``python -m benchmarks.explorer [--lists N]`` in the repository's root: on SQLite, or where
DATABASE_URL names one, on PostgreSQL. It makes a database of its own and drops it at the end.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.machine import describe

VOCABULARY = 49_152
LAYERS = 30
ASKED = 30  # tokens and vectors, spread over the vocabulary and the layers
SPREAD = 1.0  # of ids: like words in text, few tokens stand in very many lists


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lists", type=int, default=46_080)
    parser.add_argument("--annotated", type=int, default=10_000, help="lists, by two people each")
    options = parser.parse_args()
    lists, annotated = options.lists, options.annotated
    os.environ.setdefault("SECRET_KEY", "the key of a benchmark, which guards nothing")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("VAR_DIR", folder)
        import django

        django.setup()
        from django.db import connection

        # On disk, as a site's: a test database of SQLite is in memory otherwise.
        connection.settings_dict["TEST"]["NAME"] = (
            f"{folder}/benchmark.sqlite3" if connection.vendor == "sqlite" else None
        )
        name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            print(f"{describe()}\n{connection.vendor}, {lists:,} lists of 30 + 30 tokens")
            _fill(lists)
            _measure(lists)
            _annotate(annotated)
            _measure_picture(annotated)
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)


def _fill(lists: int) -> None:
    from django.db import connection

    from annotation_site.corpus.models import Extraction, LanguageModel, Token, Vector

    model = LanguageModel.objects.create(
        name="random", model_type="llama", n_layers=LAYERS, d_model=576,
        d_ff=lists // LAYERS + 1, vocab_size=VOCABULARY, vocabulary="subword",
        weights_digest="none",
    )  # fmt: skip
    extraction = Extraction.objects.create(
        model=model, state="ready", bundle_digest="none",
        counts={"vectors": lists, "kinds": {"value": lists}},
    )  # fmt: skip
    Token.objects.bulk_create(
        (
            Token(
                extraction=extraction, token_id=i, text=f"w{i}", display=f"w{i}", is_stopword=False
            )
            for i in range(VOCABULARY)
        ),
        batch_size=5000,
    )
    rows: Iterator[Vector] = (
        Vector(
            extraction=extraction, kind="value", layer=n % LAYERS, index=n // LAYERS, norm=1.0,
            token_ids=top, scores=[1.0] * 30, bottom_token_ids=low, bottom_scores=[-1.0] * 30,
        )
        for n, (top, low) in enumerate(_ids(lists))
    )  # fmt: skip
    Vector.objects.bulk_create(rows, batch_size=2000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _ids(lists: int) -> Iterator[tuple[list[int], list[int]]]:
    """Different tokens of each side, few of which stand in very many lists."""
    import numpy as np

    random = np.random.default_rng(0)
    for _ in range(lists):
        drawn = np.minimum(random.lognormal(9.5, SPREAD, 200), VOCABULARY - 1).astype(int)
        found = list(dict.fromkeys(drawn.tolist()))
        yield found[:30], found[30:60]


def _measure(lists: int) -> None:
    from annotation_site.accounts.models import Role, User
    from annotation_site.corpus.models import Extraction
    from annotation_site.explorer.landing import landing_page
    from annotation_site.explorer.lists import lists_page
    from annotation_site.explorer.page import neuron_page
    from annotation_site.explorer.places import neuron_find
    from annotation_site.explorer.tokens import token_find, token_page

    user = User.objects.create(username="reader", role=Role.RESEARCHER)
    extraction = Extraction.objects.select_related("model").get()

    def neuron(n: int) -> Any:
        layer, index = n % LAYERS, (n * 7919) % (lists // LAYERS)
        return neuron_page(
            neuron_find(extraction=extraction, layer=layer, index=index, user=user), user
        )

    def token(n: int) -> Any:
        number = (n * 1009 + 500) % VOCABULARY
        return token_page(token_find(extraction=extraction, token_id=number), user)

    def browser(n: int) -> Any:
        return lists_page(extraction, user=user, kind="value", word=f"w{(n * 1009 + 500)}")

    _time("a neuron, with its similar vectors", neuron)
    _time("a token, both sides by layer", token)
    _time("a page of the lists with a token", browser)
    _time("the first page", lambda n: landing_page(user, None))


def _annotate(lists: int) -> None:
    """A closed study of so many lists, by two people with two patterns of five tokens each."""
    from annotation_site.accounts.models import User
    from annotation_site.annotation.models import (
        Assignment,
        Item,
        Membership,
        Pattern,
        PatternMember,
        Study,
    )
    from annotation_site.corpus.models import Vector

    study = Study.objects.create(
        slug="closed", title="Closed", state="closed", categories=["semantic", "syntactic"],
        lists_per_layer=lists,
    )  # fmt: skip
    people = [
        Membership.objects.create(
            study=study, user=User.objects.create(username=f"person {n}"), role="annotator",
            consent_version=0,
        )
        for n in range(2)
    ]  # fmt: skip
    items = Item.objects.bulk_create(
        [Item(study=study, vector=vector) for vector in Vector.objects.order_by("pk")[:lists]],
        batch_size=2000,
    )
    rows = Assignment.objects.bulk_create(
        [
            Assignment(
                item=item, membership=person, position=n, state="submitted", version=1,
                opened_at="2026-01-01T00:00:00Z", submitted_at="2026-01-01T00:01:00Z",
            )
            for person in people
            for n, item in enumerate(items, 1)
        ],
        batch_size=2000,
    )  # fmt: skip
    patterns = Pattern.objects.bulk_create(
        [
            Pattern(
                assignment=row, number=number, category=category, stopwords=False,
                stopwords_proposed=False,
            )
            for row in rows
            for number, category in ((1, "semantic"), (2, "syntactic"))
        ],
        batch_size=2000,
    )  # fmt: skip
    PatternMember.objects.bulk_create(
        [
            PatternMember(pattern=pattern, rank=5 * (pattern.number - 1) + n)
            for pattern in patterns
            for n in range(1, 6)
        ],
        batch_size=5000,
    )


def _measure_picture(lists: int) -> None:
    from annotation_site.accounts.models import User
    from annotation_site.corpus.models import Extraction
    from annotation_site.explorer.picture import model_picture

    user = User.objects.get(username="reader")
    extraction = Extraction.objects.select_related("model").get()
    start = time.perf_counter()
    found = model_picture(extraction, user).lists
    first = time.perf_counter() - start
    assert found == lists, found
    print(f"the picture of {lists:,} lists by two people each: {first:.1f} s for the first reader")
    _time("the same, kept", lambda n: model_picture(extraction, user))


def _time(what: str, call: Callable[[int], Any]) -> None:
    times = []
    for n in range(ASKED + 1):
        start = time.perf_counter()
        call(n)
        if n:  # the first one opens what the others find open
            times.append(time.perf_counter() - start)
    print(
        f"{what}: median {statistics.median(times) * 1000:.0f} ms, "
        f"slowest {max(times) * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
