"""People go on working while results are read."""

import threading

import pytest
from django.db import connection

from annotation_site.annotation.models import Assignment, Study
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.results.files.adjudicated_export import adjudicated_records
from annotation_site.results.files.labels_export import annotation_records
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.reading import one_moment
from tests.annotation_site.factories import answer, make_study, pattern, submit
from tests.annotation_site.results.frames import token_judgements_frame

pytestmark = pytest.mark.django_db(transaction=True)
SHORT = answer(pattern(1, [1, 2, 3, 4]))
LONG = answer(pattern(1, list(range(1, 9))), pattern(2, [20, 21, 22, 23], category="syntactic"))


def said(answers):
    columns = ["annotation_id", "pattern", "rank"]
    return sorted(token_judgements_frame(answers)[columns].itertuples(index=False, name=None))


def in_another_process(work):
    """Do it on a connection of its own, and wait for it."""

    def run():
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive()


@pytest.mark.parametrize("after", range(1, 7))
def test_a_submission_between_two_queries_is_seen_whole_or_not_at_all(after):
    study = make_study(lists_per_layer=1)
    one, other = Assignment.objects.filter(item__study=study)[:2]
    submit(one, SHORT)
    annotations_of(study)  # gives everybody their code
    before = said(annotations_of(study))
    seen = interrupted(
        lambda: said(annotations_of(study)),
        after=after,
        by=lambda: [submit(row, LONG) for row in (one, other)],
    )
    assert seen in (before, said(annotations_of(study)))


@pytest.mark.parametrize("after", range(1, 8))
def test_a_final_answer_that_changes_while_it_is_exported_is_whole(after):
    study = make_study(lists_per_layer=1)
    final = adjudicated_annotation_open(item=study.items.first(), by=study.created_by)
    submit(final, SHORT)
    before = list(adjudicated_records(study))
    seen = interrupted(
        lambda: list(adjudicated_records(study)), after=after, by=lambda: submit(final, LONG)
    )
    assert seen in (before, list(adjudicated_records(study)))


@pytest.mark.parametrize("after", range(1, 8))
def test_labels_that_change_while_they_are_exported_are_whole(after):
    """The patterns of one submission never stand beside the times of another."""
    study = make_study(lists_per_layer=1)
    one = Assignment.objects.filter(item__study=study, purpose="annotation").first()
    submit(one, SHORT)
    before = list(annotation_records(study))  # gives everybody their code
    seen = interrupted(
        lambda: list(annotation_records(study)), after=after, by=lambda: submit(one, LONG)
    )
    assert seen in (before, list(annotation_records(study)))


@pytest.mark.skipif(connection.vendor != "sqlite", reason="of SQLite's kinds of transactions")
def test_a_new_connection_reads_without_a_lock_and_then_writes_with_one():
    modes = []

    def read():
        with one_moment():
            Study.objects.exists()
            modes.append(connection.transaction_mode)
        modes.append(connection.transaction_mode)

    in_another_process(read)
    assert modes == ["DEFERRED", "IMMEDIATE"]


def interrupted(read, *, after, by):
    """What somebody reads while, after so many of their queries, somebody else writes."""
    queries = 0

    def interrupt(execute, sql, params, many, context):
        nonlocal queries
        result = execute(sql, params, many, context)
        queries += sql.startswith("SELECT")
        if queries == after and sql.startswith("SELECT"):
            in_another_process(by)
        return result

    with connection.execute_wrapper(interrupt):
        seen = read()
    assert queries >= after
    return seen
