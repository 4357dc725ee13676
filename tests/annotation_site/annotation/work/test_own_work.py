"""A person's home, submitted lists and hours: their own work, and nothing of anybody else's."""

import re
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from annotation_site.annotation.lists.entries import list_entries
from annotation_site.annotation.models import Assignment, Study, WorkedDay
from annotation_site.annotation.studies import services as studies
from annotation_site.annotation.work import own_work
from annotation_site.annotation.work.pace import Pace, pace_of
from annotation_site.corpus.models import Token
from tests.annotation_site.annotation.answering import save, skip, submit
from tests.annotation_site.clock import Clock
from tests.annotation_site.factories import (
    answer,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
    pattern,
)

pytestmark = pytest.mark.django_db
MORNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock(MORNING)
    monkeypatch.setattr(timezone, "now", clock)
    return clock


def text_of(response) -> str:
    """A page's words, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def seconds_of(assignment) -> int:
    assignment.refresh_from_db()
    return assignment.active_seconds


# Pace


def test_a_pace_needs_five_lists_and_some_time():
    assert pace_of([60] * 4, 10) is None
    assert pace_of([0] * 9, 10) is None


def test_a_steady_person_gets_a_narrow_estimate_and_a_typical_list():
    assert pace_of([120] * 5, 10) == Pace(120, 30, (1200, 1200))


def test_slow_lists_widen_the_estimate_and_leave_the_typical_list_alone():
    pace = pace_of([60, 60, 60, 60, 660], 10)
    assert pace == Pace(60, 20, (300, 3300))  # mean 180; sd 268, for ten lists from five: 1,470


def test_nothing_left_takes_no_time():
    assert pace_of([10, 20, 30, 40, 50], 0).left_seconds == (0, 0)


# Home


def test_home_shows_what_is_done_and_left_the_pace_and_where_to_go_on(clock):
    study = make_study(extraction=make_extraction(per_layer=4))
    client = client_of(assignment_of(study).membership.user)
    assert "Start ( A study )" in text_of(client.get("/"))
    for position in range(1, 6):
        assignment = assignment_of(study, position)
        client.get(f"/lists/{assignment.public_id}/")
        clock.after(seconds=100)
        submit(assignment, answer(), active_seconds=90)
    page = text_of(client.get("/"))
    assert "5 of 24 lists submitted, 19 left" in page
    assert "typical time per list 1 min 30 s" in page
    assert "lists per hour of active time 40" in page
    assert "left for you, at your pace so far 25 min to 30 min" in page
    assert "Continue with list 6 ( A study )" in page


def test_one_button_stands_out_where_the_person_stopped(clock):
    first = make_study(title="Alpha")
    person = assignment_of(first).membership.user
    second = make_study(title="Beta", people=[person], annotators_per_list=1)
    client = client_of(person)
    client.get(f"/lists/{assignment_of(first).public_id}/")
    clock.after(minutes=1)
    client.get(f"/lists/{assignment_of(second).public_id}/")
    page = client.get("/").content.decode()
    assert page.count("button-primary") == 1
    assert re.search(r'button-primary" href="/studies/beta/next/"', page)
    studies.study_state_change(study=second, state="paused")
    page = client.get("/").content.decode()
    assert re.search(r'button-primary" href="/studies/alpha/next/"', page)


def test_home_says_which_lists_are_kept_for_how_long(clock):
    study = make_study(annotators=3)
    assignment = assignment_of(study)
    client = client_of(assignment.membership.user)
    client.get(f"/lists/{assignment.public_id}/")
    assert "kept for you" not in text_of(client.get("/"))
    clock.after(hours=study.lease_hours - 3)
    assert "List 1 is kept for you until: 5 Mar 2026, 09:00 UTC" in text_of(client.get("/"))
    clock.after(hours=4)
    assert "List 1 is no longer kept for you" in text_of(client.get("/"))


def test_a_paused_study_offers_nothing_to_go_on_with(clock):
    study = make_study()
    client = client_of(assignment_of(study).membership.user)
    client.get(f"/lists/{assignment_of(study).public_id}/")
    Study.objects.update(state="paused")
    clock.after(days=9)
    page = text_of(client.get("/"))
    assert "Continue" not in page
    assert "kept for you" not in page
    assert "paused" in page


# Submitted lists


def test_submitted_lists_are_paged_the_newest_first(clock):
    study = make_study(extraction=make_extraction(per_layer=5), lists_per_layer=5)
    client = client_of(assignment_of(study).membership.user)
    for position in range(1, 28):
        clock.after(minutes=5)
        submit(assignment_of(study, position), answer(pattern(1, [1]), pattern(2, [2])))
    page = text_of(client.get(f"/studies/{study.slug}/"))
    assert re.findall(r"List (\d+) 2 Mar", page) == [str(n) for n in range(27, 2, -1)]
    assert "List 27 2 Mar 2026, 11:15 UTC , 0 s" in page
    assert "Page 1 of 2" in page
    older = text_of(client.get(f"/studies/{study.slug}/?page=2"))
    assert re.findall(r"List (\d+) 2 Mar", older) == ["2", "1"]


def list_numbers(client, study, wanted: str, page: int = 1) -> list[str]:
    shown = client.get(f"/studies/{study.slug}/", {"q": wanted, "page": page})
    return re.findall(r">List (\d+)</a>", shown.content.decode())


def test_a_submitted_list_shows_its_first_entries_and_the_persons_own_words():
    study = make_study()
    mine = assignment_of(study)
    submit(
        mine,
        answer(pattern(1, [1, 2], description="kinds of <rock>"), pattern(2, [3], description="")),
    )
    theirs = Assignment.objects.filter(item=mine.item).exclude(pk=mine.pk).get()
    submit(theirs, answer(pattern(1, [1], description="what another person saw")))
    page = text_of(client_of(mine.membership.user).get(f"/studies/{study.slug}/"))
    tokens = [token.display for token in list_entries(mine.item.vector, study.list_source)]
    assert " , ".join(tokens[:8]) + " …" in page
    assert tokens[8] not in page
    assert "1 kinds of &lt;rock&gt; ( semantic )" in page
    assert "2 no description ( semantic )" in page
    assert "another person" not in page


def test_own_lists_are_found_by_a_token_or_by_a_description_in_any_case():
    study = make_study()
    client = client_of(assignment_of(study).membership.user)
    for position, description in enumerate(("Ärzte und Pfleger", "STRASSE", ""), 1):
        submit(assignment_of(study, position), answer(pattern(1, [1], description=description)))
    first, second = assignment_of(study, 1), assignment_of(study, 2)
    Token.objects.filter(token_id=second.item.vector.token_ids[29]).update(display="Überzug")
    holding = [
        str(one.position)
        for one in (assignment_of(study, 3), second, first)
        if second.item.vector.token_ids[29] in one.item.vector.token_ids
    ]
    assert list_numbers(client, study, "ÄRZTE") == ["1"]
    assert list_numbers(client, study, "straße") == ["2"]
    assert list_numbers(client, study, "  überZUG ".title()) == holding
    assert list_numbers(client, study, "überz") == holding
    assert "2" in holding
    assert list_numbers(client, study, "nobody wrote this") == []
    empty = client.get(f"/studies/{study.slug}/", {"q": "nobody\0 wrote 100%_ this" * 20})
    assert "0 lists found. Try a part of a word." in text_of(empty)
    assert "Show all" in text_of(empty)


def test_a_search_is_paged_and_takes_few_queries(django_assert_num_queries):
    study = make_study(extraction=make_extraction(per_layer=5), lists_per_layer=5)
    client = client_of(assignment_of(study).membership.user)
    for position in range(1, 29):
        said = pattern(1, [1], description=f"rocks {position}")
        submit(assignment_of(study, position), answer(said))
    assert list_numbers(client, study, "rocks") == [str(n) for n in range(28, 3, -1)]
    # as without a search; descriptions, lists and tokens in place of the number and ids of lists
    with django_assert_num_queries(13):
        assert list_numbers(client, study, "rocks", page=2) == ["3", "2", "1"]
    older = client.get(f"/studies/{study.slug}/", {"q": "rocks"}).content.decode()
    assert 'rel="next" href="?page=2&amp;q=rocks"' in older


def test_a_list_that_was_changed_and_not_submitted_again_says_so():
    study = make_study()
    assignment = assignment_of(study)
    client = client_of(assignment.membership.user)
    submit(assignment, answer(pattern(1, [1, 2])))
    assert "changes not submitted" not in text_of(client.get(f"/studies/{study.slug}/"))
    save(assignment, {"annotation": answer(pattern(1, [1]))}, 1)
    assert "changes not submitted" in text_of(client.get(f"/studies/{study.slug}/"))
    save(assignment, {"annotation": answer(pattern(1, [1, 2])), "ui": {"undo": []}}, 2)
    assert "changes not submitted" not in text_of(client.get(f"/studies/{study.slug}/"))


def test_lists_that_were_left_can_be_found_again():
    study = make_study(annotators=3)
    skipped, expired = assignment_of(study), assignment_of(study, 2)
    client = client_of(skipped.membership.user)
    skip(skipped, reason="<b>too rude</b>")
    Assignment.objects.filter(pk=expired.pk).update(state="expired", opened_at=timezone.now())
    page = client.get(f"/studies/{study.slug}/")
    shown = set(re.findall(r"word(\d+)", text_of(page)))
    for assignment in (skipped, expired):
        assert set(map(str, assignment.item.vector.token_ids[:8])) <= shown
    assert "skipped, “&lt;b&gt;too rude&lt;/b&gt;”" in text_of(page)
    assert "expired; what you typed is kept" in text_of(page)


def test_a_session_that_ends_keeps_the_draft():
    assignment = assignment_of(make_study())
    client = client_of(assignment.membership.user)
    url = f"/lists/{assignment.public_id}/"
    client.get(url)
    body = {
        "base_version": 0,
        "content": {"annotation": answer(pattern(1, [7]))},
        "active_seconds": 0,
    }
    client.put(f"/api{url}draft", body, content_type="application/json")
    client.post("/logout/")
    assert client.get(url).status_code == 302
    again = client_of(assignment.membership.user).get(url)
    assert again.context["page"]["draft"] == {"version": 1, "content": body["content"]}


# Time


def test_hours_are_counted_on_the_day_on_which_they_were_worked(clock):
    study = make_study(title="=Concepts")
    first, second = assignment_of(study), assignment_of(study, position=2)
    client = client_of(first.membership.user)
    client.get(f"/lists/{first.public_id}/")
    clock.after(minutes=10)
    save(first, {}, 0, active_seconds=300)
    save(first, {}, 1, active_seconds=400)
    clock.after(days=1)
    submit(first, answer(), active_seconds=1000)
    client.get(f"/lists/{second.public_id}/")
    clock.after(minutes=10)
    skip(second, active_seconds=50)
    clock.after(days=1)
    client.get(f"/lists/{first.public_id}/")
    clock.after(seconds=3)
    submit(first, answer(), active_seconds=1003)
    response = client.get("/hours.csv")
    assert response["Content-Disposition"] == 'attachment; filename="hours.csv"'
    assert b"".join(response.streaming_content).decode() == (
        "day,study,active_seconds,active_hours,lists_submitted,cut_seconds,cut_reason\r\n"
        '2026-03-04,\'=Concepts,3,0.0008,0,0,""\r\n'
        '2026-03-03,\'=Concepts,650,0.1806,1,0,""\r\n'
        '2026-03-02,\'=Concepts,400,0.1111,0,0,""\r\n'
    )
    page = text_of(client.get("/hours/"))
    assert "3 Mar 2026 =Concepts 10 min 50 s 1" in page
    assert "In all 17 min 33 s 1" in page


def test_hours_are_a_persons_own(clock):
    study = make_study()
    first = assignment_of(study)
    other = study.memberships.filter(role="annotator").exclude(pk=first.membership_id).get().user
    submit(first, answer(), active_seconds=1)
    assert len(own_work.work_days(first.membership.user)) == 1
    assert own_work.work_days(other) == []
    assert "No hours yet" in client_of(other).get("/hours/").content.decode()


def test_time_adds_up_when_the_servers_clock_is_moved_back(clock):
    assignment = assignment_of(make_study())
    client_of(assignment.membership.user).get(f"/lists/{assignment.public_id}/")
    clock.after(hours=20)
    save(assignment, {}, 0, active_seconds=500)
    clock.after(hours=-30)  # to the day before the list was opened
    save(assignment, {}, 1, active_seconds=900)
    assert seconds_of(assignment) == 500  # it cannot be told how long that took: nothing is added
    clock.after(hours=11)
    save(assignment, {}, 2, active_seconds=900)
    assert seconds_of(assignment) == 900
    days = own_work.work_days(assignment.membership.user)
    assert [(d.day.day, d.active_seconds) for d in days] == [(3, 0), (2, 900), (1, 0)]
    assert [d.cut_seconds for d in days] == [0, 0, 0]  # it counts by now
    assert WorkedDay.objects.count() == 3


def test_an_autosave_that_is_repeated_adds_no_time(clock):
    assignment = assignment_of(make_study())
    client_of(assignment.membership.user).get(f"/lists/{assignment.public_id}/")
    clock.after(minutes=2)
    for version in range(3):
        save(assignment, {}, version, active_seconds=100)
    (day,) = own_work.work_days(assignment.membership.user)
    assert (day.active_seconds, seconds_of(assignment)) == (100, 100)


# Queries


@pytest.mark.parametrize("per_layer", [2, 84])
def test_home_and_the_pages_of_own_work_take_few_queries_however_much_it_is(
    per_layer, django_assert_num_queries
):
    study = make_study(extraction=make_extraction(per_layer=per_layer), lists_per_layer=per_layer)
    assert Assignment.objects.count() == 2 * 6 * per_layer  # 504 for each in the larger case
    for position in range(1, 7):
        submit(assignment_of(study, position), answer(pattern(1, [1])), active_seconds=1)
    client = client_of(assignment_of(study).membership.user)
    # session, person, studies with counts, seconds of submitted lists, leases, training
    with django_assert_num_queries(6):
        client.get("/")
    # session, person, study with counts, training, number of submitted lists, ids of the page's,
    # these lists, their tokens, patterns, revisions, lists left, whether it is made up
    with django_assert_num_queries(12):
        client.get(f"/studies/{study.slug}/")
    # session, person, worked days
    with django_assert_num_queries(3):
        client.get("/hours/")
    # session, person, study with counts, consent text, whether it is made up
    with django_assert_num_queries(5):
        client.get(f"/studies/{study.slug}/consent/")
