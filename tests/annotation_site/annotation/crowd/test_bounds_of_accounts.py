"""An account of an open link can do its own work, and nothing else that the site offers."""

import pytest

from annotation_site.accounts import selectors, services, tokens
from annotation_site.accounts.models import Role, User
from annotation_site.annotation.crowd.guard import ALLOWED
from annotation_site.annotation.forms import AnnotatorForm, StudyForm
from annotation_site.annotation.models import Membership
from annotation_site.annotation.people.members import annotator_add
from annotation_site.errors import Invalid, NotAllowed
from tests.annotation_site.addresses import GET, address, status
from tests.annotation_site.annotation.crowd.people import joined, make_link, participant
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_invitation,
    make_study,
    researcher_of,
    text_of,
)

pytestmark = pytest.mark.django_db


def test_every_other_address_refuses_somebody_of_an_open_link(world):
    study, assignment, _clients = world
    client = joined(study.open_links.get())
    statuses = {name: status(client, address(name, study, assignment)) for name in GET}
    refused = {name for name, found in statuses.items() if found == 403}
    assert refused == set(GET) - ALLOWED
    assert set(GET) >= ALLOWED
    for name in ALLOWED:
        assert statuses[name] in (200, 302, 404, 405), name  # another person's lists: 404
    page = text_of(client.get("/account/"))
    assert "its account is for that study alone" in page
    assert client.get("/api/me").json()["error"]["code"] == "not_allowed"
    for url in ("/account/tokens/new/", "/account/password/", "/api/tokens", "/hours/"):
        assert client.post(url, {}).status_code == 403


def test_it_sees_its_own_lists_alone_and_nothing_of_the_account_in_the_header(world):
    study, assignment, _clients = world
    client = joined(study.open_links.get())
    assert client.get(f"/lists/{assignment.public_id}/").status_code == 404
    assert client.get("/studies/another/").status_code in (302, 404)
    page = text_of(client.get("/", follow=True))
    assert "Leave the study" in page
    assert "My account" not in page


def test_it_can_be_neither_found_nor_invited_nor_added_nor_promoted():
    study, other = make_study(), make_study()
    client = joined(make_link(study))
    user = participant(client).membership.user
    admin = UserFactory(role=Role.ADMIN)
    assert user not in selectors.annotators()
    assert user not in AnnotatorForm(study=other).fields["person"].queryset
    assert user not in StudyForm(by=admin).fields["annotators"].queryset
    assert user in selectors.people()  # an admin can erase it
    assert client.get(make_invitation(study=other)[1]).status_code == 403
    with pytest.raises(NotAllowed, match="joined another study by an open link"):
        annotator_add(study=other, user=user)
    for refused in (
        lambda: services.role_change(person=user, role=Role.RESEARCHER, by=admin),
        lambda: services.reset_link_make(person=user, by=admin),
        lambda: tokens.token_create(user=user, name="x", scopes=["read"]),
    ):
        with pytest.raises(Invalid, match="open link"):
            refused()
    user.refresh_from_db()
    assert user.role == Role.ANNOTATOR
    assert Membership.objects.filter(user=user).count() == 1


def test_the_database_keeps_such_an_account_an_annotator(django_assert_num_queries):
    study = make_study()
    user = participant(joined(make_link(study))).membership.user
    from django.db import IntegrityError, transaction

    for changes in ({"role": "admin"}, {"email": "a@example.org"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.filter(pk=user.pk).update(**changes)


def test_nobody_logs_in_to_it_by_name():
    study = make_study()
    user = participant(joined(make_link(study))).membership.user
    client = client_of(researcher_of(study))
    client.logout()
    response = client.post("/login/", {"login": user.username, "password": user.password})
    assert response.status_code == 200
    assert "do not match" in text_of(response)
