"""Claimed work: who holds a row, what is sent to workers, and whose turn it is."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.errors import Invalid, SiteError
from annotation_site.results.files.jobs import export_request
from annotation_site.results.models import ExportJob, Snapshot
from annotation_site.results.snapshots import services
from annotation_site.results.tables.filters import Filters
from annotation_site.workers import claims
from annotation_site.workers.models import Worker
from annotation_site.workers.queues import RESULTS_QUEUE
from tests.annotation_site.factories import UserFactory, make_study
from tests.annotation_site.results.snapshots.test_services import labelled_study

pytestmark = pytest.mark.django_db
State = Snapshot.State


def due(study, count, *, minutes_ago=0):
    """So many snapshots of a study that wait for a worker."""
    rows = []
    for _ in range(count):
        row = Snapshot.objects.create(
            study=study, data_version=1, filters={}, filter_key=uuid.uuid4().hex
        )
        Snapshot.objects.filter(pk=row.pk).update(
            requested_at=timezone.now() - timedelta(minutes=minutes_ago)
        )
        rows.append(row)
    return rows


def places(count):
    Worker.objects.all().delete()
    Worker.objects.create(name="m:1:a", seen_at=timezone.now(), tasks_at_once=count)


def test_a_row_goes_to_the_first_who_claims_it():
    (row,) = due(make_study(), 1)
    mine = claims.claim(Snapshot.waiting(), row.pk, state=State.RUNNING)
    assert (mine.attempts, mine.state, mine.enqueued_at) == (1, State.RUNNING, None)
    assert claims.claim(Snapshot.waiting(), row.pk, state=State.RUNNING) is None
    claims.report(mine, step="a step")
    Snapshot.objects.update(claim=uuid.uuid4())
    with pytest.raises(claims.ClaimLost):
        claims.report(mine, step="too late")
    claims.fail(mine, "too late")
    mine.refresh_from_db()
    assert (mine.step, mine.state, mine.error) == ("a step", State.RUNNING, "")


@pytest.mark.parametrize(
    ("error", "said", "raised"),
    [
        (SiteError("Make room first."), "Make room first.", False),
        (OSError(28, "No space left on device"), "No space left on device", True),
        (ZeroDivisionError(), "A bug stopped this (ZeroDivisionError)", True),
    ],
)
def test_work_ends_with_a_sentence_and_a_bug_is_not_hidden(error, said, raised):
    (row,) = due(make_study(), 1)
    mine = claims.claim(Snapshot.waiting(), row.pk, state=State.RUNNING)

    def work():
        with claims.working(mine):
            raise error

    if raised:
        with pytest.raises(type(error)):
            work()
    else:
        work()
    mine.refresh_from_db()
    assert (mine.state, mine.claim) == (State.FAILED, None)
    assert said in mine.error


def test_no_more_messages_are_sent_than_there_are_places(messages):
    places(3)
    rows = due(make_study(), 8)
    for _ in range(10):
        claims.wake(RESULTS_QUEUE)
    assert messages == [("snapshot_compute_due", row.pk) for row in rows[:3]]


def test_nothing_is_sent_where_no_worker_lives(messages):
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    due(make_study(), 1)
    claims.wake(RESULTS_QUEUE)
    assert messages == []


def test_a_message_that_no_free_place_takes_is_lost_and_sent_again(messages):
    places(1)
    (row,) = due(make_study(), 1)
    claims.wake(RESULTS_QUEUE)
    Snapshot.objects.update(enqueued_at=timezone.now() - timedelta(minutes=1))
    claims.wake(RESULTS_QUEUE)
    assert messages == 2 * [("snapshot_compute_due", row.pk)]
    # The place is taken: the message waits for it in the queue, and there is no other.
    Snapshot.objects.update(enqueued_at=timezone.now() - timedelta(minutes=1))
    (other,) = due(make_study(title="other"), 1)
    Snapshot.objects.filter(pk=other.pk).update(
        claim=uuid.uuid4(), worker="m:1:a", state=State.RUNNING
    )
    claims.wake(RESULTS_QUEUE)
    assert len(messages) == 2


def test_studies_take_turns_whatever_the_first_asks_for(messages):
    places(3)
    first, second, third = (make_study(title=f"study {n}") for n in range(3))
    many = due(first, 9, minutes_ago=5)
    (one,), (other,) = due(second, 1, minutes_ago=2), due(third, 1)
    claims.wake(RESULTS_QUEUE)
    assert [pk for _, pk in messages] == [many[0].pk, one.pk, other.pk]
    Snapshot.objects.filter(pk=many[0].pk).update(
        claim=uuid.uuid4(), worker="m:1:a", state=State.RUNNING
    )
    Snapshot.objects.filter(pk__in=[one.pk, other.pk]).update(state=State.READY)
    (late,) = due(third, 1)
    messages.clear()
    places(2)
    claims.wake(RESULTS_QUEUE)
    assert [pk for _, pk in messages] == [late.pk]


def test_an_export_is_next_in_turn_whatever_results_wait(messages):
    study = labelled_study()
    places(1)
    due(study, 9, minutes_ago=5)
    claims.wake(RESULTS_QUEUE)
    messages.clear()
    job = export_request(study=study, content="jsonl", with_names=False, by=UserFactory())
    Snapshot.objects.filter(enqueued_at__isnull=False).update(state=State.READY, enqueued_at=None)
    claims.wake(RESULTS_QUEUE)
    assert messages == [("export_write", job.pk)]


def test_what_has_ended_takes_no_place(messages):
    """An export keeps its claim, which its file is named by."""
    study = labelled_study()
    places(1)
    job = export_request(study=study, content="jsonl", with_names=False, by=UserFactory())
    ExportJob.objects.update(state="ready", claim=uuid.uuid4(), worker="m:1:a", enqueued_at=None)
    (row,) = due(study, 1)
    claims.wake(RESULTS_QUEUE)
    assert messages == [("export_write", job.pk), ("snapshot_compute_due", row.pk)]


def test_of_three_hundred_filters_those_beyond_the_limit_are_refused(messages):
    study = labelled_study()
    asked = [
        Filters(min_tokens=tokens, layer_from=0, layer_to=layer)
        for tokens in range(1, 31)
        for layer in range(10)
    ]
    for filters in asked[: services.MOST_DUE]:
        services.snapshot_request(study=study, filters=filters)
    for filters in asked[services.MOST_DUE :]:
        with pytest.raises(Invalid, match="10 results of this study wait"):
            services.snapshot_request(study=study, filters=filters)
    assert Snapshot.waiting().count() == services.MOST_DUE
    assert len(messages) <= services.MOST_DUE
    services.snapshot_request(study=study)  # the study's own are never refused
    export_request(study=study, content="jsonl", with_names=False, by=UserFactory())
    assert ExportJob.waiting().count() == 1


def test_a_filter_that_was_asked_for_again_replaces_the_one_of_older_data(messages):
    study = labelled_study()
    filters = Filters(min_tokens=3)
    first = services.snapshot_request(study=study, filters=filters)
    type(study).objects.update(other_changes=100)
    second = services.snapshot_request(study=study, filters=filters)
    assert list(Snapshot.waiting()) == [second]
    assert first != second


def test_what_a_dead_worker_held_waits_again_three_times():
    study = make_study()
    (row,) = due(study, 1)
    for attempt in range(1, claims.MOST_ATTEMPTS + 1):
        assert claims.claim(Snapshot.waiting(), row.pk, state=State.RUNNING).attempts == attempt
        running = Snapshot.objects.filter(state=State.RUNNING)
        assert list(claims.give_back(running, state=State.DUE)) == []
        Snapshot.objects.update(heartbeat_at=timezone.now() - 2 * claims.DEAD_AFTER)
        again = list(claims.give_back(running, state=State.DUE))
        assert again == ([row] if attempt < claims.MOST_ATTEMPTS else [])
    row.refresh_from_db()
    assert (row.state, row.claim) == (State.FAILED, None)
    assert "3 times in a row" in row.error
