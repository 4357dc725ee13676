"""Memory and time of exporting labels: a million against ten thousand.

Run ``python -m benchmarks.exports [--labels N]`` in the repository's root; with a PostgreSQL server
in DATABASE_URL it makes databases of its own beside the named one, else SQLite files in a temporary
folder, and removes them. A label is one person's answer for one rank: lists × 30 tokens × 3 people.
Each export runs in a process of its own, whose highest resident size is compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figures import Figure
from benchmarks.machine import describe, peak_bytes

TOKENS, PEOPLE = 30, 3
FEW, MANY = 10_000, 1_000_000
MOST_GROWTH = 64 * 2**20  # bytes
FORMATS = ("jsonl", "parquet")
SLUG = "benchmark"


def figures() -> Iterator[Figure]:
    """From 10,000 to 100,000 labels."""
    small, large = measure(FEW), measure(100_000)
    for name in FORMATS:
        growth = (large[name]["peak"] - small[name]["peak"]) / 2**20
        yield Figure(f"memory of ten times the labels, {name}", growth, "MB", MOST_GROWTH / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--labels", type=int, default=MANY)
    parser.add_argument("--of", choices=FORMATS, help="export once, in a database that is there")
    arguments = parser.parse_args()
    if arguments.of:
        print(json.dumps(export(arguments.of)))
        return
    print(describe())
    if not compare(FEW, arguments.labels):
        sys.exit("More memory than allowed.")


def compare(few: int, many: int) -> bool:
    """Measure both sizes, print what was found, and say whether memory stays within its limit."""
    small, large = (measure(labels) for labels in (few, many))
    within = True
    for name in FORMATS:
        growth = large[name]["peak"] - small[name]["peak"]
        within = within and growth < MOST_GROWTH
        print(
            f"{name:8} {many:,} labels in {large[name]['seconds']:.1f} s, "
            f"{large[name]['bytes'] / 2**20:.0f} MB; resident size at most "
            f"{large[name]['peak'] / 2**20:.0f} MB, {growth / 2**20:+.0f} MB against {few:,} labels"
        )
    return within


def measure(labels: int) -> dict[str, dict[str, Any]]:
    """Peak, seconds and size of each format's export, in a database with so many labels."""
    with _database() as environment:
        _run(environment, "manage.py", "migrate", "--verbosity", "0")
        _run(environment, "-c", f"from benchmarks.exports import fill; fill({labels})")
        command = ("-m", "benchmarks.exports", "--of")
        return {name: json.loads(_run(environment, *command, name)) for name in FORMATS}


def export(name: str) -> dict[str, Any]:
    """Write the study's labels to a temporary file in this process."""
    _set_up()
    from annotation_site.annotation.models import Study
    from annotation_site.results.files.jobs import CONTENTS

    start = time.perf_counter()
    with tempfile.TemporaryFile() as file:
        CONTENTS[name].write(
            Study.objects.get(slug=SLUG), file, with_names=False, report=lambda done, total: None
        )
        size = file.tell()
    return {"peak": peak_bytes(), "seconds": time.perf_counter() - start, "bytes": size}


def fill(labels: int) -> None:
    """A study whose every list was answered by everybody, with two patterns of some tokens."""
    _set_up()
    from django.db import transaction

    with transaction.atomic():
        people, items = _people_and_lists(max(1, labels // (TOKENS * PEOPLE)))
        for first in range(0, len(items), 200):
            _answers(people, items[first : first + 200], first)


def _people_and_lists(lists: int) -> tuple[list[Any], list[Any]]:
    from annotation_site.accounts.models import User
    from annotation_site.annotation.models import Item, Membership, Study
    from annotation_site.corpus.models import Extraction, LanguageModel, Token, Vector

    model = LanguageModel.objects.create(
        name="random", model_type="gpt2", n_layers=12, d_model=768, d_ff=lists, vocab_size=5000,
        vocabulary="subword", weights_digest="none",
    )  # fmt: skip
    extraction = Extraction.objects.create(model=model, state="ready", bundle_digest="sha256:0")
    Token.objects.bulk_create(
        Token(
            extraction=extraction, token_id=i, text=f"word{i}", display=f"word{i}",
            gloss=f"what the word number {i} means", is_stopword=False,
        )
        for i in range(5000)
    )  # fmt: skip
    vectors = Vector.objects.bulk_create(
        (
            Vector(
                extraction=extraction, kind="value", layer=n % 12, index=n // 12, norm=1.0,
                token_ids=[(31 * n + 7 * rank) % 5000 for rank in range(TOKENS)], scores=[1.0],
            )
            for n in range(lists)
        ),
        batch_size=1000,
    )  # fmt: skip
    study = Study.objects.create(
        slug=SLUG, title="A benchmark", categories=["semantic"], lists_per_layer=lists
    )
    study.extractions.add(extraction)
    items = Item.objects.bulk_create(
        (Item(study=study, vector=vector) for vector in vectors), batch_size=1000
    )
    users = User.objects.bulk_create(User(username=f"labeller{n}") for n in range(PEOPLE))
    people = Membership.objects.bulk_create(
        Membership(study=study, user=user, role="annotator") for user in users
    )
    return people, items


def _answers(people: list[Any], items: list[Any], first: int) -> None:
    from django.utils import timezone

    from annotation_site.annotation.models import Assignment, Pattern, PatternMember

    now = timezone.now()
    assignments = Assignment.objects.bulk_create(
        Assignment(
            item=item, membership=person, position=first + place, state="submitted", version=1,
            opened_at=now, submitted_at=now, guidelines_version=1, active_seconds=150,
        )
        for place, item in enumerate(items, start=1)
        for person in people
    )  # fmt: skip
    patterns = Pattern.objects.bulk_create(
        Pattern(
            assignment=assignment, number=number, description="words that belong together",
            category="semantic", stopwords=False, stopwords_proposed=False,
        )
        for assignment in assignments
        for number in (1, 2)
    )  # fmt: skip
    PatternMember.objects.bulk_create(
        (
            PatternMember(pattern=pattern, rank=rank)
            for place, pattern in enumerate(patterns)
            for rank in range(1 + place % 2, TOKENS + 1, 3)
        ),
        batch_size=5000,
    )


def _set_up() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
    import django

    django.setup()


@contextmanager
def _database() -> Iterator[dict[str, str]]:
    """An environment with a database of its own."""
    with tempfile.TemporaryDirectory(prefix="ffn-concepts-benchmark-") as folder:
        environment = {
            **os.environ,
            "VAR_DIR": folder,
            "SECRET_KEY": "the key of a benchmark, which guards nothing",
        }
        environment["DJANGO_SETTINGS_MODULE"] = "annotation_site.settings"
        environment["OMP_NUM_THREADS"] = "1"  # each thread's own heap would be counted as growth
        server = os.environ.get("DATABASE_URL", "")
        if not server.startswith("postgres"):
            yield {**environment, "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3"}
            return
        import psycopg2
        from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

        name = f"ffn_benchmark_{os.getpid()}"
        connection = psycopg2.connect(server)
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        try:
            connection.cursor().execute(f"CREATE DATABASE {name}")
            yield {**environment, "DATABASE_URL": urlsplit(server)._replace(path=name).geturl()}
        finally:
            connection.cursor().execute(f"DROP DATABASE IF EXISTS {name}")
            connection.close()


def _run(environment: dict[str, str], *arguments: str) -> str:
    """Run Python with these arguments; what it printed last."""
    ended = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return ended.stdout.strip().rpartition("\n")[2]


if __name__ == "__main__":
    main()
