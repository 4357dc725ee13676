"""How somebody takes part by an open link: join, agree, pass the check, work, finish, come back."""

import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry, User
from annotation_site.annotation.crowd import joining
from annotation_site.annotation.crowd.cookies import COOKIE
from annotation_site.annotation.crowd.links import open_link_close
from annotation_site.annotation.crowd.models import CrowdParticipant
from annotation_site.annotation.models import Assignment, Membership
from annotation_site.annotation.people.members import annotator_remove
from annotation_site.annotation.studies.services import study_state_change
from tests.annotation_site.annotation.crowd.people import (
    CHECK,
    RIGHT,
    WRONG,
    agree,
    annotate,
    code_on,
    joined,
    make_link,
    open_lists,
    participant,
    path,
    start,
    work,
)
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_study,
    researcher_of,
    text_of,
)

pytestmark = pytest.mark.django_db
PROLIFIC = {"PROLIFIC_PID": "5f1a", "STUDY_ID": "s1", "SESSION_ID": "x9"}


@pytest.fixture
def study():
    """An open study of 12 lists, all of whose slots are free."""
    study = make_study(annotators=1, annotators_per_list=1, consent="Do you agree?")
    study.memberships.get(role="annotator").assignments.all().delete()
    Membership.objects.filter(study=study, role="annotator").update(removed_at=timezone.now())
    return study


def test_somebody_joins_agrees_passes_the_check_works_and_gets_the_code(study):
    link = make_link(study, questions=CHECK, completion_code="DONE-42")
    client = Client()
    assert "Before your first list you answer 2 questions" in text_of(client.get(path(link)))
    assert start(client, link).url == f"/studies/{study.slug}/consent/"
    assert not open_lists(client)
    assert client.get("/", follow=True).redirect_chain[-1][0].endswith("/consent/")
    agree(client, study)
    assert not open_lists(client)
    assert client.get("/").url == "/part/check/"
    assert client.post("/part/check/", RIGHT).url == f"/studies/{study.slug}/"
    first, second = open_lists(client)
    assert client.get("/").url == f"/studies/{study.slug}/"
    annotate(client, first)
    assert client.get("/part/done/").url == f"/studies/{study.slug}/"
    following = annotate(client, second)
    page = client.get(following, follow=True)
    assert page.redirect_chain[-1][0] == "/part/done/"
    assert code_on(page) == "DONE-42"
    assert "You have submitted 2 lists" in text_of(page)
    one = participant(client)
    assert one.completed_at is not None
    assert client.get("/").url == "/part/done/"
    assert client.get(f"/studies/{study.slug}/").status_code == 200  # their own lists stay readable


def test_opening_the_link_makes_no_account_only_the_button_does(study):
    link = make_link(study)
    for _ in range(3):
        assert Client().get(path(link)).status_code == 200
        assert Client().head(path(link)).status_code == 200
    assert not User.objects.filter(is_crowd=True).exists()
    start(Client(), link)
    assert User.objects.filter(is_crowd=True).count() == 1


def test_an_account_has_a_random_name_and_no_password_and_is_logged_in_for_three_days(study):
    client = joined(make_link(study))
    user = participant(client).membership.user
    assert (user.role, user.email, user.has_usable_password()) == ("annotator", "", False)
    assert user.username.startswith("participant-")
    assert client.session.get_expiry_age() == 3 * 24 * 3600
    assert [e.action for e in AuditEntry.objects.filter(actor=user.public_id).order_by("pk")][
        :2
    ] == ["open_link_joined", "login"]


def test_pressing_start_twice_makes_one_account(study):
    link, key = make_link(study), {"key": str(uuid.uuid4())}
    first, second = Client(), Client()
    first.post(path(link), key)
    second.post(path(link), key)
    assert participant(first) == participant(second)
    assert Client().post(path(link), {"key": "x"}).status_code == 422
    assert CrowdParticipant.objects.count() == 1


def test_the_link_s_cookie_lets_the_same_browser_back_in_after_its_session(study):
    link = make_link(study)
    client = joined(link)
    one = participant(client)
    assert client.get(path(link)).url == f"/studies/{study.slug}/"
    cookie = client.cookies[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    client.logout()
    client.cookies[COOKIE] = cookie.value
    assert "Welcome back" in text_of(client.get(path(link)))
    assert start(client, link).url == f"/studies/{study.slug}/"
    assert participant(client) == one


def test_without_the_cookie_or_with_a_changed_one_nobody_gets_somebody_s_account(study):
    link = make_link(study)
    one = participant(joined(link))
    for forged in ("", "x", f"{one.pk}:x:y"):
        client = Client()
        client.cookies[COOKIE] = forged
        assert "Welcome back" not in text_of(client.get(path(link)))
        start(client, link)
        assert participant(client) != one


def test_a_cookie_of_an_erased_account_opens_nothing(study):
    link = make_link(study)
    client = joined(link)
    user = participant(client).membership.user
    client.logout()
    user.set_unusable_password()
    user.save()
    assert "Welcome back" not in text_of(client.get(path(link)))


def test_a_participant_id_seen_again_elsewhere_makes_a_new_flagged_account(study):
    link = make_link(study, preset="prolific")
    first = joined(link, **PROLIFIC)
    again = joined(link, **PROLIFIC)
    other_link = joined(make_link(study, preset="prolific"), **PROLIFIC)
    rows = [participant(client) for client in (first, again, other_link)]
    assert len({row.membership_id for row in rows}) == 3
    assert [row.seen_before for row in rows] == [False, True, True]
    assert {row.outside_id for row in rows} == {"5f1a"}
    assert rows[0].other_ids == {"STUDY_ID": "s1", "SESSION_ID": "x9"}
    back = start(first, link, **PROLIFIC)
    assert (back.status_code, participant(first)) == (302, rows[0])


def test_another_participant_on_the_same_computer_is_another_person(study):
    link = make_link(study, preset="other", parameter="workerId")
    client = joined(link, workerId="a1")
    first = participant(client)
    start(client, link, workerId="b2")
    second = participant(client)
    assert second != first
    assert (second.outside_id, second.seen_before) == ("b2", False)
    start(client, link, workerId="a1")
    assert participant(client) == first


@pytest.mark.parametrize(
    "sent", ["", "{{%PROLIFIC_PID%}}", "a b", "=cmd", "x" * 101, "ä", "a\nb", "-1"]
)
def test_without_a_well_formed_participant_id_nobody_joins_by_a_platform_s_link(study, sent):
    link, client = make_link(study, preset="prolific"), Client()
    parameters = {"PROLIFIC_PID": sent}
    page = client.get(f"/open/{link.token}/", parameters)
    assert "does not hold your participant id" in text_of(page)
    assert 'name="key"' not in text_of(page)
    response = client.post(
        f"/open/{link.token}/", {"key": str(uuid.uuid4())}, query_params=parameters
    )
    assert response.status_code == 403
    assert not CrowdParticipant.objects.exists()


def test_the_check_allows_two_attempts_and_then_ends_the_part_without_lists(study):
    link = make_link(study, questions=CHECK)
    client = Client()
    start(client, link)
    agree(client, study)
    page = client.get("/part/check/")
    assert "You have 2 attempts" in text_of(page)
    assert client.post("/part/check/", {"question-0": "1"}).status_code == 422  # one is missing
    assert participant(client).check_attempts == 0
    page = client.post("/part/check/", WRONG)
    assert "1 of 2 answers are correct" in text_of(page)
    assert client.post("/part/check/", WRONG).url == "/part/ended/"
    assert "so you get no lists" in text_of(client.get("/part/ended/"))
    assert client.post("/part/check/", RIGHT).url == "/part/ended/"
    assert participant(client).check_passed_at is None
    assert not participant(client).membership.assignments.exists()
    for url in ("/", "/part/done/", f"/studies/{study.slug}/"):
        assert client.get(url, follow=True).redirect_chain[-1][0] == "/part/ended/"


def test_one_attempt_is_one(study):
    client = Client()
    link = make_link(study, questions=CHECK, attempts=1)
    start(client, link)
    agree(client, study)
    assert client.post("/part/check/", WRONG).url == "/part/ended/"


def test_nobody_gets_more_lists_than_the_cap_nor_after_completion(study):
    link = make_link(study, most_lists=3)
    client = joined(link)
    assert len(open_lists(client)) == 3
    work(client)
    client.get("/part/done/")
    other = joined(link)
    client_leaves = participant(other).membership
    other.post(f"/studies/{study.slug}/withdraw/")
    assert client_leaves.assignments.filter(state="withdrawn").count() == 3
    assert participant(client).membership.assignments.count() == 3


def test_leaving_frees_the_slots_ends_the_part_and_erases_the_id(study):
    link = make_link(study, preset="prolific", most_lists=12)
    client = joined(link, **PROLIFIC)
    annotate(client, open_lists(client)[0])
    assert client.get("/part/leave/").url == f"/studies/{study.slug}/withdraw/"
    assert "You see no completion code" in text_of(client.get(f"/studies/{study.slug}/withdraw/"))
    client.post(f"/studies/{study.slug}/withdraw/")
    assert client.get("/").url == "/part/ended/"
    assert "You have left the study" in text_of(client.get("/part/ended/"))
    one = participant(client)
    assert (one.outside_id, one.other_ids) == ("", {})
    assert one.ids_erased_at is not None
    other = joined(link, PROLIFIC_PID="another")
    assert len(open_lists(other)) == 11  # all but the one that was submitted
    # The same browser is told so, rather than given the study's lists a second time.
    assert client.get(path(link, **PROLIFIC)).url == "/part/ended/"


def test_staying_away_frees_unopened_lists_and_coming_back_gets_lists_again(study, monkeypatch):
    link = make_link(study, most_lists=12, idle_hours=5)
    client = joined(link)
    annotate(client, open_lists(client)[0])
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(hours=4.9))
    joining.crowd_sweep()
    assert len(open_lists(client)) == 11
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(hours=5.1))
    joining.crowd_sweep()
    joining.crowd_sweep()
    assert len(open_lists(client)) == 1  # opened after the submission; its lease goes on
    released = AuditEntry.objects.filter(action="lists_released")
    assert [entry.details["lists"] for entry in released] == [10]
    assert client.get("/").url == path(link)
    assert "Welcome back" in text_of(client.get(path(link)))
    other = joined(make_link(study, most_lists=4))
    assert len(open_lists(other)) == 4
    start(client, link)
    assert len(open_lists(client)) == 7
    open_link_close(link=link, by=researcher_of(study))
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(hours=11))
    joining.crowd_sweep()
    assert "This link has ended" in text_of(client.get(path(link)))
    assert start(client, link).status_code == 403


def test_somebody_who_never_agreed_makes_room_after_the_same_time(study, monkeypatch):
    link = make_link(study, most_people=1)
    start(Client(), link)
    assert start(Client(), link).status_code == 403
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(hours=25))
    joining.crowd_sweep()
    assert start(Client(), link).status_code == 302


def test_a_full_link_a_closed_one_one_past_its_end_and_a_paused_study_say_so(study, monkeypatch):
    link = make_link(study, most_people=1)
    researcher = researcher_of(study)
    joined(link)
    said = {}
    said["full"] = text_of(Client().get(path(link)))
    closed = make_link(study)
    open_link_close(link=closed, by=researcher)
    said["closed"] = text_of(Client().get(path(closed)))
    ending = make_link(study)
    now = timezone.now()
    with monkeypatch.context() as later:
        later.setattr(timezone, "now", lambda: now + timedelta(days=8))
        said["ended"] = text_of(Client().get(path(ending)))
        assert start(Client(), ending).status_code == 403
    study_state_change(study=study, state="paused")
    said["paused"] = text_of(Client().get(path(ending)))
    study_state_change(study=study, state="closed")
    said["study closed"] = text_of(Client().get(path(ending)))
    for name, sentence in (
        ("full", "This study has all the people that it needs."),
        ("closed", "This link has ended"),
        ("ended", "This link has ended"),
        ("paused", "This study is not open at the moment."),
        ("study closed", "This study has ended"),
    ):
        assert sentence in said[name]
        assert 'name="key"' not in said[name]
    assert Client().get("/open/unknown/").status_code == 404


def test_accounts_of_a_link_are_bounded_even_if_everybody_leaves(study):
    link = make_link(study, most_people=1)
    for _ in range(3):
        client = joined(link)
        client.post(f"/studies/{study.slug}/withdraw/")
    assert start(Client(), link).status_code == 403


def test_without_an_unopened_list_nobody_joins(study):
    link = make_link(study, most_lists=12)
    work(joined(link))
    assert "Other people have all lists" in text_of(Client().get(path(link)))


def test_somebody_without_lists_sees_the_completion_page_too(study):
    link = make_link(study, most_lists=12)
    waiting = Client()
    start(waiting, link)
    work(joined(link))
    agree(waiting, study)
    page = waiting.get("/", follow=True)
    assert page.redirect_chain[-1][0] == "/part/done/"
    assert "There is no list left for you" in text_of(page)


def test_a_way_back_is_the_stored_address_whatever_the_request_says(study):
    back = "https://app.example.org/submissions/complete?cc=C1"
    link = make_link(study, completion="redirect", redirect_url=back, most_lists=1)
    client = joined(link)
    work(client)
    page = client.get("/part/done/?next=https://evil.example/&redirect_url=https://evil.example/")
    assert f'href="{back}" rel="noreferrer"' in text_of(page)
    assert "evil" not in text_of(page)


def test_a_researcher_s_removal_ends_the_part(study):
    client = joined(make_link(study))
    annotator_remove(membership=participant(client).membership, by=researcher_of(study))
    assert "have ended your part" in text_of(client.get("/", follow=True))


def test_somebody_with_an_account_is_asked_to_log_out_first(study):
    link = make_link(study)
    page = text_of(client_of(UserFactory(username="rosa")).get(path(link)))
    assert "You are logged in as" in page
    assert 'name="key"' not in page
    before = User.objects.count()
    client_of(researcher_of(study)).post(path(link), {"key": str(uuid.uuid4())})
    assert User.objects.count() == before


def test_starts_and_wrong_links_are_counted_by_address(study, settings):
    settings.ACCOUNT_RATE_LIMITS = {
        **settings.ACCOUNT_RATE_LIMITS, "open_link": "2/m/ip", "invitation": "2/m/ip"
    }  # fmt: skip
    link = make_link(study)
    assert [start(Client(), link).status_code for _ in range(3)] == [302, 302, 429]
    wrong = [Client().get(f"/open/guess{n}/").status_code for n in range(3)]
    assert wrong == [404, 404, 429]


def test_unfinished_training_and_a_changed_consent_text_come_before_the_lists():
    study = make_study(annotators=1, annotators_per_list=1, training_lists=1)
    study.memberships.get(role="annotator").assignments.all().delete()
    Membership.objects.filter(study=study, role="annotator").update(removed_at=timezone.now())
    client = joined(make_link(study, most_lists=2))
    purposes = participant(client).membership.assignments.order_by("position")
    assert [row.purpose for row in purposes] == ["training", "annotation", "annotation"]
    assert Assignment.objects.filter(purpose="annotation", state="waiting").count() == 2
