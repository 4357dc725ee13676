"""Invitations: who may make one, whom it lets in, and that it lets nobody else in."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone

from annotation_site.accounts.invitations import GONE, invitation_revoke
from annotation_site.accounts.models import AuditEntry, Invitation, Role, User
from annotation_site.annotation.models import Membership, Study
from annotation_site.annotation.people import joining as people
from annotation_site.errors import Invalid, NotAllowed, NotFound
from annotation_site.exact_words import exact
from tests.annotation_site.factories import (
    PASSWORD,
    UserFactory,
    client_of,
    make_invitation,
    make_study,
    newcomer,
    researcher_of,
)

pytestmark = pytest.mark.django_db


def test_a_link_makes_a_person_a_member_and_leads_to_their_first_list():
    study = make_study(annotators=2, annotators_per_list=2)
    _, link = make_invitation(by=researcher_of(study), study=study, uses=2)
    Membership.objects.filter(role="annotator").first().assignments.update(state="expired")
    client = Client()
    assert "A study" in client.get(link).content.decode()
    response = client.post(link, newcomer(email="nina@example.org"), follow=True)
    assert response.redirect_chain == [("/", 302)]
    nina = User.objects.get(username="nina")
    assert (nina.role, nina.email, nina.check_password(PASSWORD)) == (
        "annotator", "nina@example.org", True,
    )  # fmt: skip
    consent = client.get(f"/studies/{study.slug}/next/")["Location"]
    client.post(consent, {"version": 0})
    assert client.get(f"/studies/{study.slug}/next/")["Location"].startswith("/lists/")
    assert Invitation.objects.get().uses == 1


def test_only_a_digest_of_the_token_is_stored():
    invitation, link = make_invitation()
    token = link.split("/")[2]
    stored = repr(Invitation.objects.filter(pk=invitation.pk).values().get())
    assert token not in stored
    assert token not in repr(list(AuditEntry.objects.values()))
    assert len(invitation.token_digest) == 64


def test_the_page_shows_the_link_once_and_the_list_never():
    admin = client_of(UserFactory(role=Role.ADMIN))
    response = admin.post(
        "/invitations/new/",
        {"role": "researcher", "study": "", "study_role": "", "uses": 3, "days": 5},
    )
    page = response.content.decode()
    link = page.split('value="http://testserver')[1].split('"')[0]
    assert "no-store" in response["Cache-Control"]
    assert link not in admin.get("/invitations/").content.decode()
    Client().post(link, newcomer())
    assert User.objects.get(username="nina").role == Role.RESEARCHER
    assert "1 of 3" in admin.get("/invitations/").content.decode()


def test_researchers_invite_annotators_into_their_own_studies_only():
    own, other = make_study(), make_study()
    rosa = researcher_of(own)
    invite = {"by": rosa, "days": 1, "uses": 1}
    assert people.person_invite(**invite, role="annotator", study=own)
    for role, study in (("annotator", other), ("annotator", None), ("researcher", own)):
        with pytest.raises(NotAllowed, match="own studies"):
            people.person_invite(**invite, role=role, study=study)
    with pytest.raises(NotAllowed):
        people.person_invite(**{**invite, "by": UserFactory()}, role="annotator", study=own)
    form = client_of(rosa).get("/invitations/new/").content.decode()
    assert 'name="role"' not in form
    chosen = {"study": other.pk, "uses": 1, "days": 1}
    assert client_of(rosa).post("/invitations/new/", chosen).status_code == 422
    newcomer_here = client_of(UserFactory(role=Role.RESEARCHER))  # runs no study yet
    for address in ("/invitations/new/", "/invitations/many/"):
        page = newcomer_here.get(address).content.decode()
        assert "Create one, then invite people to it." in page
        assert 'name="days"' not in page


def test_a_researcher_sees_and_revokes_only_their_own_invitations():
    study = make_study()
    invitation, link = make_invitation()
    rosa = client_of(researcher_of(study))
    assert str(invitation.public_id) not in rosa.get("/invitations/").content.decode()
    assert rosa.post(f"/invitations/{invitation.public_id}/revoke/").status_code == 404
    assert Client().get(link).status_code == 200


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"uses": 0}, "1 to 500 people"),
        ({"uses": 501}, "1 to 500 people"),
        ({"days": 0}, "1 to 90 days"),
        ({"days": 91}, "1 to 90 days"),
        ({"study_role": "researcher"}, "needs a study"),
        ({"role": "owner"}, "one of the roles"),
    ],
)
def test_an_invitation_that_makes_no_sense_is_refused(changes, sentence):
    with pytest.raises(Invalid, match=sentence):
        make_invitation(**changes)
    assert not Invitation.objects.exists()


def spent(link: str) -> None:
    Client().post(link, newcomer())


def revoked(link: str) -> None:
    invitation_revoke(invitation=Invitation.objects.get())


def expired(link: str) -> None:
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def of_a_closed_study(link: str) -> None:
    study = make_study()
    Study.objects.filter(pk=study.pk).update(state=Study.State.CLOSED)
    Invitation.objects.update(study=study, study_role="annotator")


@pytest.mark.parametrize("end", [spent, revoked, expired, of_a_closed_study])
def test_an_invitation_that_is_over_answers_as_one_that_never_was(end):
    _, link = make_invitation()
    end(link)
    here = User.objects.count()
    pages = []
    for path in (link, "/join/a-guess/", "/join/" + "x" * 43 + "/"):
        for answer in (Client().get(path), Client().post(path, newcomer("eve"))):
            assert answer.status_code == 404
            pages.append(answer.content)
    assert len(set(pages)) == 1
    assert str(GONE) in pages[0].decode()
    assert User.objects.count() == here


def test_invitation_guessing_is_slowed_down_per_address_and_only_there():
    _, link = make_invitation()
    guesser = Client(REMOTE_ADDR="192.0.2.1")
    statuses = [guesser.get(f"/join/guess-{n}/").status_code for n in range(25)]
    assert statuses == [404] * 20 + [429] * 5
    assert guesser.get(link).status_code == 429  # nor does it learn from a hit
    assert Client(REMOTE_ADDR="192.0.2.2").get(link).status_code == 200


def test_a_class_that_joins_together_is_not_slowed_down():
    _, link = make_invitation(uses=40)
    for n in range(40):
        assert Client().post(link, newcomer(f"student{n}")).status_code == 302
    assert User.objects.filter(username__startswith="student").count() == 40


def test_a_name_that_is_taken_uses_nothing_up_and_creates_nobody():
    UserFactory(username="nina")
    _, link = make_invitation()
    page = Client().post(link, newcomer())
    assert page.status_code == 422
    assert "already exists" in page.content.decode()
    assert Client().post(link, newcomer("nora", password="short")).status_code == 422
    assert Invitation.objects.get().uses == 0
    assert Client().post(link, newcomer("nora")).status_code == 302


def test_somebody_who_has_an_account_joins_with_it():
    study = make_study()
    _, link = make_invitation(study=study, uses=2)
    ada = UserFactory(username="ada")
    client = client_of(ada)
    assert f"Join as {exact('ada')}" in client.get(link).content.decode()
    assert client.post(link).status_code == 302
    assert study.memberships.filter(user=ada, role="annotator").count() == 1
    again = client.post(link)
    assert (again.status_code, Invitation.objects.get().uses) == (422, 1)


def test_an_invitation_gives_a_role_and_takes_none_away():
    ada, rosa = UserFactory(), UserFactory(role=Role.RESEARCHER)
    _, up = make_invitation(role=Role.RESEARCHER, uses=2)
    _, down = make_invitation(role=Role.ANNOTATOR)
    client_of(ada).post(up)
    assert client_of(rosa).post(down).status_code == 422
    ada.refresh_from_db()
    rosa.refresh_from_db()
    assert (ada.role, rosa.role) == ("researcher", "researcher")


def test_an_invitation_ends_nobodys_blindness():
    study = make_study()
    annotator = study.memberships.filter(role="annotator").first().user
    _, run_it = make_invitation(study=study, study_role="researcher", role="researcher")
    _, judge_it = make_invitation(study=study)
    _, be_admin = make_invitation(role="admin")
    assert client_of(annotator).post(run_it).status_code == 403
    assert client_of(annotator).post(be_admin).status_code == 422
    assert client_of(researcher_of(study)).post(judge_it).status_code == 403
    annotator.refresh_from_db()
    assert annotator.role == Role.ANNOTATOR
    assert set(Invitation.objects.values_list("uses", flat=True)) == {0}


def test_the_database_itself_allows_no_use_too_many():
    invitation, _ = make_invitation()
    with pytest.raises(IntegrityError):
        Invitation.objects.filter(pk=invitation.pk).update(uses=2)


@pytest.mark.django_db(transaction=True)
def test_an_invitation_used_by_many_at_the_same_moment_lets_in_as_many_as_it_says():
    study = make_study()
    _, link = make_invitation(study=study, uses=3)
    token, together = link.split("/")[2], threading.Barrier(12)

    def join(n: int) -> bool:
        together.wait()
        try:
            people.person_join(token=token, username=f"guest{n}", password=PASSWORD)
        except NotFound:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(12) as pool:
        joined = sum(pool.map(join, range(12)))
    guests = User.objects.filter(username__startswith="guest")
    assert (joined, guests.count(), Invitation.objects.get().uses) == (3, 3, 3)
    assert study.memberships.filter(user__in=guests).count() == 3
