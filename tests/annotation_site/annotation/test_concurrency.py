"""Many people at once: never more than k live answers, never twice to one person, none lost."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.db.models import Count

from annotation_site.annotation import selectors, services, submissions
from annotation_site.annotation.models import Assignment, Membership, Revision
from annotation_site.errors import DraftConflict
from tests.annotation_site.factories import UserFactory, answer, make_extraction, make_study

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE = 6


def work(membership_id: int) -> int:
    """One person's session: every third list is skipped, the rest submitted, some twice."""
    try:
        user = Membership.objects.get(pk=membership_id).user
        done = 0
        while (assignment := selectors.next_assignment(membership_id)) is not None:
            submissions.assignment_open(assignment)
            arguments = {
                "user": user,
                "public_id": assignment.public_id,
                "base_version": assignment.draft_version,
                "key": uuid.uuid4(),
            }
            if assignment.position % 3 == 0:
                submissions.assignment_skip(**arguments, reason="crowded")
            else:
                submission = {**arguments, "answer": answer(), "active_seconds": 1}
                submissions.assignment_submit(**submission)
                submissions.assignment_submit(**submission)  # a retry
            done += 1
        return done
    finally:
        connection.close()


def test_people_who_skip_and_submit_at_once_keep_every_promise():
    study = make_study(annotators=PEOPLE, extraction=make_extraction(per_layer=4))
    members = list(study.memberships.filter(role="annotator").values_list("pk", flat=True))
    with ThreadPoolExecutor(PEOPLE) as pool:
        sessions = [pool.submit(work, pk) for pk in members]
        services.annotator_add(study=study, user=UserFactory())
        done = sum(session.result() for session in sessions)
    places = Assignment.objects.filter(state__in=Assignment.LIVE, surplus=False)
    per_list = places.values("item").annotate(n=Count("pk")).values_list("n", flat=True)
    assert max(per_list) <= study.annotators_per_list
    assert (
        not Assignment.objects.values("membership", "item").annotate(n=Count("pk")).filter(n__gt=1)
    )
    assert Revision.objects.count() == done
    finished = Assignment.objects.filter(state__in=("submitted", "skipped"))
    assert finished.count() == done


def test_of_two_tabs_that_save_at_once_one_wins_and_one_is_told():
    study = make_study()
    assignment = Assignment.objects.filter(membership__study=study).first()
    user = assignment.membership.user

    def save(text: str) -> str:
        try:
            submissions.draft_save(
                user=user, public_id=assignment.public_id, base_version=0,
                content={"answer": text}, active_seconds=0,
            )  # fmt: skip
        except DraftConflict:
            return "conflict"
        finally:
            connection.close()
        return "saved"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(save, "abcdefgh"))
    assert outcomes == ["conflict"] * 7 + ["saved"]
