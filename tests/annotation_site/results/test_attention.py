"""What needs attention: each row comes from facts, says what to do, and goes when it is settled."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.people.members import annotator_add, annotator_remove
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.corpus.models import Extraction
from annotation_site.results.models import Snapshot
from annotation_site.results.pages.attention import attention_of
from annotation_site.results.pages.study_facts import study_facts
from annotation_site.results.tables.filters import Filters
from annotation_site.sentences import Sentence
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    give_references,
    make_draft,
    make_extraction,
    make_study,
    pattern,
    researcher_of,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db
State = Assignment.State


def rows(study, **later):
    """What the study asks for now, or some time later."""
    study.refresh_from_db()
    now = timezone.now() + timedelta(**later)
    (facts,) = study_facts([study], now=now)
    return attention_of(facts, now=now)


def kinds(study, **later):
    return [row.kind for row in rows(study, **later)]


def slots_of(study, user):
    found = Assignment.objects.filter(item__study=study, membership__user=user)
    return found.select_related("membership__user", "item").order_by("position")


@pytest.fixture
def people():
    return [UserFactory(username="ada"), UserFactory(username="ben")]


@pytest.fixture
def study(people):
    """Two lists for ada and ben, open, both at work."""
    study = make_study(
        people=people, extraction=make_extraction(layers=1, kinds=("value",)), lists_per_layer=2
    )
    return study


def test_a_draft_asks_for_people_then_for_references_then_to_be_opened(people):
    ada, ben = people
    draft = make_draft(people=[ada], annotators_per_list=1, training_lists=2)
    Study.objects.update(annotators_per_list=2)
    annotator_remove(membership=draft.memberships.get(user=ada), by=researcher_of(draft))
    assert kinds(draft) == ["nobody", "references_missing"]
    annotator_add(study=draft, user=ada)
    first, second = rows(draft)
    assert (first.kind, first.fact) == ("too_few", "1 of 2 annotators are in the study")
    assert (second.fact, second.button) == ("2 reference annotations are missing", "Write them")
    assert second.url == f"/studies/{draft.slug}/references/"
    annotator_add(study=draft, user=ben)
    assert kinds(draft) == ["references_missing"]
    give_references(draft)
    (row,) = rows(draft)
    assert (row.kind, row.state, row.fact) == ("ready", "open", "Ready to open")
    study_state_change(study=draft, state="open")
    assert kinds(draft) == []


def test_a_pilot_that_everybody_has_finished_asks_to_be_ended(people):
    draft = make_draft(people=people, pilot_lists=1)
    study_state_change(study=draft, state="pilot")
    draft.memberships.update(consent_version=0)
    assert kinds(draft) == []
    for person in people:
        submit(slots_of(draft, person).get())
    assert kinds(draft) == ["pilot_done"]
    study_state_change(study=draft, state="open")
    assert kinds(draft) == []


def test_an_open_study_without_annotators_asks_for_some(study, people):
    for member in study.memberships.filter(role="annotator"):
        annotator_remove(membership=member, by=researcher_of(study))
    assert kinds(study) == ["nobody"]
    annotator_add(study=study, user=people[0])
    assert kinds(study)[0] == "too_few"


def test_slots_that_nobody_can_take_are_counted_until_somebody_new_comes(study, people):
    slot = slots_of(study, people[0]).first()
    Assignment.objects.filter(pk=slot.pk).update(state=State.SKIPPED, skip_reason="odd")
    (row,) = rows(study)
    assert (row.kind, row.fact) == ("stuck_slots", "Nobody can take 1 slot")
    # Somebody who has not had the list can take it.
    nina = UserFactory()
    member = Membership.objects.create(study=study, user=nina, role="annotator")
    assert kinds(study) == []
    member.delete()
    annotator_add(study=study, user=nina)
    assert kinds(study) == []


def test_lists_with_two_annotations_wait_to_be_adjudicated(study, people):
    item = study.items.first()
    for person in people:
        submit(slots_of(study, person).get(item=item), answer(pattern(1, [1, 2, 3, 4])))
    (row,) = rows(study)
    assert (row.fact, row.button) == ("1 list to adjudicate", "Adjudicate 1 list")
    assert row.why == "1 list has two annotations or more; 0 of these are adjudicated."
    assert row.url == f"/studies/{study.slug}/adjudication/"
    submit(adjudicated_annotation_open(item=item, by=researcher_of(study)))
    assert kinds(study) == []


def test_somebody_with_lists_left_is_idle_after_a_week(study, people):
    ada, ben = people
    submit(slots_of(study, ada).first())
    assert kinds(study, days=6) == []
    adas, bens = rows(study, days=7)
    assert "ada</bdi> has been idle for 7 days" in adas.fact
    assert adas.why.startswith("1 list is left to them.")
    assert "ben</bdi> has not started in 7 days" in bens.fact
    assert bens.url == f"/studies/{study.slug}/run/#person-{ben.public_id}"
    for person in people:
        for slot in slots_of(study, person).exclude(state="submitted"):
            submit(slot)
    assert "idle" not in kinds(study, days=30)


def test_somebody_whose_lists_went_to_others_is_idle_too(study, people):
    Membership.objects.filter(user=people[0]).update(away_since=timezone.now())
    slots_of(study, people[0]).delete()
    adas, _bens = rows(study, days=7)
    assert "ada</bdi> has not started in 7 days" in adas.fact
    assert adas.why == "Others have their unopened lists until they come back. Remind them."


def test_many_idle_people_are_one_row():
    study = make_study(annotators=5, annotators_per_list=1)
    (row,) = rows(study, days=8)
    assert row.fact == "5 annotators have been idle for 7 days or more"
    assert row.why == "12 lists are left to them. Remind them, or release these to others."


def test_somebody_below_the_score_of_the_training_waits_to_be_let_in(people):
    study = make_study(people=people, training_lists=1, training_pass_percent=80)
    slot = slots_of(study, people[0]).get(purpose="training")
    submit(slot, answer(pattern(1, [20, 21, 22, 23])))
    (row,) = rows(study)
    assert "ada</bdi> is below the score of the training" in row.fact
    assert "is 0%, and 80% opens" in row.why
    assert "idle" not in [one.kind for one in rows(study, days=9) if "ada" in one.fact]
    Membership.objects.filter(user=people[0]).update(training_waived_at=timezone.now())
    assert kinds(study) == []


def test_opened_lists_past_their_time_are_told_together(study, people):
    lists = Assignment.objects.filter(item__study=study, purpose="annotation")
    lists.update(state=State.IN_PROGRESS, opened_at=timezone.now())
    assert "overdue" not in kinds(study, hours=71)
    (row,) = rows(study, hours=73)
    assert row.fact == "4 opened lists are past their time"
    assert "ada</bdi> (2), <bdi" in row.why
    submit(lists.first())
    submit(lists.filter(state=State.IN_PROGRESS).first())
    assert "overdue" not in kinds(study, hours=73)


def test_a_flag_ends_with_what_it_is(people):
    study = make_study(people=people, annotators_per_list=1)
    for n, slot in enumerate(slots_of(study, people[0])[:5]):
        submit(slot, answer(pattern(1, [1, 2, 3, 4 + n])))
    Assignment.objects.filter(state="submitted").update(active_seconds=4)
    (row,) = rows(study)
    assert row.kind == "flag"
    assert "ada</bdi>: fast" in row.fact
    assert row.why == (
        "Very fast: the median of the last 5 lists is 4 s of active time; in the whole study it is "
        "4 s. This is a hint only; nothing is rejected."
    )
    Assignment.objects.filter(state="submitted").update(active_seconds=40)
    assert kinds(study) == []


def test_results_that_failed_are_told_until_newer_ones_are_ready(study):
    filters = Filters.of(study)
    made = {"study": study, "filters": filters.canonical(), "filter_key": filters.key}
    Snapshot.objects.create(
        **made, data_version=3, state="failed", error=Sentence("The disk is full.")
    )
    (row,) = rows(study)
    assert (row.kind, row.sign) == ("snapshot_failed", "bad")
    assert row.why.startswith("The disk is full. Older results stay.")
    Snapshot.objects.create(**made, data_version=4, state="ready")
    assert kinds(study) == []
    other = {**made, "filter_key": "of somebody's own choice"}
    Snapshot.objects.create(**other, data_version=5, state="failed")
    assert kinds(study) == []


def test_a_finished_study_asks_to_be_closed(study, people):
    for person in people:
        for slot in slots_of(study, person):
            submit(slot)
    finished, adjudicate = rows(study)
    assert (finished.fact, finished.button) == ("All 4 annotations are in", "Close…")
    assert finished.question == "Close the study?"
    assert adjudicate.kind == "adjudicate"
    client = client_of(researcher_of(study))
    response = client.post(finished.url, {"state": finished.state})
    assert response["Location"] == f"/studies/{study.slug}/home/"
    assert kinds(study) == ["adjudicate"]
    study_state_change(study=study, state="archived")
    assert kinds(study) == []


def test_a_failed_extraction_is_told_to_admins_until_the_model_was_extracted_again():
    Extraction.objects.create(model_source="small", state="failed")
    admin, researcher = (client_of(UserFactory(role=role)) for role in (Role.ADMIN, "researcher"))
    assert "The extraction of" in text_of(admin.get("/"))
    assert "The extraction of" not in text_of(researcher.get("/"))
    Extraction.objects.create(model_source="small", state="ready")
    assert "The extraction of" not in text_of(admin.get("/"))


def test_names_are_escaped_and_kept_from_translation(study):
    study.memberships.filter(role="annotator").first().user.__class__.objects.filter(
        username="ada"
    ).update(username="<b>{0}</b>")
    lists = Assignment.objects.filter(item__study=study, purpose="annotation")
    lists.update(state=State.IN_PROGRESS, opened_at=timezone.now() - timedelta(days=9))
    page = text_of(client_of(researcher_of(study)).get(f"/studies/{study.slug}/home/"))
    assert "<b>{0}" not in page
    assert '<bdi class="notranslate" translate="no">&lt;b&gt;{0}&lt;/b&gt;</bdi> (2)' in page
