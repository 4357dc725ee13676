"""A look at a list's page makes what its researcher adjudicates of it not blind."""

import pytest
from django.urls import reverse

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.models import Assignment, ListLook, Membership, Study
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.annotation.review.looks import look_is_asked, look_record
from annotation_site.results.files.adjudicated_export import adjudicated_records
from annotation_site.results.files.labels_export import annotation_records
from annotation_site.results.pages.list_search import ListFilters, lists_found
from annotation_site.results.snapshots import computation
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    make_study,
    pattern,
    researcher_of,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db
QUESTION = "Look at people’s annotations first?"
BIRDS = answer(pattern(1, [1, 2, 3, 4], description="birds"))
OWLS = answer(pattern(1, [1, 2, 3, 9], description="owls"))


def make() -> int:
    """A study with two people's annotations of its first list."""
    study = make_study()
    for row in study.items.order_by("pk")[0].assignments.select_related("membership__user"):
        submit(row, BIRDS)
    return study.pk


@pytest.fixture(scope="module")
def stored(store):
    return store(make)


@pytest.fixture
def study(stored, db):
    return Study.objects.get(pk=stored)


@pytest.fixture
def item(study):
    return study.items.order_by("pk")[0]


@pytest.fixture
def rosa(study):
    return researcher_of(study)


def page_of(item):
    return reverse("results:list", args=[item.study.slug, item.pk])


def adjudicate(item, user, content=BIRDS):
    return submit(adjudicated_annotation_open(item=item, by=user), content)


def test_a_researcher_who_can_adjudicate_blind_is_asked_first_and_nothing_is_marked(item, rosa):
    client = client_of(rosa)
    page = text_of(client.get(page_of(item)))
    assert QUESTION in page
    assert "birds" not in page
    assert f"layer {item.vector.layer}" not in page
    assert not ListLook.objects.exists()
    assert not adjudicate(item, rosa).looked_before


def test_a_yes_marks_what_is_adjudicated_afterwards_everywhere_it_goes(study, item, rosa):
    client = client_of(rosa)
    response = client.post(f"{page_of(item)}?order=number", follow=True)
    assert response.redirect_chain == [(f"{page_of(item)}?order=number", 302)]
    page = text_of(response)
    assert "birds" in page
    assert "your adjudicated annotation of this list will be marked as not blind" in page
    opened = client.post(
        reverse("annotation:adjudicate", args=[study.slug]), {"list": item.pk}, follow=True
    )
    assert "What you submit is marked as not blind." in text_of(opened)
    assert adjudicate(item, rosa, OWLS).looked_before
    assert [record["looked_before"] for record in adjudicated_records(study)] == [1]
    marked = [record.purpose for record in annotation_records(study) if record.looked_before]
    assert marked == ["adjudication"]
    assert lists_found(study, ListFilters(state="not_blind"), None) == [item.pk]
    assert ">not blind<" in text_of(client.get(page_of(item)))
    queue = reverse("results:adjudication", args=[study.slug])
    assert ">not blind<" in text_of(client.get(queue, {"show": "decided"}))
    request, _ = computation.table_request(study, annotations_of(study), Filters.of(study))
    counts = computation._counts(study, annotations_of(study), request.labels)
    assert (counts["adjudicated"], counts["adjudicated_not_blind"]) == (1, 1)


def test_a_look_is_recorded_once_with_a_line_in_the_log(study, item, rosa):
    for _ in range(2):
        look_record(item=item, by=rosa)
    (entry,) = AuditEntry.objects.filter(action="list_looked_at")
    assert (entry.actor, entry.target) == (rosa.public_id, f"study:{study.slug}")
    assert entry.details == {"list": item.pk}


def test_what_was_adjudicated_blind_stays_so_until_it_is_changed_after_a_look(item, rosa):
    adjudicate(item, rosa)
    page = text_of(client_of(rosa).get(page_of(item)))  # nobody asks: it is given
    assert "A change that you submit from now on will be marked as not blind" in page
    assert not adjudicate(item, rosa).looked_before  # the same answer again
    assert adjudicate(item, rosa, OWLS).looked_before


def test_a_draft_is_not_given_yet_so_its_person_is_asked(item, rosa):
    adjudicated_annotation_open(item=item, by=rosa)
    assert look_is_asked(item=item, user=rosa)


def test_somebody_who_cannot_adjudicate_the_list_is_not_asked(study, item, rosa):
    admin, second = UserFactory(role=Role.ADMIN), UserFactory(role=Role.RESEARCHER)
    Membership.objects.create(study=study, user=second, role=Membership.Role.RESEARCHER)
    assert not look_is_asked(item=item, user=admin)  # runs no study of others
    assert look_is_asked(item=item, user=second)
    adjudicate(item, rosa)
    assert not look_is_asked(item=item, user=second)  # another's is there
    Assignment.objects.filter(purpose="adjudication").delete()
    Study.objects.filter(pk=study.pk).update(state="archived")
    item.refresh_from_db()
    item.study.refresh_from_db()
    assert not look_is_asked(item=item, user=second)


def test_one_yes_can_stand_for_the_other_lists_and_marks_each_that_is_opened(study, item, rosa):
    client = client_of(rosa)
    client.post(page_of(item), {"all": "on"})
    second, third = study.items.order_by("pk")[1:3]
    assert QUESTION not in text_of(client.get(page_of(second)))
    assert set(ListLook.objects.values_list("item", flat=True)) == {item.pk, second.pk}
    assert QUESTION in text_of(client_of(rosa).get(page_of(third)))  # in another session


def test_the_api_asks_as_well(study, item, rosa):
    script = bearer(rosa)
    url = f"/api/studies/{study.slug}/lists/{item.pk}"
    refused = script.get(url)
    assert refused.status_code == 422
    assert "adjudicate this list blind" in refused.json()["error"]["message"]
    assert script.post(f"{url}/look").status_code == 204
    found = script.get(url).json()
    people = item.assignments.filter(purpose="annotation").values_list("membership__user__username")
    assert {(one["name"],) for one in found["annotations"]} == set(people)
    vector = item.vector
    assert (found["id"], found["kind"], found["layer"]) == (item.pk, vector.kind, vector.layer)
    n = vector.token_ids[0]
    assert found["entries"][0] == {
        "rank": 1, "entry": f"word{n}", "gloss": f"the meaning of {n}", "score": 1.0, "alike": 2,
        "people": 2,
    }  # fmt: skip
    assert found["agreement"] == {"entries": 1.0, "patterns": 1.0, "category": 1.0}
    assert found["free"] == 0


def test_a_pilot_or_training_list_has_no_such_page(rosa):
    study = make_study(training_lists=1, researcher=rosa, title="Trained")
    training = study.items.get(use="training")
    assert client_of(rosa).get(page_of(training)).status_code == 404


def test_a_look_goes_with_its_list(study, item, rosa):
    look_record(item=item, by=rosa)
    Assignment.objects.filter(item=item).delete()
    item.delete()
    assert not ListLook.objects.exists()
