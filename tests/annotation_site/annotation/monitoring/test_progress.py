"""The page of a study under way: what it counts, and what its buttons do."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry
from annotation_site.annotation.models import Assignment, Study
from annotation_site.annotation.monitoring.progress import flags_by_person, study_progress
from annotation_site.annotation.monitoring.records import lists_by_id
from annotation_site.annotation.work import submissions
from annotation_site.exact_words import exact
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    make_extraction,
    make_study,
    pattern,
)

pytestmark = pytest.mark.django_db
State = Assignment.State


def own_lists(study, user):
    return list(
        Assignment.objects.filter(item__study=study, membership__user=user)
        .select_related("item", "membership__user")
        .order_by("position")
    )


def submit(row, content, seconds=0):
    row.refresh_from_db()
    done = submissions.assignment_submit(
        user=row.membership.user,
        public_id=row.public_id,
        base_version=row.draft_version,
        key=uuid.uuid4(),
        annotation=content,
        active_seconds=0,
    )
    Assignment.objects.filter(pk=done.pk).update(active_seconds=seconds)


def skip(row, reason):
    submissions.assignment_skip(
        user=row.membership.user,
        public_id=row.public_id,
        base_version=0,
        key=uuid.uuid4(),
        reason=reason,
    )


@pytest.fixture
def study():
    """Two people, twelve lists for both: ada has done three and skipped one, ben has done one."""
    ada, ben = UserFactory(username="ada"), UserFactory(username="ben")
    study = make_study(people=[ada, ben])
    adas = own_lists(study, ada)
    for row, seconds in zip(adas[:3], (10, 40, 60), strict=True):
        submit(row, answer(pattern(1, [1, 2, 3, row.position + 4])), seconds)
    skip(adas[3], "Too hard")
    same = next(row for row in own_lists(study, ben) if row.item_id == adas[0].item_id)
    submit(same, answer(), 30)
    return study


def client_of_researcher(study):
    return client_of(study.memberships.get(role="researcher").user)


def test_progress_counts_answers_lists_times_and_what_is_left(study):
    found = study_progress(study)
    assert (found.lists, found.slots, found.done) == (12, 24, 4)
    assert found.annotated == [(0, 9), (1, 2), (2, 1)]
    assert found.median_seconds == 35
    ada, ben = found.people
    assert (ada.membership.user.username, ben.membership.user.username) == ("ada", "ben")
    assert (ada.work.done, ada.work.left, ada.work.skipped, ada.work.expired) == (3, 8, 1, 0)
    assert (ada.work.active_seconds, ada.work.median_seconds) == (110, 40)
    assert (ben.work.done, ben.work.left, ben.work.median_seconds) == (1, 11, 30)
    assert ada.training is None
    assert not ada.can_be_let_in


def test_repeated_lists_are_counted_beside_the_slots(study):
    row = Assignment.objects.filter(state=State.SUBMITTED, membership__user__username="ada").first()
    Assignment.objects.filter(pk=row.pk).update(purpose=Assignment.Purpose.REPEAT)
    ada = study_progress(study).people[0].work
    assert (ada.done, ada.in_slots, ada.beside) == (3, 2, 1)
    page = client_of_researcher(study).get(f"/studies/{study.slug}/run/").content.decode()
    assert '>2</a> <span class="soft">+ 1</span>' in page
    assert "submitted lists that fill no slot" in page


def test_a_study_without_work_has_no_median_and_no_moment(study):
    found = study_progress(make_study())
    assert found.median_seconds is None
    assert [person.work.last_at for person in found.people] == [None, None]


def test_the_number_of_queries_grows_with_neither_people_nor_lists(study):
    def queries(of):
        with CaptureQueriesContext(
            connection,
        ) as counted:
            study_progress(of)
            flags_by_person(of)
        return len(counted)

    large = make_study(annotators=9, extraction=make_extraction(per_layer=8))
    waiting = Assignment.objects.filter(item__study=large, state=State.WAITING).order_by("pk")
    for _ in range(60):  # asked for anew: rows move when somebody finishes
        submit(waiting.select_related("membership__user")[0], answer(pattern(1, [1, 2, 3, 4])), 3)
    # Lists by use, people, answers by list, work, cut time; of the shares: everybody's, lists,
    # slots, and why they are uneven (two); people, recent answers and what they said, times.
    assert queries(large) in (12, 14)
    assert queries(study) in (12, 14)


def test_lists_are_told_with_their_answers_and_the_reasons_of_skips(study):
    adas = own_lists(study, study.memberships.get(user__username="ada").user)
    first, skipped = lists_by_id(study, [adas[0].item_id, adas[3].item_id])
    assert (first["annotations"], first["working"], first["reasons"]) == (2, 0, [])
    assert (skipped["annotations"], skipped["reasons"]) == (0, ["Too hard"])
    kinds = [adas[n].item.vector.kind for n in (0, 3)]
    assert [first["kind"], skipped["kind"]] == kinds


def test_hurried_work_is_named_and_nothing_is_rejected(study):
    ben = study.memberships.get(user__username="ben").user
    rest = [row for row in own_lists(study, ben) if row.state == State.WAITING]
    for row in rest[:6]:
        submit(row, answer(pattern(1, [5, 6, 7, 8])), 2)
    ((member, flags),) = flags_by_person(study)
    assert member.user == ben
    assert [flag.kind for flag in flags] == ["fast", "identical"]
    assert "6 lists in a row" in flags[1].sentence
    page = client_of_researcher(study).get(reverse("annotation:flags", args=[study.slug]))
    assert "nothing is rejected" in page.content.decode()
    assert study_progress(study).done == 10


def test_the_page_renews_itself_only_when_something_changed(study, monkeypatch):
    client = client_of_researcher(study)
    url = reverse("annotation:progress", args=[study.slug])
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    shown = client.get(url).context["shown"]
    assert client.get(url, {"have": shown}).status_code == 204
    now += timedelta(minutes=1)  # "3 minutes ago" is wrong by now
    assert client.get(url, {"have": shown}).status_code == 200
    shown = client.get(url).context["shown"]
    ben = study.memberships.get(user__username="ben").user
    submit(next(row for row in own_lists(study, ben) if row.state == State.WAITING), answer())
    renewed = client.get(url, {"have": shown})
    assert renewed.status_code == 200
    assert "5 of 24 annotations" in renewed.content.decode()


def test_releasing_says_how_many_lists_went_to_others():
    ada = UserFactory(username="ada")
    people = [ada, *UserFactory.create_batch(2)]
    study = make_study(people=people, annotators_per_list=2)
    waiting = [row for row in own_lists(study, ada) if row.state == State.WAITING]
    submit(waiting[0], answer())
    client = client_of_researcher(study)
    url = reverse("annotation:release", args=[study.slug, ada.public_id])
    page = client.post(url, follow=True).content.decode()
    n = len(waiting) - 1
    assert f"{n} unopened lists of {exact('ada')} are released. Given to others: {n}." in page
    states = [row.state for row in own_lists(study, ada)]
    assert states.count(State.SUBMITTED) == 1
    assert State.WAITING not in states
    assert study_progress(study).slots == 24
    held = Assignment.objects.filter(item__study=study, state__in=Assignment.LIVE)
    assert held.count() == 24
    entry = AuditEntry.objects.get(action="lists_released")
    assert entry.details["lists"] == n
    assert "no unopened list left" in client.post(url, follow=True).content.decode()


def test_lists_that_nobody_else_can_take_wait_and_the_page_says_so(study):
    ada = study.memberships.get(user__username="ada").user
    url = reverse("annotation:release", args=[study.slug, ada.public_id])
    page = client_of_researcher(study).post(url, follow=True).content.decode()
    assert "8 unopened lists of" in page
    assert "Given to others: 0. Waiting for somebody who can take them: 8." in page


def test_somebody_whose_training_failed_can_be_let_in(study):
    Study.objects.filter(pk=study.pk).update(training_pass_percent=70)
    ada = study.memberships.get(user__username="ada")
    item = study.items.exclude(pk__in=ada.assignments.values("item")).first() or study.items.first()
    study.items.filter(pk=item.pk).update(use="training")
    ada.assignments.filter(item=item).delete()
    ada.assignments.create(
        item=item, position=99, purpose="training", state="submitted", reference_score=0.5
    )
    client = client_of_researcher(study)
    page = client.get(reverse("annotation:run", args=[study.slug])).content.decode()
    assert "below 70%" in page
    client.post(reverse("annotation:let_in", args=[study.slug, ada.user.public_id]))
    ada.refresh_from_db()
    assert ada.training_waived_at is not None
    assert AuditEntry.objects.filter(action="training_waived").count() == 1
    assert (
        "Let in<" not in client.get(reverse("annotation:run", args=[study.slug])).content.decode()
    )


def test_a_study_without_people_says_what_to_do_next(study):
    Assignment.objects.filter(item__study=study).delete()
    study.memberships.filter(role="annotator").delete()
    page = client_of_researcher(study).get(reverse("annotation:run", args=[study.slug]))
    assert "Nobody is in this study yet" in page.content.decode()
