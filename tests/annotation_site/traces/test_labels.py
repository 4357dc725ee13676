"""What people called a vector: from which studies, by which majority, with what overlap."""

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.corpus.models import Token, Vector
from annotation_site.traces.labels import Label, Labelled, labels_of
from tests.annotation_site.factories import (
    TRACE,
    LanguageModelFactory,
    UserFactory,
    answer,
    client_of,
    make_extraction,
    make_study,
    make_trace,
    pattern,
    researcher_of,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db
State = Study.State


def annotated(*answers, extraction=None, **changes):
    """A study of value vectors in which people gave these answers to the list 0.0."""
    extraction = extraction or make_extraction(layers=1, per_layer=2, kinds=("value", "random"))
    study = make_study(
        extraction=extraction,
        people=[UserFactory() for _ in answers],
        annotators_per_list=len(answers),
        lists_per_layer=2,
        **changes,
    )
    own = Assignment.objects.filter(
        item__study=study, item__vector__kind="value", item__vector__index=0,
        membership__role=Membership.Role.ANNOTATOR,
    ).order_by("membership")  # fmt: skip
    for row, content in zip(own, answers, strict=True):
        submit(row, content)
    return study


def said(study, *, by=None, state=State.CLOSED, places=((0, 0),)):
    Study.objects.filter(pk=study.pk).update(state=state)
    weights = study.extractions.get().model.weights_digest
    return labels_of(places, weights=weights, user=by or UserFactory(role=Role.RESEARCHER))


def people(found, place=(0, 0)):
    (label,) = found.of(*place).labels
    assert not label.is_machine
    return label


def test_a_label_is_what_most_people_say_and_how_far_they_overlap():
    study = annotated(
        answer(pattern(1, [1, 2, 3, 4], description="cities", category="semantic")),
        answer(
            pattern(1, [1, 2, 3, 4, 5], description="Cities", category="semantic"),
            pattern(2, [11, 12, 13, 14], description="in -ing", category="syntactic"),
        ),
        answer(pattern(1, [1, 2, 3, 4], description="capitals", category="syntactic")),
    )
    label = people(said(study))
    # Jaccard overlaps of the entries in any pattern: 4/9, 4/4 and 4/9.
    assert label == Label(
        "semantic", ["cities", "in -ing", "capitals"], 3, pytest.approx((4 / 9 + 1 + 4 / 9) / 3)
    )


def test_patterns_that_are_too_small_count_neither_for_the_label_nor_for_the_overlap():
    study = annotated(
        answer(pattern(1, [1, 2], description="two")),
        answer(),
    )
    label = people(said(study))
    assert label == Label("", [], 2, 1.0)  # both saw no pattern that counts


def test_no_category_without_a_majority():
    study = annotated(
        answer(pattern(1, [1, 2, 3, 4], description="a", category="semantic")),
        answer(pattern(1, [1, 2, 3, 4], description="b", category="syntactic")),
    )
    assert people(said(study)).category == ""


def test_one_person_has_no_agreement():
    study = annotated(answer(pattern(1, [1, 2, 3, 4], description="cities")))
    assert (people(said(study)).people, people(said(study)).agreement) == (1, None)


@pytest.mark.parametrize("state", [State.OPEN, State.PAUSED, State.PILOT])
def test_an_unfinished_study_of_others_shows_that_it_is_there_and_nothing_else(state):
    study = annotated(answer(pattern(1, [1, 2, 3, 4], description="cities")))
    found = said(study, state=state)
    assert found.of(0, 0) == Labelled([], is_held=True)
    assert found.looked_at == []


def test_a_vector_that_is_held_has_no_label_of_finished_studies_either():
    extraction = make_extraction(layers=1, per_layer=2, kinds=("value", "random"))
    finished = annotated(answer(pattern(1, [1, 2, 3, 4])), extraction=extraction)
    Study.objects.filter(pk=finished.pk).update(state=State.CLOSED)
    open_one = annotated(answer(), extraction=extraction)
    assert said(open_one, state=State.OPEN).of(0, 0) == Labelled([], is_held=True)


@pytest.mark.parametrize("state", [State.DRAFT, State.DELETING])
def test_drafts_and_studies_that_are_being_deleted_show_nothing(state):
    study = annotated(answer(pattern(1, [1, 2, 3, 4], description="cities")))
    assert [one.is_machine for one in said(study, state=state).of(0, 0).labels] in ([], [True])
    assert not said(study, state=state).of(0, 0).is_held


def test_whoever_runs_the_study_is_asked_before_a_look_that_ends_blindness():
    study = annotated(answer(pattern(1, [1, 2, 3, 4], description="cities")))
    rosa = researcher_of(study)
    assert said(study, by=rosa, state=State.OPEN).of(0, 0) == Labelled([], ask_first=True)
    admin = UserFactory(role=Role.ADMIN)  # who adjudicates nothing
    found = said(study, by=admin, state=State.OPEN)
    assert people(found).descriptions == ["cities"]
    assert [item.vector.index for _, item in found.looked_at] == [0]  # the one that is shown
    archived = said(study, by=rosa, state=State.ARCHIVED)
    assert people(archived).descriptions == ["cities"]


def test_all_extractions_of_the_same_weights_are_of_the_same_vectors():
    model = LanguageModelFactory(weights_digest="sha256:same")
    other = LanguageModelFactory(weights_digest="sha256:same", name="the same by another name")
    study = annotated(
        answer(pattern(1, [1, 2, 3, 4], description="cities")),
        extraction=make_extraction(model=other, layers=1, per_layer=2, kinds=("value", "random")),
    )
    make_extraction(model=model, layers=1, per_layer=2, kinds=("value",))
    assert people(said(study)).descriptions == ["cities"]
    foreign = labels_of([(0, 0)], weights="sha256:else", user=UserFactory(role=Role.RESEARCHER))
    assert foreign.of(0, 0) == Labelled()


def test_two_studies_are_put_together():
    extraction = make_extraction(layers=1, per_layer=2, kinds=("value", "random"))
    one = annotated(answer(pattern(1, [1, 2, 3, 4], description="cities")), extraction=extraction)
    Study.objects.filter(pk=one.pk).update(state=State.CLOSED)
    two = annotated(
        answer(pattern(1, [1, 2, 3, 4], description="cities")),
        answer(pattern(1, [1, 2, 3, 4, 5, 6, 7, 8], description="places")),
        extraction=extraction,
    )
    label = people(said(two))
    assert (label.people, label.descriptions) == (3, ["cities", "places"])
    assert label.agreement == pytest.approx(0.5)  # of the two that had the same list


def test_without_people_a_machine_annotator_says_so():
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value",))
    for n, token in enumerate(Token.objects.filter(extraction=extraction)[:30]):
        token.display = f"{'abcdefghijklmnopqrstuvwxyzäöüß'[n] * 3}ness"
        token.save()
    weights = extraction.model.weights_digest
    found = labels_of([(0, 0)], weights=weights, user=UserFactory(role=Role.RESEARCHER))
    (label,) = found.of(0, 0).labels
    assert label.is_machine
    assert (label.people, label.agreement) == (0, None)
    assert "ness" in label.descriptions[0]
    assert label.to_json()["kind"] == "machine"


def test_a_page_shows_description_people_and_overlap_and_marks_machines():
    study = annotated(
        answer(pattern(1, [1, 2, 3, 4], description="cities")),
        answer(pattern(1, [1, 2, 3, 4], description="cities")),
    )
    Study.objects.update(state=State.CLOSED)
    model = study.extractions.get().model
    type(model).objects.filter(pk=model.pk).update(n_layers=2, d_ff=1_000)
    model.refresh_from_db()
    trace = make_trace(model, is_shared=True)
    first = json.loads(TRACE.read_text())["layers"][0]["dominant"][0]["index"]
    Vector.objects.filter(kind="value", index=0).update(index=first)
    page = client_of(UserFactory(role=Role.RESEARCHER)).get(f"/traces/{trace.public_id}/?layer=0")
    text = " ".join(re.sub("<[^>]+>", " ", text_of(page)).split())
    assert "cities 2 people , 100%" in text.replace("people,", "people ,")
    assert "no label yet" in text


def test_many_vectors_take_as_many_queries_as_one():
    study = annotated(answer(pattern(1, [1, 2, 3, 4])), answer(pattern(1, [1, 2, 3, 4])))
    rosa = UserFactory(role=Role.RESEARCHER)

    def queries(places):
        with CaptureQueriesContext(connection) as found:
            said(study, by=rosa, places=places)
        return len(found)

    many = [(0, index) for index in range(200)]
    assert queries(many) == queries([(0, 0), (0, 1)]) <= 15
