"""Unopened slots are shared as people come and go, in the same request, and pages say how."""

from datetime import timedelta

import pytest
from django.db.models import Count
from django.utils import timezone

from annotation_site.annotation.allocation import slots
from annotation_site.annotation.allocation.shares import study_shares
from annotation_site.annotation.lists.page import next_assignment
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.people import consent, members
from annotation_site.annotation.selectors import studies_of, with_annotation_counts
from annotation_site.annotation.studies.rules import study_extend
from tests.annotation_site.annotation.answering import save, skip, submit
from tests.annotation_site.clock import Clock
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    make_extraction,
    make_invitation,
    make_study,
    text_of,
)

pytestmark = pytest.mark.django_db
State = Assignment.State


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock(timezone.now())
    monkeypatch.setattr(timezone, "now", clock)
    return clock


def make(**changes) -> Study:
    """24 lists for two people each."""
    how = {"extraction": make_extraction(per_layer=4), "lists_per_layer": 4, **changes}
    return make_study(**how)


def people_of(study):
    return list(study.memberships.filter(role="annotator").order_by("pk").select_related("user"))


def left(study) -> list[int]:
    """Remaining lists of everybody."""
    shares = study_shares(study)
    return [shares.people[member.pk].remaining for member in people_of(study)]


def per_list(study) -> set[int]:
    rows = slots.slots_held(study.items.all()).order_by().values("item").annotate(n=Count("pk"))
    return set(rows.values_list("n", flat=True))


def finish(member):
    while (row := next_assignment(member.pk)) is not None:
        submit(row, answer())


def test_shares_stay_even_whoever_joins_leaves_or_is_removed():
    study = make(annotators=3)
    assert left(study) == [16, 16, 16]
    members.annotator_add(study=study, user=UserFactory())
    assert left(study) == [12, 12, 12, 12]
    first, second, *_ = people_of(study)
    members.annotator_remove(membership=first, by=study.created_by)
    assert left(study) == [0, 16, 16, 16]
    consent.study_withdraw(membership=second)
    assert left(study) == [0, 0, 24, 24]
    members.annotator_add(study=study, user=first.user)
    assert left(study) == [16, 0, 16, 16]
    assert per_list(study) == {2}


def test_somebody_who_finishes_gets_some_of_what_others_have_left():
    study = make(annotators=3)
    first = people_of(study)[0]
    mine = list(first.assignments.order_by("position"))
    for row in mine[:-1]:
        submit(row, answer())
    assert left(study) == [1, 16, 16]
    submit(mine[-1], answer())
    assert left(study) == [8, 12, 12]  # the first has had all others
    assert per_list(study) == {2}


def test_a_skipped_list_goes_to_somebody_who_has_not_had_it():
    study = make(annotators=3)
    row = people_of(study)[0].assignments.order_by("position").first()
    skip(row)
    others = row.item.assignments.exclude(state=State.SKIPPED)
    assert {other.state for other in others} == {State.WAITING}
    assert {other.membership_id for other in others} == {m.pk for m in people_of(study)[1:]}
    assert max(left(study)) - min(left(study)) <= 1


def test_lists_that_are_added_are_shared_evenly():
    study = make(annotators=3, lists_per_layer=2)
    submit(next_assignment(people_of(study)[0].pk), answer())
    study_extend(study=study, lists_per_layer=4)
    assert max(left(study)) - min(left(study)) <= 1
    assert per_list(study) == {2}


def test_idle_people_lose_what_they_have_not_opened_and_get_a_share_when_they_come_back(clock):
    study = make(annotators=3, idle_days=2)
    idle, busy, other = people_of(study)
    begun = next_assignment(idle.pk)
    save(begun, {"annotation": "half"}, 0)
    clock.after(days=1, hours=20)
    for member in (busy, other):
        submit(next_assignment(member.pk), answer())
    slots.leases_sweep()
    assert left(study) == [16, 15, 15]
    clock.after(hours=6)
    slots.leases_sweep()
    idle.refresh_from_db()
    assert idle.away_since is not None
    assert (left(study)[0], sorted(left(study)[1:])) == (1, [22, 23])
    page = text_of(client_of(study.created_by).get(f"/studies/{study.slug}/people/"))
    assert "away" in page
    home = client_of(idle.user).get("/")
    assert home.status_code == 200
    idle.refresh_from_db()
    assert idle.away_since is None
    assert max(left(study)) - min(left(study)) <= 1
    clock.after(hours=47)
    slots.leases_sweep()  # the days count anew
    idle.refresh_from_db()
    assert idle.away_since is None


@pytest.mark.parametrize("way", ["submit", "next", "page", "api"])
def test_somebody_who_was_released_is_back_with_the_next_thing_they_do(way):
    study = make(annotators=3)
    member = people_of(study)[0]
    begun = next_assignment(member.pk)
    save(begun, {"annotation": "half"}, 0)
    members.assignments_release(membership=member, by=study.created_by)
    assert left(study)[0] == 1
    client = client_of(member.user)
    if way == "submit":
        submit(begun, answer())
    elif way == "next":
        client.get(f"/studies/{study.slug}/next/")
    elif way == "page":
        client.get(f"/studies/{study.slug}/")
    else:
        client.post(f"/api/work/{study.slug}/next", content_type="application/json")
    assert max(left(study)) - min(left(study)) <= 1
    assert per_list(study) == {2}


def test_a_cap_is_kept_and_said():
    study = make(annotators=3)
    crowd = UserFactory(username="crowd")
    newcomer = members.annotator_add(study=study, user=crowd, most_lists=4)
    assert left(study)[-1] == 4
    assert sum(left(study)) == 48
    shares = study_shares(study)
    assert shares.people[newcomer.pk].reason == "Cap: this person gets at most 4 lists."
    consent.consent_give(membership=newcomer, version=0)
    finish(newcomer)
    assert newcomer.assignments.count() == 4
    for path in ("people/", "run/"):
        page = text_of(client_of(study.created_by).get(f"/studies/{study.slug}/{path}"))
        assert "Some annotators have fewer lists left than others:" in page
        assert "crowd</bdi>: 0 lists left. Cap: this person gets at most 4 lists." in page


def test_earlier_work_is_named_where_it_keeps_shares_uneven():
    study = make(annotators=2)
    first, second = people_of(study)
    finish(first)
    shares = study_shares(study)
    assert (shares.people[first.pk].remaining, shares.people[second.pk].remaining) == (0, 24)
    assert shares.people[first.pk].reason == (
        "Earlier work: this person has had the lists that others still have."
    )


def test_opened_lists_are_named_where_they_keep_shares_uneven():
    study = make(annotators=3)
    first, second, third = people_of(study)
    # The second has opened more than two thirds of all lists, and keeps those.
    rows = [
        Assignment(item=item, membership=second, position=900 + n)
        for n, item in enumerate(study.items.exclude(assignments__membership=second))
    ]
    Assignment.objects.bulk_create(rows)
    second.assignments.update(state=State.IN_PROGRESS, opened_at=timezone.now())
    slots.shares_renew(study_id=study.pk)
    assert left(study) == [12, 24, 12]
    reasons = [study_shares(study).people[m.pk].reason for m in (first, second, third)]
    assert reasons[1] == ""
    assert (
        reasons[0]
        == reasons[2]
        == ("Earlier work: the lists that others have left are opened, and stay theirs.")
    )


def test_people_per_list_are_named_where_they_keep_shares_uneven():
    study = make(annotators=2)
    first, second = people_of(study)
    for row in list(first.assignments.order_by("position"))[:20]:
        submit(row, answer())
    done = first.assignments.filter(state="submitted").values("item")
    for row in second.assignments.filter(item__in=done).order_by("position"):
        save(row, {"annotation": "half"}, 0)
    assert left(study) == [4, 24]
    assert study_shares(study).people[first.pk].reason == (
        "People per list: this person has each of these lists already, and every list needs 2 "
        "different people."
    )


def test_different_pace_is_named_until_lists_are_shared_anew():
    study = make(annotators=3)
    first = people_of(study)[0]
    for row in first.assignments.order_by("position")[:4]:
        submit(row, answer())
    shares = study_shares(study)
    assert shares.people[first.pk].reason.startswith("Pace: lists are shared again when somebody")
    slots.shares_renew(study_id=study.pk)
    assert not study_shares(study).is_uneven


def test_what_a_newcomer_would_get_is_said_beforehand_and_is_what_they_get():
    study = make(annotators=2)
    client = client_of(study.created_by)
    sentence = "A newcomer would get about 16 lists, taken from unopened ones of 2 annotators."
    invited = client.post("/invitations/new/", {"study": study.slug, "days": 7, "uses": 1})
    pages = [
        client.get("/invitations/new/"),
        client.get(f"/studies/{study.slug}/people/"),
        client.get(f"/studies/{study.slug}/run/"),
    ]
    for page in pages:
        assert sentence in text_of(page)
    assert invited.status_code in (200, 422)
    told = client.get(f"/api/studies/{study.slug}/progress").json()
    assert told["newcomer"] == 16
    _, link = make_invitation(study=study)
    nina = client_of(UserFactory(username="nina"))
    nina.post(link)
    joined = study.memberships.get(user__username="nina")
    assert joined.assignments.filter(purpose="annotation").count() == 16
    nina.post(f"/studies/{study.slug}/consent/", {"version": 0})
    assert nina.get(f"/studies/{study.slug}/next/")["Location"].startswith("/lists/")


def test_a_newcomer_is_told_when_nothing_is_left_or_the_study_is_not_open():
    study = make(annotators=2)
    for member in people_of(study):
        finish(member)
    assert "would get no list now" in study_shares(study).for_a_newcomer
    Study.objects.update(state="paused")
    study.refresh_from_db()
    assert "is not open" in study_shares(study).for_a_newcomer


def test_slots_that_nobody_has_are_named():
    study = make(annotators=2)
    members.annotator_remove(membership=people_of(study)[0], by=study.created_by)
    assert (
        study_shares(study).for_a_newcomer
        == "A newcomer would get about 24 lists, which nobody has yet."
    )


def test_all_pages_and_the_api_say_one_set_of_numbers():
    study = make(annotators=2)
    first = people_of(study)[0]
    submit(next_assignment(first.pk), answer())
    skip(next_assignment(first.pk))  # which nobody else can take
    client = client_of(study.created_by)
    numbers = with_annotation_counts(studies_of(study.created_by)).get()
    assert (numbers.lists, numbers.slots, numbers.annotations) == (24, 48, 1)
    for path in ("/", f"/studies/{study.slug}/run/"):
        assert "1 of 48 annotations" in text_of(client.get(path))
    told = client.get(f"/api/studies/{study.slug}").json()
    progress = client.get(f"/api/studies/{study.slug}/progress").json()
    assert (told["slots"], told["annotations"]) == (progress["slots"], progress["done"]) == (48, 1)
    people = {one["name"]: one["remaining"] for one in progress["people"]}
    assert people == {
        m.user.username: n for m, n in zip(people_of(study), left(study), strict=True)
    }


@pytest.mark.parametrize(("annotators", "goes_on"), [(2, False), (3, True)])
def test_the_skip_dialog_is_told_whether_somebody_else_could_take_a_list(annotators, goes_on):
    study = make(annotators=annotators, reference_lists=1, repeat_percent=20, training_lists=1)
    member = people_of(study)[0]
    client = client_of(member.user)
    said = {
        client.get(f"/api/lists/{row.public_id}").json()["study"]["skipped_goes_on"]
        for row in member.assignments.all()
    }
    assert said == {goes_on}  # of the study: the same for a repeat and a silent reference
    Membership.objects.exclude(pk=member.pk).update(away_since=timezone.now())
    assert (
        client.get(f"/api/lists/{member.assignments.first().public_id}").json()["study"][
            "skipped_goes_on"
        ]
        is False
    )


def test_a_study_that_a_migration_marks_as_due_is_shared_by_the_next_sweep():
    study = make(annotators=3)
    first = people_of(study)[0]
    Assignment.objects.filter(membership=first).delete()
    Study.objects.update(shares_due=True)
    slots.leases_sweep()
    study.refresh_from_db()
    assert not study.shares_due
    assert left(study) == [16, 16, 16]
    slots.shares_due_sweep()  # again is a no-op
    assert left(study) == [16, 16, 16]


def test_unopened_lists_that_an_older_version_kept_as_expired_can_be_given_again():
    study = make(annotators=2)
    first = people_of(study)[0]
    first.assignments.update(state=State.EXPIRED)
    slots.shares_renew(study_id=study.pk)
    assert left(study) == [24, 24]
    assert set(first.assignments.values_list("state", flat=True)) == {State.WAITING}


def test_days_without_work_are_counted_by_the_list_that_somebody_works_at(clock):
    study = make(annotators=2, idle_days=1, lease_hours=999)
    first = people_of(study)[0]
    row = next_assignment(first.pk)
    save(row, {"annotation": "a"}, 0, active_seconds=0)
    clock.after(hours=23)
    save(row, {"annotation": "b"}, 1, active_seconds=60)
    clock.after(hours=12)
    slots.leases_sweep()
    first.refresh_from_db()
    assert first.away_since is None
    clock.after(days=3)
    slots.leases_sweep()
    first.refresh_from_db()
    assert first.away_since is not None
    assert timezone.now() - first.away_since < timedelta(minutes=1)
