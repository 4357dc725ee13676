"""Who is told of what, once, and what becomes of it."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.monitoring import events
from annotation_site.annotation.people.joining import person_erase
from annotation_site.corpus import services as corpus
from annotation_site.corpus.models import Extraction
from annotation_site.notices.kinds import KINDS
from annotation_site.notices.models import Notice
from annotation_site.notices.selectors import notices_over, unread_count
from annotation_site.notices.services import MOST, kinds_choose, notice_send
from annotation_site.operations.tidy import tidy
from annotation_site.results.files import jobs
from annotation_site.results.files.deletion import study_delete
from annotation_site.results.models import ExportJob
from annotation_site.sentences import Sentence
from annotation_site.workers.claims import ClaimLost, claim
from ffn_extract.options import ExtractOptions
from tests.annotation_site.factories import UserFactory, client_of, make_study, submit

pytestmark = pytest.mark.django_db


def told(user) -> list[str]:
    return [str(notice.text) for notice in user.notices.order_by("pk")]


def researcher_of(study):
    return study.memberships.get(role=Membership.Role.RESEARCHER).user


def tell(people, *, kind="study_finished", event="e", study=None):
    notice_send(
        kind=kind,
        event=event,
        people=[person.pk for person in people],
        text=Sentence("It happened."),
        path="/",
        study=study,
    )


def test_the_same_event_is_told_once_and_never_to_annotators_or_people_who_left():
    rosa, root = UserFactory(role=Role.RESEARCHER), UserFactory(role=Role.ADMIN)
    ada, gone = UserFactory(), UserFactory(role=Role.ADMIN, is_active=False)
    for _ in range(2):
        tell([rosa, root, ada, gone])
        tell([rosa, root, ada, gone], kind="extraction_ready", event="for admins")
    assert [told(person) for person in (rosa, root, ada, gone)] == [
        ["It happened."], ["It happened."] * 2, [], [],
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_switched_off_on_the_account_page(kind):
    root = UserFactory(role=Role.ADMIN)
    client = client_of(root)
    others = [name for name in KINDS if name != kind]
    assert client.post("/notices/kinds/", {"kind": others}).status_code == 302
    page = client.get("/account/").content.decode()
    assert f'value="{kind}">' in page
    assert page.count(" checked>") == len(KINDS) - 1
    for name in KINDS:
        tell([root], kind=name, event=name)
    assert set(root.notices.values_list("kind", flat=True)) == set(others)


def test_annotators_see_neither_the_page_nor_the_switches():
    client = client_of(UserFactory())
    assert client.get("/notices/").status_code == 403
    assert "notices" not in client.get("/account/").content.decode().lower()


def test_the_header_counts_what_is_unread_and_the_page_marks_and_opens_it():
    rosa = UserFactory(role=Role.RESEARCHER)
    client = client_of(rosa)
    assert "unread" not in client.get("/account/").content.decode()
    tell([rosa], event="a")
    tell([rosa], event="b")
    assert '<b class="unread">2' in client.get("/account/").content.decode()
    notice = rosa.notices.first()
    assert client.post(f"/notices/{notice.public_id}/").headers["Location"] == "/"
    assert unread_count(rosa) == 1
    assert client.post("/notices/read/").status_code == 302
    assert unread_count(rosa) == 0
    other = client_of(UserFactory(role=Role.RESEARCHER))
    assert other.post(f"/notices/{notice.public_id}/").status_code == 404


def test_somebody_who_is_an_admin_no_more_sees_no_admins_notices():
    root = UserFactory(role=Role.ADMIN)
    tell([root], kind="extraction_failed")
    root.role = Role.RESEARCHER
    root.save()
    assert "It happened." not in client_of(root).get("/notices/").content.decode()
    assert unread_count(root) == 0


def test_an_extraction_tells_its_requester_that_it_is_ready_and_admins_that_it_failed(tmp_path):
    root, other = UserFactory.create_batch(2, role=Role.ADMIN)
    extraction = corpus.extraction_enqueue(
        model_source="gpt2", options=ExtractOptions(), requested_by=root
    )
    for _ in range(2):  # a failure that is tried again is told again
        claimed = corpus.extraction_claim(extraction_id=extraction.pk)
        corpus.extraction_fail(claimed, "The disk is full. Make room.")
        corpus.extraction_fail(claimed, "The disk is full. Make room.")
        corpus.extraction_retry(extraction=extraction)
    failed = "The extraction “gpt2, 10 per layer” failed. The disk is full. Make room."
    assert told(root) == told(other) == [failed, failed]
    Extraction.objects.filter(pk=extraction.pk).update(state="failed")
    corpus.extraction_delete(extraction=extraction)
    assert told(root) == []


def test_a_file_is_told_of_when_it_is_written_or_failed_and_only_by_the_holder_of_the_claim(
    monkeypatch,
):
    study = make_study()
    rosa = researcher_of(study)
    job = jobs.export_request(study=study, content="jsonl", with_names=False, by=rosa)
    jobs.export_run(job_id=job.pk)
    jobs.export_run(job_id=job.pk)  # a message that came twice
    assert told(rosa) == ["Labels as JSON Lines of “A study” can be downloaded."]
    job = jobs.export_request(study=study, content="jsonl", with_names=False, by=rosa)
    lost = claim(ExportJob.waiting(), job.pk, state="running")
    ExportJob.objects.filter(pk=job.pk).update(claim=None, state="due")
    jobs._fail(lost, "It cannot be.")
    assert len(told(rosa)) == 1
    mine = claim(ExportJob.waiting(), job.pk, state="running")
    jobs._fail(mine, "It cannot be.")
    assert told(rosa)[1:] == ["Labels as JSON Lines of “A study” could not be written."]
    with pytest.raises(ClaimLost):
        jobs._write(lost)
    assert len(told(rosa)) == 2


def test_a_study_is_finished_once_every_list_has_its_annotations():
    study = make_study()
    rosa = researcher_of(study)
    own = list(Assignment.objects.filter(item__study=study, purpose="annotation"))
    for assignment in own[:-1]:
        submit(assignment)
    events.tell_of_finished_studies()
    assert told(rosa) == []
    submit(own[-1])
    cache.clear()
    for _ in range(2):
        events.study_events_sweep()
    assert told(rosa) == [f"All {len(own)} annotations of “A study” are submitted."]


def test_an_annotator_who_has_stopped_or_not_passed_is_told_of_once():
    study = make_study(training_lists=1, training_pass_percent=100)
    rosa = researcher_of(study)
    ada, bob = (m.user for m in study.memberships.filter(role="annotator").order_by("pk"))
    own = Assignment.objects.filter(membership__user=ada, purpose="training").get()
    submit(own)  # without a pattern, where the reference has one
    own.refresh_from_db()
    assert own.reference_score is not None
    events.tell_of_failed_training()
    events.tell_of_failed_training()
    stuck = f"{ada} did not pass the training of “A study” and waits for you to let them in."
    assert told(rosa) == [stuck]
    long_ago = timezone.now() - timedelta(days=9)
    first = Assignment.objects.filter(membership__user=bob).order_by("position").first()
    Assignment.objects.filter(pk=first.pk).update(opened_at=long_ago)
    bobs = Membership.objects.filter(user=bob)
    bobs.update(
        away_since=long_ago + timedelta(days=8), at_work_since=long_ago, consented_at=long_ago
    )
    study.memberships.filter(user=ada).update(
        away_since=timezone.now(), at_work_since=timezone.now()
    )  # whose lists a researcher released
    events.tell_of_idle_annotators()
    events.tell_of_idle_annotators()
    assert told(rosa)[1:] == [
        f"{bob} has done nothing in “A study” for 8 days, so others got their lists."
    ]
    Study.objects.filter(pk=study.pk).update(state="closed")
    bobs.update(away_since=timezone.now())
    events.tell_of_idle_annotators()
    assert len(told(rosa)) == 2
    person_erase(person=bob, by=UserFactory.create_batch(2, role=Role.ADMIN)[0])
    assert told(rosa) == [stuck]


def test_notices_go_with_the_person_the_study_and_in_time():
    study = make_study()
    rosa = researcher_of(study)
    root = UserFactory.create_batch(2, role=Role.ADMIN)[0]
    kinds_choose(user=rosa, wanted=["study_finished"])
    tell([rosa, root], study=study)
    tell([rosa, root], event="of no study")
    Study.objects.filter(pk=study.pk).update(state="closed")
    study.refresh_from_db()
    study_delete(study=study, by=rosa)
    assert list(Notice.objects.values_list("event", flat=True)) == ["of no study"] * 2
    person_erase(person=rosa, by=root)
    assert [notice.user for notice in Notice.objects.all()] == [root]
    Notice.objects.update(created_at=timezone.now() - timedelta(days=61))
    assert tidy(dry_run=True)["notices"] == ["1 notices"]
    tidy()
    assert not Notice.objects.exists()


def test_the_oldest_of_too_many_notices_go_first():
    rosa, root = UserFactory(role=Role.RESEARCHER), UserFactory(role=Role.ADMIN)
    Notice.objects.bulk_create(
        Notice(user=rosa, kind="study_finished", event=str(n), text=Sentence("x"), path="/")
        for n in range(MOST + 2)
    )
    tell([root])
    over = notices_over(timezone.now() - timedelta(days=60), MOST)
    assert sorted(over.values_list("event", flat=True)) == ["0", "1"]


def test_the_page_of_notices_takes_few_queries(django_assert_max_num_queries):
    rosa = UserFactory(role=Role.RESEARCHER)
    for n in range(30):
        tell([rosa], event=str(n))
    client: Client = client_of(rosa)
    # session, person, number of notices, those of the page, unread ones
    with django_assert_max_num_queries(5):
        page = client.get("/notices/").content.decode()
    assert page.count("It happened.") == 50  # as a fact, and in the button's name
    assert "Page 1 of 2" in page
