"""Final answers from people's answers side by side: blind, and nobody's answer changes."""

import json
import uuid

import pytest
from django.forms.models import model_to_dict
from django.urls import reverse

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.models import (
    Assignment,
    Membership,
    Pattern,
    PatternMember,
    Revision,
    Study,
)
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.annotation.review.adjudication import SideBySide, side_by_side
from annotation_site.annotation.work import submissions
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    make_study,
    pattern,
    researcher_of,
    submission,
)

pytestmark = pytest.mark.django_db
NAMES = ("zoe-first", "yan-second", "xu-third")
BIRDS = pattern(1, [1, 2, 3, 4, 5], description="birds")
FEW = pattern(2, [9, 10], description="few", category="syntactic")
OWLS = pattern(1, [1, 2, 3, 4, 20], description="owls")


def give(row, content):
    return submissions.assignment_submit(
        user=row.membership.user,
        public_id=row.public_id,
        base_version=0,
        key=uuid.uuid4(),
        annotation=content,
        active_seconds=0,
    )


def make_world(*contents, **changes):
    """A study, and one of its lists with these answers."""
    people = [UserFactory(username=f"{NAMES[n]}") for n in range(len(contents))]
    study = make_study(people=people, annotators_per_list=len(people), **changes)
    item = study.items.order_by("pk")[0]
    for person, content in zip(people, contents, strict=True):
        give(item.assignments.get(membership__user=person), content)
    return study, item


@pytest.fixture
def world():
    return make_world(answer(BIRDS, FEW, comment="a secret comment"), answer(OWLS))


def test_patterns_that_overlap_stand_side_by_side(world):
    _, item = world
    compared = side_by_side(item)
    assert compared.letters == ["A", "B"]
    both, alone = compared.matches
    assert [token.rank for token in both.shared] == [1, 2, 3, 4]
    said = {side.description: side for _, side in both.sides}
    assert [token.rank for token in said["birds"].others] == [5]
    assert [token.rank for token in said["owls"].others] == [20]
    (few,) = [side for _, side in alone.sides if side]
    assert (few.description, few.counts) == ("few", False)
    assert [side is None for _, side in alone.sides].count(True) == 1


def test_each_mark_has_the_number_of_its_match_and_each_pattern_a_key(world):
    _, item = world
    compared = side_by_side(item)
    birds = next(letter for letter, side in compared.matches[0].sides if len(side.ranks) == 5
                 and side.description == "birds")  # fmt: skip
    owls = "B" if birds == "A" else "A"
    marks = {(mark["letter"], mark["number"]): mark for mark in compared.marks}
    assert marks == {
        (birds, 1): {"letter": birds, "number": 1, "counts": True, "ranks": [1, 2, 3, 4, 5]},
        (owls, 1): {"letter": owls, "number": 1, "counts": True, "ranks": [1, 2, 3, 4, 20]},
        (birds, 2): {"letter": birds, "number": 2, "counts": False, "ranks": [9, 10]},
    }
    keys = [side.key for match in compared.matches for _, side in match.sides if side]
    assert keys == ["1", "2", "3"]
    assert compared.keyed_letters == [("A", "A"), ("B", "B")]


def test_nine_patterns_have_a_key_and_no_letter_takes_that_of_a_command():
    few = [pattern(n, [3 * n - 2, 3 * n - 1]) for n in range(1, 9)]
    _, item = make_world(answer(*few), answer(*few))
    compared = side_by_side(item)
    keys = [side.key for match in compared.matches for _, side in match.sides if side]
    assert keys == [*"123456789", *[""] * 7]
    many = SideBySide([*"ABCDEFGHIJK"], [], [], {})
    assert [key for _, key in many.keyed_letters] == [*"ABCDEFGHI", "", ""]


def test_three_answers_are_joined_without_anybody_twice_in_a_row():
    _, item = make_world(answer(BIRDS), answer(OWLS), answer(pattern(1, [1, 2, 3, 4])))
    (match,) = side_by_side(item).matches
    assert [letter for letter, side in match.sides if side] == ["A", "B", "C"]
    assert [token.rank for token in match.shared] == [1, 2, 3, 4]


def test_an_answer_without_a_pattern_is_said_to_be_one():
    _, item = make_world(answer(BIRDS), answer())
    compared = side_by_side(item)
    (empty,) = compared.without
    assert compared.annotations[empty] == {"patterns": [], "no_pattern": True, "comment": ""}
    assert len(compared.matches) == 1


def test_letters_are_the_same_at_every_visit_and_do_not_follow_the_people():
    first = []
    study, _ = make_world(answer(), answer())
    people = [m.user for m in study.memberships.filter(role="annotator").order_by("pk")]
    for item in study.items.order_by("pk"):
        for person, content in zip(people, (answer(BIRDS), answer(OWLS)), strict=True):
            row = item.assignments.get(membership__user=person)
            if row.state != "submitted":
                give(row, content)
        said = [side_by_side(item).annotations["A"] for _ in range(2)]
        assert said[0] == said[1]
        first.append(bool(said[0]["patterns"]) and said[0]["patterns"][0]["description"])
    assert {"birds", "owls"} <= set(first)


def test_surplus_and_unblinded_answers_are_not_compared(world):
    _, item = world
    for change in ({"surplus": True}, {"unblinded": True}):
        row = item.assignments.filter(purpose="annotation").last()
        Assignment.objects.filter(pk=row.pk).update(**change)
        assert side_by_side(item).letters == ["A"]
        Assignment.objects.filter(pk=row.pk).update(surplus=False, unblinded=False)


def test_the_page_is_blind(world):
    study, item = world
    client = client_of(researcher_of(study))
    response = client.post(
        reverse("annotation:adjudicate", args=[study.slug]), {"list": item.pk}, follow=True
    )
    page = response.content.decode()
    assert "birds" in page
    assert "owls" in page
    vector = item.vector
    secrets = [
        *NAMES[:2], "a secret comment", vector.extraction.model.name, f"layer {vector.layer}",
        *(str(m.user.public_id) for m in study.memberships.filter(role="annotator")),
        *(str(row.public_id) for row in item.assignments.filter(purpose="annotation")),
    ]  # fmt: skip
    for secret in secrets:
        assert secret not in page, secret
    queue = client.get(reverse("results:adjudication", args=[study.slug])).content.decode()
    for secret in secrets:
        assert secret not in queue, secret


def originals(study):
    rows = Assignment.objects.filter(item__study=study).exclude(purpose="adjudication")
    return (
        [model_to_dict(row) for row in rows.order_by("pk")],
        [model_to_dict(row) for row in Pattern.objects.filter(assignment__in=rows).order_by("pk")],
        list(PatternMember.objects.filter(pattern__assignment__in=rows).order_by("pk").values()),
        list(Revision.objects.filter(assignment__in=rows).order_by("pk").values()),
    )


def test_a_final_answer_is_its_own_record_and_no_original_changes(world):
    study, item = world
    before = originals(study)
    researcher = researcher_of(study)
    client = client_of(researcher)
    client.post(reverse("annotation:adjudicate", args=[study.slug]), {"list": item.pk})
    final = Assignment.objects.get(purpose="adjudication")
    client.get(reverse("annotation:adjudication", args=[final.public_id]))
    for content in (answer(OWLS), answer(BIRDS)):
        reply = client.post(
            reverse("api:submit", args=[final.public_id]),
            json.dumps(submission(final, content)),
            content_type="application/json",
        )
        assert reply.status_code == 200
        assert reply.json() == {
            "next": None, "next_url": reverse("results:adjudication", args=[study.slug]),
        }  # fmt: skip
    final.refresh_from_db()
    assert (final.state, final.version) == ("submitted", 2)
    assert final.patterns.get().description == "birds"
    assert originals(study) == before
    given = AuditEntry.objects.filter(action="adjudicated_annotation_given")
    assert given.count() == 2
    assert given[0].actor == researcher.public_id


def test_final_answers_are_given_in_a_closed_study_too(world):
    study, item = world
    Study.objects.filter(pk=study.pk).update(state=Study.State.CLOSED)
    final = adjudicated_annotation_open(item=item, by=researcher_of(study))
    page = client_of(researcher_of(study)).get(
        reverse("annotation:adjudication", args=[final.public_id])
    )
    assert page.context["page"]["study"]["open"] is True
    give(final, answer(OWLS))
    assert Assignment.objects.get(pk=final.pk).state == "submitted"


def test_the_ordinary_page_of_a_final_answer_leads_to_the_one_with_the_answers(world):
    study, item = world
    final = adjudicated_annotation_open(item=item, by=researcher_of(study))
    response = client_of(researcher_of(study)).get(
        reverse("annotation:list", args=[final.public_id])
    )
    assert response.url == reverse("annotation:adjudication", args=[final.public_id])


def test_a_second_researcher_cannot_open_somebody_elses_final_answer(world):
    study, item = world
    final = adjudicated_annotation_open(item=item, by=researcher_of(study))
    give(final, answer(OWLS))
    other = UserFactory(role=Role.RESEARCHER)
    Membership.objects.create(study=study, user=other, role=Membership.Role.RESEARCHER)
    client = client_of(other)
    assert client.get(reverse("annotation:adjudication", args=[final.public_id])).status_code == 404
    refused = client.post(reverse("annotation:adjudicate", args=[study.slug]), {"list": item.pk})
    assert refused.status_code == 403
    assert "Ask them to finish" in refused.content.decode()
