"""An annotator's pages ask the same of the database however many lists there are.

`python -m benchmarks.scale` measures the time, with a million.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation_site.annotation.models import Assignment
from benchmarks.scale import Person
from benchmarks.synthetic import add_lists_of_others, make_own_study
from tests.annotation_site.clock import Clock
from tests.large_tables import LARGE

LISTS = 20_000
TABLES = {f"{app}_{model}" for app, model in LARGE}


def queries(ask: Callable[[], None]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        ask()
    return [query["sql"] for query in captured]


def read_whole(sql: str) -> set[str]:
    """The large tables that a statement reads from end to end, because no index helps it."""
    if not sql.startswith(("SELECT", "UPDATE", "DELETE")):
        return set()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            scanned = {line.split()[1] for *_, line in cursor if line.startswith("SCAN ")}
            aliases = {alias: table for table, alias in re.findall(r'"(\w+)" ([A-Z]\d+)\b', sql)}
            return {aliases.get(name, name) for name in scanned} & TABLES
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        return set(_unconditional(cursor.fetchone()[0][0]["Plan"])) & TABLES


def _unconditional(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan of PostgreSQL reads without a condition on an index."""
    ways = ("Seq Scan", "Index Scan", "Index Only Scan")  # a bitmap has its condition below
    if plan["Node Type"] in ways and "Index Cond" not in plan:
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from _unconditional(part)


@pytest.fixture
def indexes_where_possible(db: None) -> None:
    """Let PostgreSQL prefer an index also where a table of this size is read faster whole."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for way in ("seqscan", "hashjoin", "mergejoin"):
                cursor.execute(f"SET LOCAL enable_{way} = off")


@pytest.mark.django_db
def test_pages_read_no_large_table_whole_and_ask_no_more_queries(
    indexes_where_possible, monkeypatch
):
    clock = Clock(timezone.now())
    monkeypatch.setattr(timezone, "now", clock)
    study = make_own_study()
    first, second = study.memberships.filter(role="annotator").select_related("user")
    pages = Person(study, first.user).pages()
    clock.after(minutes=1)  # time reported before it has passed is noted by other statements
    before = {name: queries(ask) for name, ask in pages.items()}
    add_lists_of_others(LISTS)
    assert Assignment.objects.exclude(item__study=study).count() == LISTS
    pages = Person(study, second.user).pages()
    clock.after(minutes=1)
    for name, ask in pages.items():
        asked = queries(ask)
        assert len(asked) == len(before[name]), name
        for sql in asked:
            assert read_whole(sql) == set(), f"{name}: {sql}"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("SELECT id FROM annotation_assignment WHERE comment = 'x'", "annotation_assignment"),
        (
            'SELECT U0."id" FROM "annotation_pattern" U0 WHERE U0."category" = \'x\'',
            "annotation_pattern",
        ),
        ("UPDATE corpus_vector SET norm = 1 WHERE norm > 2", "corpus_vector"),
        ("SELECT id FROM annotation_item WHERE study_id = 7", None),
    ],
)
def test_what_reads_a_large_table_whole_is_found(indexes_where_possible, sql, table):
    assert read_whole(sql) == ({table} if table else set())
