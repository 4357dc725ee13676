"""A clock is set back or ahead: nothing waits for its time, and nothing is done or given twice."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from annotation_site.accounts.models import ApiToken, Role
from annotation_site.accounts.tokens import token_create
from annotation_site.annotation.allocation.slots import leases_sweep
from annotation_site.annotation.models import Assignment, Study
from annotation_site.corpus import sweeps
from annotation_site.corpus.models import Extraction, ExtractionLayer
from annotation_site.results.files import jobs
from annotation_site.results.files.jobs import export_request
from annotation_site.results.models import ExportJob, Snapshot
from annotation_site.results.snapshots import services as results
from annotation_site.workers import claims
from annotation_site.workers.models import Worker
from annotation_site.workers.queues import EXTRACTION_QUEUE, RESULTS_QUEUE
from annotation_site.workers.selectors import workers_alive
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_extraction,
    make_invitation,
    make_study,
    submit,
)

NOW = timezone.now  # as the machine has it
pytestmark = [pytest.mark.xdist_group("faults-workers")]
SET_BACK = timedelta(hours=1)
SET_AHEAD = timedelta(days=1)
Assigned = Assignment.State


@pytest.mark.django_db
def test_work_of_the_dead_is_given_back_though_its_last_sign_of_life_is_in_the_future():
    later = timezone.now() + SET_BACK
    whole, cut = (make_extraction() for _ in range(2))
    Extraction.objects.filter(pk=whole.pk).update(state="running", heartbeat_at=later)
    Extraction.objects.filter(pk=cut.pk).update(state="layers")
    layer = ExtractionLayer.objects.create(
        extraction=cut, layer=0, total=1, state="running", heartbeat_at=later
    )
    study = make_study()
    submit(assignment_of(study))
    researcher = study.memberships.get(role="researcher").user
    job = export_request(study=study, content="jsonl", with_names=False, by=researcher)
    ExportJob.objects.update(state="running", heartbeat_at=later)
    snapshot = results.snapshot_request(study=study)
    Snapshot.objects.update(state="running", heartbeat_at=later, started_at=later)
    for sweep in (sweeps.extractions_sweep, jobs.exports_sweep, results.snapshots_sweep):
        sweep()
    for row in (whole, layer, job, snapshot):
        row.refresh_from_db()
    states = (whole.state, layer.state, job.state, snapshot.state)
    assert states == ("queued", "waiting", "due", "due")


@pytest.mark.django_db
def test_work_of_the_living_is_left_alone_by_clocks_that_differ_a_little():
    for seconds in (-3, 3):
        extraction = make_extraction()
        seen = timezone.now() + timedelta(seconds=seconds)
        Extraction.objects.filter(pk=extraction.pk).update(state="running", heartbeat_at=seen)
        sweeps.extractions_sweep()
        extraction.refresh_from_db()
        assert extraction.state == "running"


@pytest.mark.django_db
def test_what_was_asked_for_in_the_future_is_found_now(monkeypatch):
    sent = []
    monkeypatch.setattr(claims, "send", lambda task, pk: sent.append(pk))
    extraction = make_extraction()
    later = timezone.now() + SET_BACK
    Extraction.objects.filter(pk=extraction.pk).update(
        state="queued", created_at=later, enqueued_at=later
    )
    study = make_study()
    researcher = study.memberships.get(role="researcher").user
    job = export_request(study=study, content="jsonl", with_names=False, by=researcher)
    ExportJob.objects.update(requested_at=later, enqueued_at=later)
    Worker.objects.create(name="m:1:a", seen_at=timezone.now(), tasks_at_once=1)
    for queue in (EXTRACTION_QUEUE, RESULTS_QUEUE):
        claims._wake(queue)
    assert sent == [extraction.pk, job.pk]


@pytest.mark.django_db
def test_a_worker_that_died_before_is_not_shown_as_alive():
    for name, seen in (("dead", SET_BACK), ("alive", timedelta(0))):
        Worker.objects.create(name=name, seen_at=timezone.now() + seen)
    assert [worker.name for worker in workers_alive()] == ["alive"]


@pytest.mark.django_db
def test_fresh_results_do_not_wait_until_the_last_ones_are_past():
    study = make_study()
    submit(assignment_of(study))
    results.snapshot_refresh_now(study=study)
    Snapshot.objects.update(
        started_at=F("started_at") + SET_BACK, finished_at=F("finished_at") + SET_BACK
    )
    submit(assignment_of(study, 2))
    results.snapshots_sweep()
    assert Snapshot.waiting().count() == 1


@pytest.mark.django_db
def test_a_lease_of_the_future_begins_now_and_no_list_is_given_twice():
    study = make_study(annotators=3, annotators_per_list=1)
    opened = assignment_of(study)
    Assignment.objects.filter(pk=opened.pk).update(
        state=Assigned.IN_PROGRESS, opened_at=timezone.now() + SET_BACK
    )
    before = list(Assignment.objects.order_by("pk").values_list("pk", "membership", "item"))
    leases_sweep()
    opened.refresh_from_db()
    assert opened.state == Assigned.IN_PROGRESS
    assert abs(opened.opened_at - timezone.now()) < timedelta(minutes=1)
    assert list(Assignment.objects.order_by("pk").values_list("pk", "membership", "item")) == before

    past = timezone.now() - timedelta(hours=study.lease_hours, minutes=1)
    Assignment.objects.filter(pk=opened.pk).update(opened_at=past)
    leases_sweep()  # it ends as any other
    others = Assignment.objects.filter(item=opened.item, state__in=Assignment.LIVE)
    assert others.exclude(membership=opened.membership).count() == 1
    assert others.count() == 1


@pytest.mark.django_db
def test_an_answer_to_a_list_that_was_opened_in_the_future_counts():
    study = make_study()
    opened = assignment_of(study)
    Assignment.objects.filter(pk=opened.pk).update(
        state=Assigned.IN_PROGRESS, opened_at=timezone.now() + SET_BACK
    )
    submit(opened, answer())
    opened.refresh_from_db()
    assert (opened.state, opened.active_seconds) == (Assigned.SUBMITTED, 0)


@pytest.mark.django_db
def test_tokens_that_were_made_in_the_future_work_and_end():
    user = assignment_of(make_study()).membership.user
    secret = token_create(user=user, name="script", scopes=["read"], days=30)[1]
    ApiToken.objects.update(created=timezone.now() + SET_BACK)
    client = client_of(user)
    client.logout()
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/me", headers=headers).status_code == 200
    ApiToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert client.get("/api/me", headers=headers).status_code == 401


@pytest.fixture
def clock(monkeypatch):
    """Sets this machine's clock so much ahead, or back, of what it is."""

    def set_to(span: timedelta) -> None:
        monkeypatch.setattr(timezone, "now", lambda: NOW() + span)

    return set_to


@pytest.mark.django_db
def test_a_clock_that_jumps_ahead_and_back_gives_work_to_one_worker_at_a_time(clock):
    extraction = make_extraction()
    Extraction.objects.filter(pk=extraction.pk).update(state="queued")

    def claimed() -> Extraction | None:
        return claims.claim(Extraction.waiting(), extraction.pk, state="running")

    first = claimed()
    assert claimed() is None
    clock(SET_AHEAD)  # before its next heartbeat
    sweeps.extractions_sweep()
    second = claimed()
    with pytest.raises(claims.ClaimLost):  # and so it stops, without a trace
        claims.report(first)
    claims.report(second)
    clock(timedelta(0))
    claims.report(second)  # who lives says so again, before any sweep
    sweeps.extractions_sweep()
    extraction.refresh_from_db()
    assert (extraction.state, extraction.attempts) == ("running", 2)
    claims.report(second)
    assert claimed() is None


@pytest.mark.django_db
@pytest.mark.parametrize("span", [-SET_BACK, SET_BACK])
def test_links_sessions_and_repeated_requests_outlast_a_clock_that_jumps(clock, span):
    user = UserFactory(role=Role.RESEARCHER)
    client = client_of(user)
    _, link = make_invitation(days=7)
    secret = token_create(user=user, name="script", scopes=["manage"])[1]
    script = APIClient(HTTP_AUTHORIZATION=f"Bearer {secret}", HTTP_IDEMPOTENCY_KEY="once")
    plan = {"title": "Once", "extractions": [str(make_extraction().public_id)]}
    made = script.post("/api/studies", plan, format="json")
    clock(span)
    again = script.post("/api/studies", plan, format="json")
    assert (made.status_code, again.status_code, again.json()) == (201, 201, made.json())
    assert Study.objects.count() == 1
    assert client.get("/account/").status_code == 200  # still logged in
    assert Client().get(link).status_code == 200
    clock(timedelta(days=8))
    assert Client().get(link).status_code == 404  # it ends at its time, and is over no earlier
    clock(timedelta(0))
    assert Client().get(link).status_code == 200
