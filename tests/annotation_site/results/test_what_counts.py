"""Tables rest on annotations alone, whatever else people submit (METHOD section 4)."""

import pytest
from django.utils import timezone

from annotation_site.annotation.final_answers import final_answer_open
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.studies import study_state_change
from annotation_site.results import services
from annotation_site.results.dataframes import labels_of
from tests.annotation_site.factories import (
    answer,
    give_references,
    make_draft,
    make_extraction,
    pattern,
    submit,
)

pytestmark = pytest.mark.django_db
Purpose = Assignment.Purpose
ONE = answer(pattern(1, [1, 2, 3, 4]))
ALL = answer(pattern(1, list(range(1, 31))))


def tables(study):
    """The tables of what people said of the study's lists, and what they rest on."""
    snapshot = services.snapshot_refresh_now(study=study)
    found = {name: snapshot.tables[name] for name in snapshot.tables if name in COMPARED}
    labels = labels_of(study)
    return found, *(
        frame.sort_values(list(frame.columns), ignore_index=True).to_dict()
        for frame in (labels.lists, labels.annotations, labels.members)
    )


COMPARED = ("coverage", "agreement")


@pytest.fixture
def study():
    """A study after its pilot, in which everybody has judged all their lists alike."""
    made = make_draft(
        extraction=make_extraction(per_layer=6), annotators=3, lists_per_layer=2,
        training_lists=1, reference_lists=1, pilot_lists=1, repeat_percent=25,
    )  # fmt: skip
    give_references(made)
    study_state_change(study=made, state=Study.State.PILOT)
    Membership.objects.update(consent_version=0, consented_at=timezone.now())
    for pilot in Assignment.objects.filter(purpose=Purpose.PILOT)[:2]:
        submit(pilot, ONE)
    study_state_change(study=made, state=Study.State.OPEN)
    made.refresh_from_db()
    for own in Assignment.objects.filter(purpose=Purpose.ANNOTATION):
        submit(own, ONE)
    return made


def test_the_pilots_lists_and_answers_are_in_no_table(study):
    _, lists, annotations, _ = tables(study)
    own = set(study.items.filter(use="study").values_list("pk", flat=True))
    assert set(lists["list_id"].values()) == own
    assert set(annotations["list_id"].values()) == own
    assert len(annotations["list_id"]) == 2 * len(own)


@pytest.mark.parametrize("purpose", [Purpose.TRAINING, Purpose.REFERENCE, Purpose.REPEAT])
def test_what_stands_between_a_persons_lists_changes_no_table(study, purpose):
    before = tables(study)
    rows = Assignment.objects.filter(purpose=purpose, state=Assignment.State.WAITING)
    assert rows
    for row in rows:
        submit(row, ALL)
    assert tables(study) == before


def test_final_answers_change_no_table_of_what_people_said(study):
    before = tables(study)
    researcher = study.memberships.get(role=Membership.Role.RESEARCHER).user
    for item in study.items.filter(use__in=("study", "reference")):
        submit(final_answer_open(item=item, by=researcher), ALL)
    assert tables(study) == before


def test_surplus_answers_and_those_of_people_who_were_not_blind_change_no_table(study):
    own = Assignment.objects.filter(purpose=Purpose.ANNOTATION).order_by("pk")
    surplus, unblinded = own[0], own[1]
    Assignment.objects.filter(pk=surplus.pk).update(surplus=True)
    Assignment.objects.filter(pk=unblinded.pk).update(unblinded=True)
    Study.objects.update(removals=1)  # as whatever changes what counts does
    before = tables(study)
    for row in (surplus, unblinded):
        row.patterns.all().delete()
    Study.objects.update(removals=2)
    assert tables(study) == before


def test_the_table_of_reference_lists_leaves_out_people_who_were_not_blind(study):
    rows = list(Assignment.objects.filter(purpose=Purpose.REFERENCE).order_by("pk"))
    for row in rows:
        submit(row, ONE)
    Assignment.objects.filter(pk=rows[0].pk).update(unblinded=True)
    snapshot = services.snapshot_refresh_now(study=study)
    codes = dict(study.pseudonyms.values_list("user", "name"))
    blind = {codes[row.membership.user_id] for row in rows[1:]}
    assert {person for person, *_ in snapshot.tables["reference"]["rows"]} == blind


def test_an_annotation_changes_them(study):
    before = tables(study)
    submit(Assignment.objects.filter(purpose=Purpose.ANNOTATION).first(), ALL)
    after = tables(study)
    assert all(
        one != other for one, other in zip(before[0].values(), after[0].values(), strict=True)
    )
    assert before[3] != after[3]
