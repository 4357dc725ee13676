"""What one person may repeat in a minute by pages, and on a day at all."""

import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from annotation_site.accounts import invitations, throttling
from annotation_site.accounts.models import AuditEntry, Invitation, RequestKey, Role
from annotation_site.annotation import selectors
from annotation_site.annotation.models import Assignment, Guidelines, Study
from annotation_site.annotation.people import consent
from annotation_site.annotation.studies import services as studies
from annotation_site.annotation.work import submissions
from annotation_site.annotation.work.worked_time import MOST_A_DAY
from annotation_site.api import once
from annotation_site.corpus import importing, services
from annotation_site.errors import Invalid
from annotation_site.results.files import jobs
from annotation_site.results.models import ExportJob
from ffn_extract.options import ExtractOptions
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_draft,
    make_extraction,
    make_study,
    submission,
)

pytestmark = pytest.mark.django_db
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def minute(monkeypatch, settings) -> SimpleNamespace:
    """Three writes a minute, which does not end by itself."""
    cache.clear()
    settings.WRITES_PER_MINUTE = 3
    at = SimpleNamespace(now=time.time() // throttling.WINDOW * throttling.WINDOW + 20)
    monkeypatch.setattr(throttling, "time", SimpleNamespace(time=lambda: at.now))
    return at


def save(client: Client, assignment: Assignment, version: int):
    return client.put(
        f"/api/lists/{assignment.public_id}/draft",
        {"base_version": version, "content": {}, "active_seconds": 0},
        content_type="application/json",
    )


def test_what_a_session_changes_by_api_and_pages_is_counted_together(minute):
    assignment = assignment_of(make_study())
    client = client_of(assignment.membership.user)
    assert [save(client, assignment, n).status_code for n in range(3)] == [200, 200, 200]
    refused = save(client, assignment, 3)
    assert refused.status_code == 429
    assert refused["Retry-After"] == "40"
    assert refused.json()["error"]["code"] == "too_many_requests"
    assert "Wait 40 seconds" in refused.json()["error"]["message"]
    page = client.post(f"/studies/{assignment.item.study.slug}/withdraw/")
    assert (page.status_code, page["Retry-After"]) == (429, "40")
    assert "Wait 40 seconds" in page.content.decode()
    assignment.refresh_from_db()
    assert (assignment.draft_version, assignment.membership.withdrawn_at) == (3, None)
    assert client.get(f"/lists/{assignment.public_id}/").status_code == 200  # reading goes on
    other = assignment.item.study.memberships.exclude(user=assignment.membership.user).first()
    assert client_of(other.user).post("/account/tokens/new/", {}).status_code != 429
    minute.now += 40
    assert save(client, assignment, 3).status_code == 200


def test_a_second_session_of_the_same_person_has_no_minute_of_its_own(minute):
    assignment = assignment_of(make_study())
    clients = [client_of(assignment.membership.user) for _ in range(2)]
    statuses = [save(clients[n % 2], assignment, n).status_code for n in range(4)]
    assert statuses == [200, 200, 200, 429]


def test_nothing_is_counted_for_a_form_of_another_site(minute):
    client = Client(enforce_csrf_checks=True)
    client.force_login(UserFactory())
    statuses = {client.post("/account/tokens/new/", {}).status_code for _ in range(5)}
    assert statuses == {403}
    assert client.get("/account/").status_code == 200


def test_what_only_reads_but_for_the_logs_row_is_counted_too(minute):
    study = make_study()
    client = client_of(study.created_by)
    addresses = (
        f"/studies/{study.slug}/adjudication/adjudicated.jsonl",
        f"/api/studies/{study.slug}/adjudicated.jsonl",
    )  # fmt: skip
    found = [client.get(addresses[n % 2]).status_code for n in range(5)]
    assert found == [200, 200, 200, 429, 429]
    assert AuditEntry.objects.filter(action="exported").count() == 3


def test_the_annotation_page_at_its_fastest_stays_below_the_limit(settings):
    """A save every 400 ms, and the submissions between them."""
    assert settings.WRITES_PER_MINUTE >= 2 * 60_000 / 400


# What has an end on each day


def test_a_text_of_a_study_has_an_end_of_versions_on_one_day(monkeypatch):
    monkeypatch.setattr(consent, "MOST_VERSIONS_A_DAY", 3)
    study = make_draft()

    def change(text: str) -> None:
        consent.study_texts_change(study=study, **{**selectors.texts_of(study), "guidelines": text})

    change("one")
    change("one")  # equal: no version
    change("two")
    with pytest.raises(Invalid, match="times a day, and this one has"):
        change("three")
    assert Guidelines.objects.filter(study=study).count() == 3
    Guidelines.objects.update(created_at=timezone.now() - timedelta(days=1))
    change("three")


def test_invitations_have_an_end_on_one_day(monkeypatch):
    monkeypatch.setattr(invitations, "MOST_A_DAY", 2)
    client = client_of(UserFactory(role=Role.ADMIN))
    form = {"role": "annotator", "uses": 1, "days": 1}
    pages = [client.post("/invitations/new/", form) for _ in range(3)]
    assert [page.status_code for page in pages] == [200, 200, 422]
    assert "the limit for one day" in pages[-1].content.decode()
    assert Invitation.objects.count() == 2


def test_studies_have_an_end_on_one_day(monkeypatch):
    monkeypatch.setattr(studies, "MOST_STUDIES_A_DAY", 2)
    researcher, extraction = UserFactory(role=Role.RESEARCHER), make_extraction()
    for _ in range(2):
        make_draft(researcher=researcher, extraction=extraction)
    with pytest.raises(Invalid, match="the limit for one day"):
        make_draft(researcher=researcher, extraction=extraction)
    assert Study.objects.count() == 2


def test_files_that_a_person_asks_for_have_an_end_on_one_day(monkeypatch):
    """Each is kept for days, so without an end one person could fill the disk."""
    monkeypatch.setattr(jobs, "MOST_A_DAY", 2)
    study = make_study()
    researcher = study.memberships.get(role="researcher").user
    client = client_of(researcher)
    for _ in range(2):
        assert (
            client.post(f"/studies/{study.slug}/exports/", {"content": "jsonl"}).status_code == 302
        )
        ready = {"state": ExportJob.State.READY, "expires_at": timezone.now()}
        ExportJob.objects.update(**ready)  # so that none waits
    refused = client.post(f"/studies/{study.slug}/exports/", {"content": "jsonl"})
    assert refused.status_code == 422
    assert "the limit for one day" in refused.content.decode()
    ExportJob.objects.update(requested_at=timezone.now() - timedelta(days=1))
    assert client.post(f"/studies/{study.slug}/exports/", {"content": "jsonl"}).status_code == 302


def test_models_of_one_person_that_wait_have_an_end_and_others_have_their_turn(
    monkeypatch, made, bundles
):
    monkeypatch.setattr(services, "MOST_UNFINISHED", 2)
    first, second = (UserFactory(role=Role.ADMIN) for _ in range(2))
    options = ExtractOptions(glosses=())

    def ask(by):
        return services.extraction_enqueue(model_source="a/b", options=options, requested_by=by)

    rows = [ask(first) for _ in range(2)]
    with pytest.raises(Invalid, match="which is the limit for one person"):
        ask(first)
    # An upload keeps files while it waits.
    files = {path.name: path for path in made.iterdir()}
    with (
        importing.upload_staged(files=files) as upload,
        pytest.raises(Invalid, match="which is the limit for one person"),
    ):
        importing.upload_take(upload=upload, by=first)
    ask(second)
    ask(None)  # by command
    services.extraction_cancel(extraction=rows[0])
    ask(first)


def test_idempotency_keys_have_an_end_on_one_day_and_known_ones_work(monkeypatch):
    monkeypatch.setattr(once, "MOST_A_DAY", 2)
    client = bearer(UserFactory(role=Role.RESEARCHER))
    plan = {"title": "Once", "extractions": [str(make_extraction().public_id)]}

    def ask(key: str) -> int:
        headers = {"Idempotency-Key": key}
        return client.post("/api/studies", plan, format="json", headers=headers).status_code

    assert [ask(key) for key in ("a", "b", "c", "a")] == [201, 201, 422, 201]
    assert RequestKey.objects.count() == Study.objects.count() == 2


def test_submissions_of_one_list_go_on_after_the_day(monkeypatch):
    """The day's number is tested in test_submissions; here, what the page hears of it."""
    monkeypatch.setattr(submissions, "MOST_REVISIONS_A_DAY", 1)
    assignment = assignment_of(make_study())
    client = client_of(assignment.membership.user)

    def submit(comment: str):
        return client.post(
            f"/api/lists/{assignment.public_id}/submit",
            submission(assignment, answer(comment=comment)),
            content_type="application/json",
        )

    assert submit("a").status_code == 200
    refused = submit("b")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "day_is_full")
    assert "kept as a draft" in refused.json()["error"]["message"]


def test_the_documented_numbers_are_those_that_hold(settings):
    def said(name: str) -> str:
        return " ".join((DOCS / name).read_text().split())

    api = said("api.md")
    assert f"are limited to {settings.WRITES_PER_MINUTE}" in api
    assert f"submitted or skipped at most {submissions.MOST_REVISIONS_A_DAY} times" in api
    assert f"a text of a study changed {consent.MOST_VERSIONS_A_DAY} times" in api
    assert (
        f"at most {studies.MOST_STUDIES_A_DAY} studies and {invitations.MOST_A_DAY:,} invitations, "
        f"and send {once.MOST_A_DAY:,} idempotency keys"
    ) in api
    hours = MOST_A_DAY // 3600
    assert f"At most {hours} hours count per day (UTC)" in said("design.md")
    assert f"at most {hours} hours count per day" in said("annotating.md")
