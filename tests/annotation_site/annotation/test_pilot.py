"""A pilot: everybody tries the task on lists of its own, and nothing of it counts."""

import pytest
from django.utils import timezone

from annotation_site.annotation.lists.page import next_assignment
from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.annotation.people import members
from annotation_site.annotation.studies import services as studies
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.results.snapshots.services import snapshot_refresh_now
from tests.annotation_site.annotation.answering import save, submit
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    make_draft,
    make_extraction,
    make_study,
    pattern,
)
from tests.annotation_site.results.frames import frames_of

pytestmark = pytest.mark.django_db
State = Assignment.State
MARKED = answer(pattern(1, [1, 2, 3, 4, 5]))


def make_pilot(**changes):
    """A study in its pilot phase, of three people and four pilot lists."""
    study = make_draft(
        annotators=3,
        extraction=make_extraction(per_layer=4),
        **{"pilot_lists": 4, "lists_per_layer": 3, **changes},
    )
    study.memberships.update(consent_version=0)
    studies.study_state_change(study=study, state="pilot")
    study.refresh_from_db()
    return study


def test_everybody_gets_every_pilot_list_in_an_order_of_their_own_and_no_other():
    study = make_pilot()
    pilot = set(study.items.filter(use=Item.Use.PILOT).values_list("pk", flat=True))
    orders = [
        list(person.assignments.order_by("position").values_list("item", "purpose"))
        for person in study.memberships.filter(role="annotator")
    ]
    assert all({item for item, _ in order} == pilot for order in orders)
    assert {purpose for order in orders for _, purpose in order} == {"pilot"}
    assert len({tuple(order) for order in orders}) > 1


def test_people_work_in_a_pilot_as_they_will_later():
    study = make_pilot()
    first = next_assignment(study.memberships.filter(role="annotator")[0].pk)
    client = client_of(first.membership.user)
    assert client.get(f"/studies/{study.slug}/next/")["Location"] == f"/lists/{first.public_id}/"
    assert client.get(f"/lists/{first.public_id}/").status_code == 200
    save(first, {"annotation": "half"}, 0)
    submit(first, MARKED)
    first.refresh_from_db()
    assert (first.state, first.surplus) == (State.SUBMITTED, False)


def test_somebody_who_joins_during_a_pilot_gets_its_lists():
    study = make_pilot()
    membership = members.annotator_add(study=study, user=UserFactory())
    assert membership.assignments.filter(purpose="pilot").count() == 4


@pytest.mark.parametrize("after", ["draft", "open"])
def test_the_end_of_a_pilot_ends_what_is_unfinished_and_keeps_what_was_submitted(after):
    study = make_pilot()
    done, begun, *_ = Assignment.objects.order_by("pk")
    submit(done, MARKED)
    save(begun, {"annotation": "half"}, 0)
    studies.study_state_change(study=study, state=after)
    done.refresh_from_db()
    begun.refresh_from_db()
    assert (done.state, done.purpose) == (State.SUBMITTED, "pilot")
    assert (begun.state, begun.draft) == (State.EXPIRED, {"annotation": "half"})
    assert not Assignment.objects.filter(purpose="pilot", state__in=Assignment.UNFINISHED).exists()


def test_an_ended_pilot_takes_no_more_answers():
    study = make_pilot()
    late = Assignment.objects.first()
    studies.study_state_change(study=study, state="open")
    with pytest.raises(NotAllowed, match="pilot, which has ended"):
        submit(late, MARKED)


def test_after_a_pilot_every_list_of_the_study_goes_to_k_people():
    study = make_pilot()
    studies.study_state_change(study=study, state="open")
    for item in study.items.filter(use=Item.Use.STUDY):
        assert item.assignments.filter(purpose="annotation").count() == 2
    assert not Assignment.objects.filter(item__use="pilot", purpose="annotation").exists()


def test_what_a_pilot_says_changes_no_table_but_that_of_variance_components():
    study = make_pilot()
    for pilot in Assignment.objects.filter(purpose="pilot")[:6]:
        submit(pilot, MARKED)
    studies.study_state_change(study=study, state="open")
    study.refresh_from_db()
    labels = frames_of(study)
    own = set(study.items.filter(use=Item.Use.STUDY).values_list("pk", flat=True))
    assert set(labels.lists["list_id"]) == own
    assert labels.annotations.empty
    submit(Assignment.objects.filter(purpose="annotation").first(), MARKED)
    with_pilot = dict(snapshot_refresh_now(study=study).tables)
    sources = {row[0] for row in with_pilot.pop("variance_components")["rows"]}
    Assignment.objects.filter(purpose="pilot").delete()
    Study.objects.filter(pk=study.pk).update(removals=1000)
    without = dict(snapshot_refresh_now(study=study).tables)
    own = {row[0] for row in without.pop("variance_components")["rows"]}
    assert without == with_pilot
    assert (sources, own) == ({"annotation", "pilot"}, {"annotation"})


def test_a_pilot_needs_lists_and_people():
    study = make_draft()
    with pytest.raises(Invalid, match="no pilot lists"):
        studies.study_state_change(study=study, state="pilot")
    lonely = make_draft(lists_per_layer=1, pilot_lists=1)
    lonely.memberships.filter(role="annotator").delete()
    with pytest.raises(Invalid, match="has no annotators"):
        studies.study_state_change(study=lonely, state="pilot")


def test_an_archived_study_is_hidden_until_it_comes_back():
    study = make_study()
    annotator = client_of(study.memberships.filter(role="annotator")[0].user)
    researcher = client_of(study.created_by)
    for state in ("closed", "archived"):
        studies.study_state_change(study=study, state=state)
    assert study.slug not in annotator.get("/").content.decode()
    assert annotator.get(f"/studies/{study.slug}/").status_code == 404
    assert study.slug not in researcher.get("/").content.decode()
    assert study.slug in researcher.get("/?archived").content.decode()
    assert researcher.get(f"/studies/{study.slug}/rules/").status_code == 200
    studies.study_state_change(study=study, state="closed")
    assert annotator.get(f"/studies/{study.slug}/").status_code == 200
    assert study.slug in researcher.get("/").content.decode()


def test_somebody_who_is_added_again_during_the_pilot_goes_on_with_it():
    study = make_pilot()
    person = study.memberships.filter(role="annotator").first()
    before = list(person.assignments.order_by("pk").values_list("pk", "state"))
    members.annotator_remove(membership=person, by=study.created_by)
    assert next_assignment(person.pk) is None
    members.annotator_add(study=study, user=person.user)
    assert list(person.assignments.order_by("pk").values_list("pk", "state")) == before


def test_a_second_pilot_goes_on_with_what_the_first_left_unfinished():
    study = make_pilot()
    done, begun, *_ = Assignment.objects.order_by("pk")
    submit(done, MARKED)
    Assignment.objects.filter(pk=begun.pk).update(
        state=State.IN_PROGRESS, opened_at=timezone.now(), draft={"annotation": "half"}
    )
    before = list(Assignment.objects.order_by("pk").values_list("pk", "state", "position"))
    for state in ("draft", "pilot"):
        studies.study_state_change(study=study, state=state)
    after = list(Assignment.objects.order_by("pk").values_list("pk", "state", "position"))
    assert after == before
    joined = members.annotator_add(study=study, user=UserFactory())
    assert joined.assignments.filter(state=State.WAITING).count() == 4
