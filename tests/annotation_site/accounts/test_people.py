"""What admins see of others and do about them: roles, access, erasure."""

import uuid

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.test import Client

from annotation_site.accounts import services
from annotation_site.accounts.models import AuditEntry, Invitation, Role, User
from annotation_site.annotation.models import Assignment, Membership, Revision
from annotation_site.annotation.people import joining as people
from annotation_site.annotation.work import submissions
from annotation_site.errors import Invalid, NotAllowed
from tests.annotation_site.factories import (
    PASSWORD,
    UserFactory,
    answer,
    assignment_of,
    client_of,
    is_in,
    log_in,
    make_invitation,
    make_study,
    pattern,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> User:
    return UserFactory(username="root", role=Role.ADMIN)


def submit(assignment: Assignment) -> None:
    submissions.assignment_submit(
        user=assignment.membership.user, public_id=assignment.public_id, base_version=0,
        key=uuid.uuid4(), annotation=answer(pattern(1, [1, 2, 3, 4])), active_seconds=5,
    )  # fmt: skip


def test_the_list_shows_everybody_with_few_queries(admin, django_assert_max_num_queries):
    people_here = UserFactory.create_batch(20)
    Authenticator.objects.create(user=people_here[3], type="totp", data={})
    client = client_of(admin)
    # session, person, count, people with their second factor, unread notices
    with django_assert_max_num_queries(5):
        page = client.get("/people/")
    rows = {p.username: p.has_second_factor for p in page.context["page"]}
    assert len(rows) == 21
    assert [name for name, has in rows.items() if has] == [people_here[3].username]
    found = client.get("/people/", {"name": people_here[7].username}).context["page"]
    assert people_here[7] in found


def test_a_role_changes_and_is_logged(admin):
    ada = UserFactory()
    client_of(admin).post(f"/people/{ada.public_id}/role/", {"role": "researcher"})
    ada.refresh_from_db()
    assert ada.role == Role.RESEARCHER
    entry = AuditEntry.objects.get(action="role_changed")
    assert (entry.actor, entry.target, entry.details) == (
        admin.public_id,
        f"user:{ada.public_id}",
        {"before": "annotator", "after": "researcher"},
    )
    wrong = client_of(admin).post(f"/people/{ada.public_id}/role/", {"role": "owner"})
    assert wrong.status_code == 422


def test_nobody_becomes_an_admin_who_judges_blind(admin):
    annotator = make_study().memberships.filter(role="annotator").first().user
    with pytest.raises(Invalid, match="blind"):
        people.person_role_change(person=annotator, role="admin", by=admin)


@pytest.mark.parametrize(
    "act",
    [
        lambda who, by: services.role_change(person=who, role="annotator", by=by),
        lambda who, by: people.person_deactivate(person=who, by=by),
        lambda who, by: people.person_erase(person=who, by=by),
    ],
)
def test_one_admin_always_stays(admin, act):
    other = UserFactory(role=Role.ADMIN)
    with pytest.raises(Invalid, match="another admin"):
        act(admin, admin)
    User.objects.filter(pk=admin.pk).update(is_active=False)  # while a request of theirs runs
    with pytest.raises(Invalid, match="last admin"):
        act(other, admin)


def test_deactivating_ends_sessions_and_invitations_and_frees_unopened_lists(admin):
    study = make_study(annotators=3, annotators_per_list=2)
    opened = assignment_of(study, position=2)
    ada = opened.membership.user
    submitted = assignment_of(study, position=1)
    submit(submitted)
    submissions.assignment_open(opened)
    session = log_in(ada)
    client_of(admin).post(f"/people/{ada.public_id}/access/", {"active": "no"})

    assert not is_in(session)
    assert not UserSession.objects.filter(user=ada).exists()
    assert not is_in(log_in(ada))
    states = set(ada.memberships.get().assignments.values_list("state", flat=True))
    assert states == {"submitted", "in progress"}
    live = Assignment.objects.filter(state__in=Assignment.LIVE)
    assert live.filter(state="waiting", membership__user=ada).count() == 0
    for item in study.items.all():
        assert live.filter(item=item).count() == 2  # somebody else has the freed place

    client_of(admin).post(f"/people/{ada.public_id}/access/", {"active": "yes"})
    assert is_in(log_in(ada))
    assert not is_in(session)  # what ended stays ended


@pytest.mark.parametrize(("state", "action"), [("no", "deactivated"), ("yes", "activated")])
def test_the_same_button_pressed_twice_does_not_undo_itself(admin, state, action):
    ada, client = UserFactory(is_active=state == "yes"), client_of(admin)
    offered = client.get(f"/people/{ada.public_id}/").content.decode()
    assert f'name="active" value="{"no" if ada.is_active else "yes"}"' in offered
    User.objects.filter(pk=ada.pk).update(is_active=state == "no")
    for _ in range(2):
        client.post(f"/people/{ada.public_id}/access/", {"active": state})
        assert User.objects.get(pk=ada.pk).is_active == (state == "yes")
    assert AuditEntry.objects.filter(action=f"person_{action}").count() == 1
    for unclear in ({}, {"active": "maybe"}):
        response = client.post(f"/people/{ada.public_id}/access/", unclear)
        assert response.status_code == 422
    assert User.objects.get(pk=ada.pk).is_active == (state == "yes")


def test_a_researcher_who_is_kept_out_leaves_no_working_invitation(admin):
    study = make_study()
    rosa = study.created_by
    invitation, link = make_invitation(by=rosa, study=study)
    people.person_deactivate(person=rosa, by=admin)
    invitation.refresh_from_db()
    assert invitation.revoked_at
    assert client_of(UserFactory()).get(link).status_code == 404


def test_erasing_keeps_the_labels_under_a_pseudonym(admin):
    study = make_study(annotators=3, annotators_per_list=2)
    first = assignment_of(study)
    ada = first.membership.user
    User.objects.filter(pk=ada.pk).update(username="ada-lovelace", email="ada@example.org")
    submit(first)
    session = log_in(User.objects.get(pk=ada.pk))
    Authenticator.objects.create(user=ada, type="totp", data={})
    labels = list(Revision.objects.values("snapshot"))
    log_before = list(AuditEntry.objects.order_by("pk").values())

    client, address = client_of(admin), f"/people/{ada.public_id}/erase/"
    assert client.post(address, {"name": "ada"}).status_code == 422
    assert is_in(session)
    assert client.post(address, {"name": "ada-lovelace"}).status_code == 302

    erased = User.objects.get(pk=ada.pk)
    assert (erased.username, erased.email, erased.is_active, erased.last_login) == (
        f"erased-{ada.public_id.hex[:12]}", "", False, None,
    )  # fmt: skip
    assert not erased.has_usable_password()
    assert not is_in(session)
    assert not Authenticator.objects.exists()
    assert not UserSession.objects.filter(user=ada).exists()
    assert list(Revision.objects.values("snapshot")) == labels
    assert first.patterns.count() == 1
    unfinished = Assignment.objects.filter(membership__user=ada, state__in=Assignment.UNFINISHED)
    assert not unfinished.exists()
    log_after = list(AuditEntry.objects.order_by("pk").values())
    assert log_after[: len(log_before)] == log_before
    assert "lovelace" not in repr(log_after)
    assert "ada@" not in repr(log_after)
    everywhere = [client.get(path).content.decode() for path in ("/people/", "/log/")]
    assert not any("lovelace" in page for page in everywhere)


def test_erasing_removes_the_labels_where_the_study_promises_that(admin):
    study = make_study(annotators=3, annotators_per_list=2, on_withdrawal="remove")
    first = assignment_of(study)
    submit(first)
    other = study.memberships.filter(role="annotator").exclude(pk=first.membership_id)[0]
    others = other.assignments.get(position=1)
    submit(others)
    people.person_erase(person=first.membership.user, by=admin)
    assert not Revision.objects.filter(assignment__membership=first.membership).exists()
    assert not first.patterns.exists()
    assert Revision.objects.filter(assignment=others).count() == 1
    assert others.patterns.count() == 1


def test_somebody_erased_stays_erased(admin):
    ada = UserFactory()
    people.person_erase(person=ada, by=admin)
    for act in (people.person_activate, people.person_deactivate, people.person_erase):
        with pytest.raises(Invalid, match="erased"):
            act(person=ada, by=admin)
    assert client_of(admin).post(f"/people/{ada.public_id}/reset-link/").status_code == 422


def test_the_name_of_somebody_erased_can_be_given_again(admin):
    ada = UserFactory(username="ada")
    people.person_erase(person=ada, by=admin)
    services.person_create(username="ada", password=PASSWORD)
    assert Membership.objects.count() == 0


def test_names_that_look_like_html_are_shown_as_they_are(admin):
    User.objects.filter(pk=UserFactory().pk).update(username="<img src=x onerror=alert(1)>")
    for path in ("/people/", "/log/?person=<img src=x>"):
        assert "<img src=x" not in client_of(admin).get(path).content.decode()


def test_an_admins_open_session_is_not_enough_to_take_their_account_over(admin):
    Authenticator.objects.create(user=admin, type="totp", data={})
    for action in ("reset-link", "second-factor", "role", "access", "erase"):
        sent = {"role": "annotator", "name": admin.username, "active": "no"}
        response = client_of(admin).post(f"/people/{admin.public_id}/{action}/", sent)
        assert response.status_code == 422, action
    assert Authenticator.objects.filter(user=admin).exists()


def test_only_admins_change_people(admin):
    ada, target = UserFactory(), UserFactory()
    for who in (ada, UserFactory(role=Role.RESEARCHER)):
        client = client_of(who)
        for action in ("role", "access", "reset-link", "second-factor", "erase"):
            sent = {"role": "admin", "name": target.username, "active": "no"}
            response = client.post(f"/people/{target.public_id}/{action}/", sent)
            assert response.status_code == 403, action
    target.refresh_from_db()
    assert (target.role, target.is_active, target.erased_at) == ("annotator", True, None)
    assert not Invitation.objects.exists()


def test_a_name_is_taken_in_any_case_so_that_nobody_can_lock_another_out(admin):
    eve = UserFactory(username="eve")
    with pytest.raises(Invalid, match="already exists"):
        services.person_create(username="ROOT", password=PASSWORD)
    with pytest.raises(Invalid, match="already exists"):
        services.account_change(user=eve, username="Root", email="")
    assert is_in(log_in(admin))


def test_who_is_let_in_again_has_the_lists_back_that_nobody_else_could_take(admin):
    study = make_study(annotators=2)
    ada = study.memberships.filter(role=Membership.Role.ANNOTATOR).first().user
    own = Assignment.objects.filter(membership__user=ada)
    before = set(own.values_list("item", "position", "state"))
    people.person_deactivate(person=ada, by=admin)
    assert not own.filter(state=Assignment.State.WAITING).exists()
    people.person_activate(person=ada, by=admin)
    assert set(own.values_list("item", "position", "state")) == before


def test_lists_that_others_took_meanwhile_stay_theirs(admin):
    study = make_study(annotators=3, annotators_per_list=2)
    ada = study.memberships.filter(role=Membership.Role.ANNOTATOR).first().user
    people.person_deactivate(person=ada, by=admin)
    people.person_activate(person=ada, by=admin)
    live = Assignment.objects.filter(item__study=study, state__in=Assignment.LIVE)
    held = [live.filter(item=item).count() for item in study.items.all()]
    assert held == [2] * len(held)


def test_an_answer_stays_blind_or_unblinded_as_it_was_given(admin):
    study = make_study(annotators=2)
    mine = assignment_of(study)
    submit(mine)
    User.objects.filter(pk=mine.membership.user_id).update(role=Role.ADMIN)
    second = assignment_of(study, position=2)
    with pytest.raises(NotAllowed, match="where this study’s lists come from"):
        submit(second)
    study.team_may_annotate = True
    study.save()
    submit(second)
    User.objects.filter(pk=mine.membership.user_id).update(role=Role.ANNOTATOR)
    found = Assignment.objects.filter(state="submitted").order_by("position")
    assert list(found.values_list("unblinded", flat=True)) == [False, True]


LOOK_ALIKE = {
    "dotless i": "adm\u0131n",
    "Cyrillic": "\u0430dmin",
    "Greek": "admin\u03bf",
    "full width": "\uff41dmin",
    "combining mark": "admi\u0307n",
    "accent": "adm\u00edn",
    "zero width": "adm\u200bin",
    "soft hyphen": "ad\u00admin",
    "right to left": "\u202eadmin",
    "dot at the end": "admin.",
    "hyphen at the beginning": "-admin",
    "space at the end": "admin ",
    "line feed at the end": "admin\n",
    "upper case": "ADMIN",
}


@pytest.mark.parametrize("kind", LOOK_ALIKE)
def test_a_name_that_looks_like_anothers_is_refused_wherever_one_is_chosen(admin, kind):
    UserFactory(username="admin")
    name, ada = LOOK_ALIKE[kind], UserFactory(username="ada")
    with pytest.raises(Invalid):
        services.person_create(username=name, password=PASSWORD)
    with pytest.raises(Invalid):
        services.account_change(user=ada, username=name, email="")
    _, link = make_invitation(by=admin)
    form = {"username": name, "password": PASSWORD}
    if name == name.strip():  # forms strip
        assert Client().post(link, form).status_code == 422
    assert User.objects.filter(username__in=("admin", name)).count() == 1


def test_a_name_from_before_the_rule_goes_on_working():
    user = UserFactory(username="J\u00fcrgen")
    assert is_in(log_in(user))
    services.account_change(user=user, username="J\u00fcrgen", email="j@example.org")
    assert User.objects.get(pk=user.pk).email == "j@example.org"
