"""How long the page of a large study under way takes: `python -m benchmarks.monitoring`.

20,000 lists for two people each, 40 people, most of it done: 40,000 assignments. Measured inside
the process, from request to response, against one bare `SELECT count(*)` over the assignments.
SQLite by default, PostgreSQL where TEST_DATABASE_URL is set and FFN_TEST_SERVICES is 1; the
database is the benchmark's own and dropped at the end.
"""

import argparse
import os
import random
import statistics
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

from benchmarks.machine import describe

DONE = 0.7  # of the assignments
TARGET = 200.0  # milliseconds
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=20_000)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection

    settings.ALLOWED_HOSTS.append("testserver")
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        fill(options.lists, options.people)
        measure(options.lists, options.people, options.times)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def fill(lists: int, people: int) -> None:
    """A study that is under way, as services would have made it, in bulk."""
    from django.db import connection
    from django.utils import timezone

    from annotation_site.accounts.models import Role, User
    from annotation_site.annotation.models import Assignment, Item, Membership, Revision, Study
    from annotation_site.corpus.models import Extraction, LanguageModel, Token, Vector

    rng = random.Random(SEED)
    model = LanguageModel.objects.create(
        name="random", model_type="gpt2", n_layers=20, d_model=8, d_ff=lists, vocab_size=100,
        vocabulary="subword", weights_digest="none",
    )  # fmt: skip
    extraction = Extraction.objects.create(model=model, state="ready", bundle_digest="none")
    Token.objects.bulk_create(
        Token(extraction=extraction, token_id=i, text=f"w{i}", display=f"w{i}", is_stopword=False)
        for i in range(30)
    )
    vectors = Vector.objects.bulk_create(
        (
            Vector(
                extraction=extraction, kind="value", layer=n % 20, index=n // 20, norm=1.0,
                token_ids=list(range(30)), scores=[1.0] * 30,
            )
            for n in range(lists)
        ),
        batch_size=1000,
    )  # fmt: skip
    study = Study.objects.create(
        slug="large", title="A large study", state="open", categories=["semantic", "syntactic"],
        lists_per_layer=lists // 20,
    )  # fmt: skip
    items = Item.objects.bulk_create((Item(study=study, vector=v) for v in vectors), 1000)
    users = User.objects.bulk_create(User(username=f"person {n}") for n in range(people))
    researcher = User.objects.create(username="researcher", role=Role.RESEARCHER)
    Membership.objects.create(study=study, user=researcher, role="researcher")
    members = Membership.objects.bulk_create(
        Membership(study=study, user=user, role="annotator") for user in users
    )
    now = timezone.now()
    positions = dict.fromkeys(range(people), 0)

    def assignment(item: Item, person: int) -> Assignment:
        positions[person] += 1
        at = now - timedelta(minutes=2 * (2 * lists // people - positions[person]))
        done = rng.random() < DONE
        return Assignment(
            item=item, membership=members[person], position=positions[person],
            state="submitted" if done else "waiting", version=int(done),
            active_seconds=round(rng.lognormvariate(4.6, 0.5)) if done else 0,
            opened_at=at if done else None, submitted_at=at if done else None,
        )  # fmt: skip

    assignments = Assignment.objects.bulk_create(
        (
            assignment(item, (n + step) % people)
            for n, item in enumerate(items)
            for step in (0, 1 + n // people % (people - 1))
        ),
        batch_size=1000,
    )
    Revision.objects.bulk_create(
        (
            Revision(
                assignment=row, version=1, key=uuid.uuid4(), snapshot={"annotation": answer(rng)}
            )
            for row in assignments
            if row.version
        ),
        batch_size=1000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def answer(rng: random.Random) -> dict[str, object]:
    """Up to three patterns over 30 ranks."""
    ranks = rng.sample(range(1, 31), 24)
    patterns = [
        {
            "number": n + 1, "description": "a few words about it", "category": "semantic",
            "stopwords": None, "ranks": sorted(ranks[8 * n : 8 * n + 8]),
        }
        for n in range(rng.randrange(4))
    ]  # fmt: skip
    return {"patterns": patterns, "no_pattern": not patterns, "comment": ""}


def measure(lists: int, people: int, times: int) -> None:
    """Print each page's time and its ratio to a bare count."""
    from django.db import connection
    from django.test import Client

    from annotation_site.accounts.models import User
    from annotation_site.annotation.models import Assignment

    client = Client()
    client.force_login(User.objects.get(username="researcher"))

    def count() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {Assignment._meta.db_table}")
            cursor.fetchone()

    def page(path: str) -> Callable[[], None]:
        def ask() -> None:
            response = client.get(f"/studies/large/{path}")
            assert response.status_code == 200, response.status_code

        return ask

    bare = median_ms(count, times)
    print(
        f"{describe()}; {lists:,} lists, {people} people, {Assignment.objects.count():,} "
        f"assignments, {connection.vendor}\n"
    )
    print("| what | database | median | slowest | own processor time | times a bare count | goal |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| SELECT count(*) | {connection.vendor} | {bare[0]:.2f} ms | {bare[1]:.2f} ms "
        f"| {bare[2]:.2f} ms | 1 | |"
    )
    for name, path in (
        ("page of the study", "run/"),
        ("its renewal", "run/progress/"),
        ("who is worth a look", "run/flags/"),
        ("list by list", "run/lists/"),
        ("adjudication", "adjudication/"),
    ):
        middle, slowest, processor = median_ms(page(path), times)
        print(
            f"| {name} | {connection.vendor} | {middle:.0f} ms | {slowest:.0f} ms "
            f"| {processor:.0f} ms | {middle / bare[0]:,.0f} | {TARGET:g} ms |"
        )


def median_ms(call: Callable[[], None], times: int) -> tuple[float, float, float]:
    """Median and slowest of so many calls, after one that warms up, and their processor time.

    The last is this process's own: with SQLite all of the work, whatever else the machine does.
    """
    call()
    found, processor = [], []
    for _ in range(times):
        start, own = time.perf_counter(), time.process_time()
        call()
        found.append(1000 * (time.perf_counter() - start))
        processor.append(1000 * (time.process_time() - own))
    return statistics.median(found), max(found), statistics.median(processor)


if __name__ == "__main__":
    main()
