"""The payment table: a row and a reason for everybody, as page, file and API; ids go in time."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.crowd import joining
from annotation_site.annotation.crowd.models import CrowdParticipant
from annotation_site.annotation.crowd.payment import STATES, payments
from annotation_site.annotation.models import Membership
from annotation_site.annotation.people.joining import person_deactivate, person_erase
from annotation_site.operations.tidy import participant_ids
from tests.annotation_site.annotation.crowd.people import (
    CHECK,
    WRONG,
    agree,
    annotate,
    joined,
    make_link,
    open_lists,
    participant,
    start,
    work,
)
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.clock import Clock
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_study,
    researcher_of,
    text_of,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(NOW)
    monkeypatch.setattr(timezone, "now", clock)
    return clock


@pytest.fixture
def study(clock):
    study = make_study(annotators=1, annotators_per_list=1)
    study.memberships.get(role="annotator").assignments.all().delete()
    Membership.objects.filter(study=study, role="annotator").update(removed_at=NOW)
    return study


def states(study):
    return [row.state for row in payments(study)]


def test_every_state_has_a_sentence_and_each_row_is_in_one(study, clock):
    link = make_link(study, questions=CHECK, most_lists=1, preset="other", parameter="id")
    admin = UserFactory(role=Role.ADMIN)

    def came(n: int) -> Client:
        return joined(link, id=f"p{n}")

    erased, left, complete, removed, _working, finished, away = (came(n) for n in range(7))
    person_erase(person=participant(erased).membership.user, by=admin)
    left.post(f"/studies/{study.slug}/withdraw/")
    for client in (complete, finished):
        work(client)
    complete.get("/part/done/")
    person_deactivate(person=participant(removed).membership.user, by=admin)
    failed = Client()
    start(failed, link, id="p7")
    agree(failed, study)
    for _ in range(2):
        failed.post("/part/check/", WRONG)
    joining.participation_end(participant=participant(away))
    consent, check = Client(), Client()
    start(consent, link, id="p8")
    start(check, link, id="p9")
    agree(check, study)
    for _ in range(7):  # the study's other lists
        other = joined(make_link(study, most_lists=1))
        work(other)
        other.get("/part/done/")
    rows = {row.participant.outside_id or row.pseudonym: row for row in payments(study)}
    rows = {name: row for name, row in rows.items() if row.participant.link_id == link.pk}
    told = {row.state: row.sentence for row in rows.values()}
    assert told == {
        "erased": "The person was erased after 0 submitted lists.",
        "left": "The participant left the study after 0 submitted lists; no code was shown.",
        "complete": "The participant finished with 1 submitted list and was shown the completion "
        "page.",
        "removed": "A researcher or an admin ended this part after 0 submitted lists.",
        "working": "The participant is at work: 0 submitted lists, 1 left.",
        "finished": "All lists are done, 1 submitted list; the completion page has not been opened "
        "yet.",
        "failed check": "The comprehension check was failed, so no lists were given.",
        "away": "The participant stayed away for 24 hours after 0 submitted lists; unopened lists "
        "went to others, and no code was shown.",
        "consent": "The participant joined and has not agreed to the consent text yet.",
        "check": "The participant has not finished the comprehension check yet.",
    }
    assert set(told) == set(STATES) - {"no lists"}
    assert len(rows) == 10


def test_somebody_for_whom_no_list_was_left_is_told_apart(study):
    link = make_link(study, most_lists=12)
    waiting = Client()
    start(waiting, link)
    work(joined(link))
    agree(waiting, study)
    assert states(study) == ["no lists", "finished"]
    waiting.get("/part/done/")
    assert states(study) == ["complete", "finished"]


def test_the_file_has_everything_that_payment_depends_on(study, clock):
    link = make_link(
        study, preset="prolific", questions=CHECK, completion_code="CODE-1", most_lists=1,
        name="=wave 1",
    )  # fmt: skip
    first = joined(link, PROLIFIC_PID="p1", STUDY_ID="s", SESSION_ID="x")
    clock.after(minutes=3)
    annotate(first, open_lists(first)[0], seconds=0)
    first.get("/part/done/")
    second = joined(link, PROLIFIC_PID="p1")
    names = [participant(client).membership.user.username for client in (first, second)]
    client = client_of(researcher_of(study))
    response = client.get(f"/studies/{study.slug}/payment.csv?link={link.public_id}")
    assert response["Content-Disposition"] == f'attachment; filename="{study.slug}-payment.csv"'
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    header, *rows = list(csv.reader(io.StringIO(text)))
    assert header == [
        "link", "participant_id", "study_id", "session_id", "pseudonym", "joined_at",
        "lists_submitted", "lists_skipped", "active_seconds", "check", "check_attempts", "code",
        "completed_at", "state", "explanation", "flags",
    ]  # fmt: skip
    assert rows == [
        ["'=wave 1", "p1", "s", "x", names[0], "2026-03-02T09:00:00+00:00", "1", "0", "0",
         "passed", "1", "CODE-1", "2026-03-02T09:03:00+00:00", "complete",
         "The participant finished with 1 submitted list and was shown the completion page.", ""],
        ["'=wave 1", "p1", "", "", names[1], "2026-03-02T09:03:00+00:00", "0", "0", "0",
         "passed", "1", "", "", "working",
         "The participant is at work: 0 submitted lists, 1 left.",
         "The participant id came from another browser before."],
    ]  # fmt: skip
    logged = AuditEntry.objects.get(action="exported")
    assert logged.details == {"table": "payment", "format": "csv"}
    assert client.get(f"/studies/{study.slug}/payment.doc").status_code == 404


def test_the_page_shows_the_rows_their_sum_and_hints_that_reject_nothing(study, clock):
    link = make_link(study, preset="other", parameter="id", most_lists=6)
    client = client_of(researcher_of(study))
    page = f"/studies/{study.slug}/payment/"
    assert "Nobody has joined yet" in text_of(client.get(page))
    person = joined(link, id="p1")
    joined(link, id="p1")
    for public_id in open_lists(person):
        clock.after(seconds=5)
        annotate(person, public_id, seconds=2)
    shown = text_of(client.get(page))
    assert "2 participants: 1 working, 1 finished." in shown
    assert "Very fast: the median of the last 6 lists is" in shown
    assert "This is a hint only; nothing is rejected." in shown
    other = make_link(study)
    assert "Nobody has joined yet" in text_of(client.get(f"{page}?link={other.public_id}"))
    assert client.get(f"{page}?link=x").status_code == 404


def test_a_script_reads_the_same_table_with_the_scope_read_alone(study):
    link = make_link(study, preset="other", parameter="id", most_lists=1)
    client = joined(link, id="p1")
    work(client)
    client.get("/part/done/")
    researcher = researcher_of(study)
    url = f"/api/studies/{study.slug}/payments"
    (row,) = bearer(researcher, "read").get(url).json()["results"]
    one = participant(client)
    assert {name: row[name] for name in (
        "person", "pseudonym", "link", "participant_id", "submitted", "code", "state", "hints",
    )} == {
        "person": str(one.membership.user.public_id),
        "pseudonym": one.membership.user.username,
        "link": str(link.public_id),
        "participant_id": "p1",
        "submitted": 1,
        "code": link.completion_code,
        "state": "complete",
        "hints": [],
    }  # fmt: skip
    assert bearer(researcher, "annotate").get(url).status_code == 403


def test_ids_go_after_the_set_number_of_days_and_the_rows_stay(study, clock):
    short = make_link(study, preset="other", parameter="id", keep_days=10, most_lists=1)
    long = make_link(study, preset="prolific", keep_days=100, most_lists=1)
    joined(short, id="p1")
    joined(long, PROLIFIC_PID="p2", STUDY_ID="s")

    def ids() -> list[str]:
        return list(CrowdParticipant.objects.order_by("pk").values_list("outside_id", flat=True))

    clock.after(days=9.9)
    assert participant_ids(dry_run=False) == []
    clock.after(days=0.2)
    assert participant_ids(dry_run=True) == ["1 participant ids"]
    assert ids() == ["p1", "p2"]
    assert participant_ids(dry_run=False) == ["1 participant ids"]
    assert ids() == ["", "p2"]
    clock.after(days=90)
    participant_ids(dry_run=False)
    rows = CrowdParticipant.objects.order_by("pk")
    assert [(row.outside_id, row.other_ids) for row in rows] == [("", {}), ("", {})]
    assert [row.ids_erased_at for row in rows] == [NOW + timedelta(days=10.1), clock.now]
    assert len(payments(study)) == 2


def test_ids_go_with_an_erased_person(study):
    link = make_link(study, preset="prolific", most_lists=1)
    one = participant(joined(link, PROLIFIC_PID="p1", SESSION_ID="x"))
    person_erase(person=one.membership.user, by=UserFactory(role=Role.ADMIN))
    one.refresh_from_db()
    assert (one.outside_id, one.other_ids) == ("", {})
    assert states(study) == ["erased"]
