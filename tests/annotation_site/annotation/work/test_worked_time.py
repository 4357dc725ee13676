"""Hours: no moment of a person counts twice, whatever the number of lists, tabs and devices."""

import random
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from annotation_site.annotation.models import Assignment, TakenTime, WorkedDay
from annotation_site.annotation.monitoring.progress import study_progress
from annotation_site.annotation.work import submissions
from annotation_site.annotation.work.own_work import work_days
from annotation_site.annotation.work.worked_time import (
    MOST_A_DAY,
    MOST_SPANS,
    OLDEST,
    clock_follow,
    time_take,
)
from tests.annotation_site.clock import Clock
from tests.annotation_site.factories import (
    answer,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
    pattern,
    submission,
)

CLAIM = 10_000_000


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock(datetime(2026, 3, 2, 6, tzinfo=UTC))
    monkeypatch.setattr(timezone, "now", clock)
    return clock


def lists_of(study, count):
    first = assignment_of(study)
    rows = Assignment.objects.filter(membership=first.membership).order_by("position")
    return list(rows.select_related("membership__user", "item__study")[:count])


def report(assignment, seconds, *, done=False):
    """Save, or submit what was not said before."""
    said = {
        "user": assignment.membership.user, "public_id": assignment.public_id,
        "active_seconds": seconds,
    }  # fmt: skip
    assignment.refresh_from_db()
    if not done:
        said |= {"base_version": assignment.draft_version, "content": {}}
        submissions.draft_save(**said)
    else:
        content = answer(pattern(1, [1 + assignment.version % 20]))
        submissions.assignment_submit(**{**submission(assignment, content), **said})
    assignment.refresh_from_db()
    return assignment.active_seconds


def look(assignment):
    assignment.refresh_from_db()
    submissions.assignment_open(assignment)


def test_time_is_taken_once_and_the_earliest_first():
    assert time_take([], since=0, now=60, seconds=25) == (25, [(0, 25)])
    assert time_take([(0, 25)], since=10, now=60, seconds=100) == (35, [(0, 60)])
    assert time_take([(10, 20)], since=0, now=30, seconds=15) == (15, [(0, 25)])
    assert time_take([(0, 60)], since=0, now=60, seconds=5) == (0, [(0, 60)])


def test_the_second_that_has_begun_counts_and_is_taken_from_the_future():
    got, taken = time_take([], since=0, now=9.25, seconds=100)
    assert (got, taken) == (10, [(0, 10)])
    assert time_take(taken, since=0, now=9.75, seconds=1) == (0, [(0, 10)])


def test_whatever_is_reported_no_more_counts_than_passed_and_nothing_honest_is_cut():
    """Lists in tabs and devices, of which one at a time is worked at, report when they please."""
    chance = random.Random(5)
    for _ in range(200):
        now, taken, worked, counted, opened = 0.0, [], {}, {}, {}
        for _ in range(chance.randint(1, 60)):
            at = chance.randrange(6)
            opened.setdefault(at, now)
            passed = chance.uniform(0, 400)
            now += passed
            worked[at] = worked.get(at, 0) + passed * chance.choice((0, 0.5, 1))
            reporting = chance.randrange(6)
            if reporting not in opened:
                continue
            total = int(worked.get(reporting, 0))
            before = counted.get(reporting, 0)
            got, taken = time_take(taken, since=opened[reporting], now=now, seconds=total - before)
            assert got == total - before
            counted[reporting] = total
        lies = 0
        for since in opened.values():
            got, taken = time_take(taken, since=since, now=now, seconds=CLAIM)
            lies += got
        assert sum(counted.values()) + lies <= now + 1


def test_what_is_kept_of_a_person_is_bounded():
    taken = []
    for n in range(5 * MOST_SPANS):
        _, taken = time_take(taken, since=20 * n, now=20 * n + 10, seconds=10)
    assert len(taken) == MOST_SPANS
    assert time_take(taken, since=0, now=20 * n + 10, seconds=CLAIM)[0] <= 10 * MOST_SPANS
    _, taken = time_take(taken, since=20 * n, now=20 * n + 2 * OLDEST, seconds=1)
    assert len(taken) == 1


def test_a_clock_that_is_set_back_moves_the_time_and_small_differences_do_not():
    assert clock_follow([(0, 100)], last=100, now=40) == [(-60, 40)]
    assert clock_follow([(0, 100)], last=100, now=95) == [(0, 100)]
    assert clock_follow([(0, 100)], last=100, now=4000) == [(0, 100)]


@pytest.mark.django_db
def test_ten_lists_at_once_give_no_more_than_the_time_that_passed(clock):
    lists = lists_of(make_study(), 10)
    for one in lists:
        look(one)
        report(one, 0, done=True)
        look(one)
    clock.after(seconds=60)
    assert sum(report(one, CLAIM, done=True) for one in lists) == 60
    days = work_days(lists[0].membership.user)
    assert [(d.active_seconds, d.cut_seconds) for d in days] == [(60, 10 * CLAIM - 60)]


@pytest.mark.django_db
def test_a_person_has_one_life_in_several_studies(clock):
    one = lists_of(make_study(), 1)[0]
    person = one.membership.user
    other = lists_of(make_study(people=[person], annotators_per_list=1), 1)[0]
    look(one)
    look(other)
    clock.after(seconds=100)
    assert (report(one, 70), report(other, 100)) == (70, 30)


@pytest.mark.django_db
def test_two_tabs_that_are_worked_at_in_turn_lose_nothing(clock):
    one, other = lists_of(make_study(), 2)
    look(one)
    look(other)
    clock.after(seconds=60)  # at the one, which does not report meanwhile
    for second in range(1, 31):
        clock.after(seconds=1)
        assert report(other, second) == second
    clock.after(seconds=1)
    assert report(one, 61) == 61
    assert not WorkedDay.objects.exclude(cut_seconds=0).exists()


@pytest.mark.django_db
def test_a_submitted_list_takes_time_only_once_it_was_looked_at_again(clock):
    (one,) = lists_of(make_study(), 1)
    look(one)
    clock.after(seconds=10)
    assert report(one, 10, done=True) == 10
    clock.after(days=7)
    assert report(one, CLAIM, done=True) == 10
    day = work_days(one.membership.user)[0]
    assert (day.cut_seconds, day.cut_reason) == (
        CLAIM - 10, "for a submitted list that was not opened again",
    )  # fmt: skip
    look(one)
    clock.after(seconds=20)
    assert report(one, 30) == 30


@pytest.mark.django_db
def test_a_day_has_a_limit(clock):
    one, other = lists_of(make_study(), 2)
    look(one)
    look(other)
    clock.after(hours=17)
    assert report(one, 17 * 3600) == MOST_A_DAY
    assert report(other, 3600) == 0
    day = work_days(one.membership.user)[0]
    assert day.cut_reason == "more than can count on one day"
    assert day.cut_seconds == 2 * 3600
    clock.after(hours=4)  # the next day
    assert report(other, 3600) == 3600


@pytest.mark.django_db
def test_a_clock_set_back_gives_no_time_twice_and_work_goes_on_counting(clock):
    one, other = lists_of(make_study(), 2)
    look(one)
    clock.after(hours=3)
    assert report(one, 10_800) == 10_800
    clock.after(hours=-2)
    assert report(one, CLAIM) == 10_800
    look(other)
    clock.after(minutes=10)
    assert report(other, 600) == 600
    assert report(one, CLAIM) == 10_800


@pytest.mark.django_db
def test_time_that_could_not_count_at_once_is_cut_no_more_when_it_counts_later(clock):
    (one,) = lists_of(make_study(), 1)
    look(one)
    clock.after(seconds=10)
    assert report(one, 40) == 10
    clock.after(seconds=20)
    assert report(one, 40) == 30
    assert WorkedDay.objects.get().cut_seconds == 10


@pytest.mark.django_db
def test_what_is_cut_is_told_to_the_person_and_the_researcher_with_the_reason(clock):
    study = make_study()
    (one,) = lists_of(study, 1)
    look(one)
    clock.after(seconds=60)
    report(one, 3660)
    person = one.membership.user
    reason = "more than the time that passed, all lists of the person together"
    page = client_of(person).get("/hours/").content.decode()
    assert reason in page
    assert "1 h" in page
    text = b"".join(client_of(person).get("/hours.csv").streaming_content).decode()
    assert text.splitlines()[1].endswith(f',3600,"{reason}"')
    (day,) = client_of(person).get("/api/hours").json()["results"]
    assert (day["cut_seconds"], day["cut_reason"]) == (3600, reason)
    (row,) = [p for p in study_progress(study).people if p.membership == one.membership]
    assert (row.work.active_seconds, row.cut_seconds, row.cut_reason) == (60, 3600, reason)
    page = client_of(study.created_by).get(f"/studies/{study.slug}/run/").content.decode()
    assert "1 h not counted" in page


@pytest.mark.django_db
def test_honest_time_leaves_no_word_about_what_is_cut(clock):
    lists = lists_of(make_study(extraction=make_extraction(per_layer=4)), 8)
    for one in lists:
        look(one)
        for second in range(9, 90, 9):
            clock.after(seconds=9)
            report(one, second)
        clock.after(seconds=9)
        assert report(one, 90, done=True) == 90
    person = lists[0].membership.user
    assert "Not counted" not in client_of(person).get("/hours/").content.decode()
    assert TakenTime.objects.get(user=person).day_seconds == 8 * 90
