"""Adding many annotators at once, and finding one among many."""

import pytest

from annotation_site.annotation.views import annotators as views
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_study,
    researcher_of,
    text_of,
)

pytestmark = pytest.mark.django_db


def test_several_people_are_added_at_once_or_none():
    study = make_study()
    people = UserFactory.create_batch(3)
    client, url = client_of(researcher_of(study)), f"/studies/{study.slug}/people/"
    assert "data-people-picker" in text_of(client.get(url))
    assert client.post(url, {}).status_code == 422
    ids = [person.public_id for person in people]
    refused = client.post(url, {"person": [*ids, researcher_of(study).public_id]})
    assert refused.status_code == 422
    assert study.memberships.filter(user__in=people).count() == 0
    page = client.post(url, {"person": ids}, follow=True)
    assert "3 people were added. They annotate in this study now." in text_of(page)
    assert study.memberships.filter(user__in=people).count() == 3


def test_annotators_are_found_by_name_and_stand_on_several_pages(monkeypatch):
    monkeypatch.setattr(views, "PEOPLE_PER_PAGE", 2)
    people = [UserFactory(username=name) for name in ("ada", "adam", "bo")]
    study = make_study(people=people)
    client, url = client_of(researcher_of(study)), f"/studies/{study.slug}/people/"
    first = text_of(client.get(url))
    assert ("Page 1 of 2" in first, ">bo</bdi>" in first) == (True, False)
    found = text_of(client.get(url, {"name": "ADA"}))
    assert (">adam</bdi>" in found, ">bo</bdi>" in found) == (True, False)
    assert "Nobody has such a name here" in text_of(client.get(url, {"name": "zoe"}))
