"""Many people at once: never more than k live answers, never twice to one person, none lost."""

import contextlib
import os
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Count
from django.http import Http404
from django.utils import timezone

from annotation_site.accounts.bounds import DayIsFull
from annotation_site.annotation.allocation import slots
from annotation_site.annotation.allocation.shares import shares_of
from annotation_site.annotation.lists.page import next_assignment
from annotation_site.annotation.models import (
    Assignment,
    Membership,
    Pattern,
    Revision,
    Study,
    TakenTime,
)
from annotation_site.annotation.people import consent
from annotation_site.annotation.people.members import (
    annotator_add,
    annotator_remove,
    assignments_release,
)
from annotation_site.annotation.studies.plans import plan_of
from annotation_site.annotation.studies.rules import study_change
from annotation_site.annotation.work import submissions
from annotation_site.errors import DraftConflict, Invalid, InvalidAnnotation, NotFound
from annotation_site.results.files.labels_export import annotation_records
from annotation_site.results.files.labels_import import labels_import
from annotation_site.results.pseudonyms import pseudonyms_of
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    give_references,
    make_draft,
    make_extraction,
    make_study,
    pattern,
    submit,
)

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE = 6
CLIENTS = 32


def work(membership_id: int) -> int:
    """One person's session: every third list is skipped, the rest submitted, some twice."""
    try:
        user = Membership.objects.get(pk=membership_id).user
        done = 0
        while (assignment := next_assignment(membership_id)) is not None:
            try:
                submissions.assignment_open(assignment)
            except NotFound:  # it went to somebody else at this moment
                continue
            arguments = {
                "user": user,
                "public_id": assignment.public_id,
                "base_version": assignment.draft_version,
                "key": uuid.uuid4(),
            }
            if assignment.position % 3 == 0:
                submissions.assignment_skip(**arguments, reason="crowded")
            else:
                submission = {**arguments, "annotation": answer(), "active_seconds": 1}
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
        annotator_add(study=study, user=UserFactory())
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


def assert_places_are_kept(study: Study, k: int) -> None:
    """Every list has exactly k live answers, and nobody has one twice."""
    own = Assignment.objects.filter(item__study=study, purpose="annotation")
    live = own.filter(state__in=Assignment.LIVE, surplus=False)
    per_list = dict(live.values_list("item").annotate(n=Count("pk")))
    assert per_list == dict.fromkeys(
        study.items.filter(use="study").values_list("pk", flat=True), k
    )
    assert not own.values("membership", "item").annotate(n=Count("pk")).filter(n__gt=1)


@pytest.mark.parametrize("k", [1, 3])
def test_32_clients_at_once_never_fill_a_list_twice(k):
    study = make_study(
        annotators=CLIENTS, extraction=make_extraction(per_layer=12), lists_per_layer=11,
        annotators_per_list=k, repeat_percent=20, reference_lists=1, lease_hours=1,
    )  # fmt: skip
    everybody = list(study.memberships.filter(role="annotator").order_by("pk"))
    idle, *clients = everybody

    def disturb() -> None:
        """What researchers and the clock do meanwhile."""
        try:
            Assignment.objects.filter(membership=idle, state="waiting").update(
                state="in progress", opened_at=timezone.now() - timedelta(days=9)
            )
            slots.leases_sweep()
            assignments_release(membership=clients[0], by=study.created_by)
            annotator_remove(membership=clients[1], by=study.created_by)
            annotator_add(study=study, user=clients[1].user)
            consent.study_withdraw(membership=clients[2])
        finally:
            connection.close()

    def session(membership: Membership) -> None:
        with contextlib.suppress(Http404, DraftConflict):  # of whoever withdrew
            work(membership.pk)

    with ThreadPoolExecutor(CLIENTS) as pool:
        sessions = [pool.submit(session, client) for client in clients]
        sessions.append(pool.submit(disturb))
        for each in sessions:
            each.result()
    assert_places_are_kept(study, k)
    answered = Assignment.objects.filter(state="submitted", membership__withdrawn_at=None)
    assert Revision.objects.filter(assignment__in=answered).count() == answered.count() > CLIENTS


COMERS = 64


def comes_and_goes(study: Study, number: int, lists: int) -> list[uuid.UUID]:
    """One client: joins, works, and leaves in one of eight ways; returns what was submitted."""
    drawn, done = random.Random(number), []
    try:
        member = annotator_add(study=study, user=UserFactory(username=f"comer{number}"))
        consent.consent_give(membership=member, version=0)
        way = number % 8
        for step in range(drawn.randint(1, lists)):
            row = next_assignment(member.pk)
            if row is None:
                break
            try:
                submissions.assignment_open(row)
            except NotFound:  # it went to somebody else at this moment
                continue
            said = {
                "user": member.user, "public_id": row.public_id,
                "base_version": row.draft_version, "key": uuid.uuid4(), "active_seconds": 1,
            }  # fmt: skip
            if way in (3, 7) and step % 3 == 1:
                submissions.assignment_skip(**said, reason="crowded")
            else:
                submissions.assignment_submit(**said, annotation=answer())
                done.append(row.public_id)
        if way == 4:
            consent.study_withdraw(membership=member)
        elif way == 5:
            annotator_remove(membership=member, by=study.created_by)
        elif way == 6:
            assignments_release(membership=member, by=study.created_by)
            member.refresh_from_db()
            slots.annotator_return(membership=member)
        elif way == 7:
            Membership.objects.filter(pk=member.pk).update(
                at_work_since=timezone.now() - timedelta(days=99),
                consented_at=timezone.now() - timedelta(days=99),
            )
            member.assignments.exclude(opened_at=None).update(
                opened_at=timezone.now() - timedelta(days=98),
                submitted_at=timezone.now() - timedelta(days=98),
            )
            member.worked_days.all().delete()
            slots.leases_sweep()
    finally:
        connection.close()
    return done


def test_64_people_who_come_work_and_go_lose_nothing_and_double_nothing():
    per_layer, lists = (60, 24) if "CROWD" in os.environ else (6, 3)  # `make crowd` sets it
    study = make_study(
        annotators=3, extraction=make_extraction(per_layer=per_layer + 1),
        lists_per_layer=per_layer, annotators_per_list=2, repeat_percent=10, reference_lists=1,
    )  # fmt: skip
    with ThreadPoolExecutor(COMERS) as pool:
        sessions = [pool.submit(comes_and_goes, study, n, lists) for n in range(COMERS)]
        said = [public_id for session in sessions for public_id in session.result()]
    kept = Assignment.objects.filter(item__study=study, state="submitted")
    kept = kept.exclude(purpose="adjudication").values_list("public_id", flat=True)
    assert sorted(kept) == sorted(said)  # withdrawing keeps what was submitted
    assert_places_are_kept(study, 2)
    at_work = [m for m in study.memberships.filter(role="annotator") if slots.is_at_work(m)]
    slots.shares_renew(study_id=study.pk)
    shares = shares_of(study, list(study.memberships.filter(role="annotator")))
    assert not any(one.reason.startswith("Pace") for one in shares.people.values())
    assert COMERS // 2 < len(at_work) < COMERS
    # Those who stay finish all of it.
    while rows := [row for member in at_work if (row := next_assignment(member.pk))]:
        for row in rows:
            with contextlib.suppress(Assignment.DoesNotExist):  # it went to somebody else
                submit(row)
    own = Assignment.objects.filter(item__study=study, purpose="annotation", surplus=False)
    submitted = own.filter(state="submitted").values("item").annotate(n=Count("pk"))
    assert set(submitted.values_list("n", flat=True)) == {2}
    assert submitted.count() == study.items.filter(use="study").count()


@pytest.mark.parametrize("k", [1, 3])
def test_of_32_late_answers_to_one_list_at_once_exactly_k_count_and_none_is_lost(k):
    study = make_study(annotators=CLIENTS, annotators_per_list=k, lists_per_layer=1)
    item = study.items.first()
    began = timezone.now() - timedelta(days=9)
    item.assignments.update(state="expired", opened_at=began)
    people = study.memberships.filter(role="annotator").exclude(assignments__item=item)
    Assignment.objects.bulk_create(
        Assignment(item=item, membership=person, position=900, state="expired", opened_at=began)
        for person in people
    )
    start = threading.Barrier(CLIENTS)

    def submit(assignment: Assignment) -> None:
        try:
            start.wait(timeout=60)
            submissions.assignment_submit(
                user=assignment.membership.user, public_id=assignment.public_id, base_version=0,
                key=uuid.uuid4(), annotation=answer(), active_seconds=1,
            )  # fmt: skip
        finally:
            connection.close()

    late = list(item.assignments.select_related("membership__user"))
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(submit, late))
    submitted = item.assignments.filter(state="submitted")
    assert submitted.count() == CLIENTS
    assert submitted.filter(surplus=False).count() == k


def test_somebody_who_withdraws_while_submitting_leaves_nothing_and_blocks_nobody():
    study = make_study(
        annotators=PEOPLE, extraction=make_extraction(per_layer=4), on_withdrawal="remove"
    )
    leaver, *others = study.memberships.filter(role="annotator").order_by("pk")
    begun = threading.Event()

    def leave() -> None:
        try:
            begun.wait(timeout=30)
            consent.study_withdraw(membership=leaver)
        finally:
            connection.close()

    def work_until_left() -> None:
        begun.set()
        # What the page of a person who has left is told.
        with contextlib.suppress(Http404, DraftConflict):
            work(leaver.pk)

    with ThreadPoolExecutor(PEOPLE + 1) as pool:
        for session in [
            pool.submit(work_until_left),
            pool.submit(leave),
            *(pool.submit(work, other.pk) for other in others),
        ]:
            session.result()
    own = Assignment.objects.filter(membership=leaver)
    assert set(own.values_list("state", flat=True)) == {Assignment.State.WITHDRAWN}
    assert not Revision.objects.filter(assignment__in=own).exists()
    assert not Pattern.objects.filter(assignment__in=own).exists()
    places = Assignment.objects.filter(state__in=Assignment.LIVE, surplus=False)
    per_list = places.values("item").annotate(n=Count("pk")).values_list("n", flat=True)
    assert max(per_list) <= study.annotators_per_list


def test_of_two_tabs_that_save_at_once_one_wins_and_one_is_told():
    study = make_study()
    assignment = Assignment.objects.filter(membership__study=study).first()
    user = assignment.membership.user

    def save(text: str) -> str:
        try:
            submissions.draft_save(
                user=user, public_id=assignment.public_id, base_version=0,
                content={"annotation": text}, active_seconds=0,
            )  # fmt: skip
        except DraftConflict:
            return "conflict"
        finally:
            connection.close()
        return "saved"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(save, "abcdefgh"))
    assert outcomes == ["conflict"] * 7 + ["saved"]


def test_a_submission_that_is_under_way_wins_over_the_end_of_its_lease():
    study = make_study(annotators=3)
    assignment = Assignment.objects.filter(membership__study=study).first()
    Assignment.objects.filter(pk=assignment.pk).update(
        state=Assignment.State.IN_PROGRESS, opened_at=timezone.now() - timedelta(days=10)
    )

    def sweep() -> None:
        try:
            slots.leases_sweep()
        finally:
            connection.close()

    sweeper = threading.Thread(target=sweep)
    with transaction.atomic():
        submissions.assignment_submit(
            user=assignment.membership.user, public_id=assignment.public_id, base_version=0,
            key=uuid.uuid4(), annotation=answer(), active_seconds=0,
        )  # fmt: skip
        sweeper.start()
        sweeper.join(timeout=0.5)  # long enough to reach the lock that this transaction holds
    sweeper.join()
    assignment.refresh_from_db()
    assert (assignment.state, assignment.surplus) == (Assignment.State.SUBMITTED, False)


def test_a_submission_that_is_under_way_wins_over_a_change_of_rules():
    study = make_study(annotators=3)
    assignment = Assignment.objects.filter(membership__study=study).first()
    told: list[str] = []

    def change() -> None:
        try:
            study_change(study=study, plan=replace(plan_of(study), seed=99))
        except Invalid as error:
            told.append(error.message)
        finally:
            connection.close()

    changer = threading.Thread(target=change)
    with transaction.atomic():
        submissions.assignment_submit(
            user=assignment.membership.user, public_id=assignment.public_id, base_version=0,
            key=uuid.uuid4(), annotation=answer(), active_seconds=0,
        )  # fmt: skip
        changer.start()
        changer.join(timeout=0.5)  # long enough to reach the lock that this transaction holds
    changer.join()
    assert len(told) == 1
    assignment.refresh_from_db()
    assert assignment.state == Assignment.State.SUBMITTED


def beside(work, then=lambda: None):
    """What `work` raises that begins in another process while this one is within a transaction.

    `then` is done here after `work` has had the time to reach a lock.
    """
    raised: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            raised.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=0.5)
    then()
    return thread, raised


@pytest.mark.parametrize("way", ["opened", "by a script"])
def test_no_answer_is_stored_under_rules_that_changed_while_it_waited(way):
    study = make_study(annotators=3)
    assignment = Assignment.objects.filter(membership__study=study).first()
    if way == "opened":
        submissions.assignment_open(assignment)
    content = answer(pattern(1, [1, 2, 3, 4], category="syntactic"))

    def submit() -> None:
        submissions.assignment_submit(
            user=assignment.membership.user, public_id=assignment.public_id, base_version=0,
            key=uuid.uuid4(), annotation=content, active_seconds=0,
        )  # fmt: skip

    with transaction.atomic():
        study_change(study=study, plan=replace(plan_of(study), categories=["semantic"]))
        thread, raised = beside(submit)
    thread.join()
    assert isinstance(raised[0], DraftConflict | InvalidAnnotation)
    assert not Pattern.objects.exists()


def test_a_late_answer_and_its_authors_return_do_not_wait_for_each_other():
    study = make_study(annotators=2)
    assignment = Assignment.objects.filter(membership__study=study).first()
    annotator_remove(membership=assignment.membership, by=study.created_by)
    assignment.pk, assignment.state = None, "expired"  # as at the end of its lease
    assignment.opened_at = timezone.now() - timedelta(days=9)
    assignment.save()

    def submit() -> None:
        submissions.assignment_submit(
            user=assignment.membership.user, public_id=assignment.public_id, base_version=0,
            key=uuid.uuid4(), annotation=answer(), active_seconds=0,
        )  # fmt: skip

    with transaction.atomic():
        Assignment.objects.select_for_update().get(pk=assignment.pk)  # as the submission begins
        thread, raised = beside(
            lambda: annotator_add(study=study, user=assignment.membership.user), then=submit
        )
    thread.join()
    assert raised == []
    assignment.refresh_from_db()
    assert (assignment.state, assignment.surplus) == (Assignment.State.SUBMITTED, False)
    assert_places_are_kept(study, 2)


@pytest.mark.parametrize("what", ["a change of rules", "an import"])
def test_a_final_answer_does_not_wait_in_a_circle_with(what):
    """Where the reference answer is the younger row: imported, for example, after the others."""
    study = make_draft(reference_lists=1, annotators=2)
    reference = study.items.get(use="reference")
    first, second = study.memberships.filter(role="annotator").order_by("pk")
    older = Assignment.objects.create(
        membership=first, item=reference, purpose="reference", position=1
    )
    give_references(study)
    final = Assignment.objects.get(purpose="adjudication")
    assert older.pk < final.pk
    (record,) = annotation_records(study)
    code = pseudonyms_of(study)[second.user_id]
    record = replace(record, purpose="reference", role="annotator", annotator=code)

    def work() -> None:
        if what == "an import":
            labels_import(study=study, records=[record], people={})
        else:
            study_change(study=study, plan=replace(plan_of(study), min_tokens=5))

    with transaction.atomic():
        Assignment.objects.select_for_update().get(pk=final.pk)  # as the submission begins
        thread, raised = beside(work, then=lambda: submit(final, answer()))
    thread.join()
    assert raised == []
    final.refresh_from_db()
    assert final.version == 2


def test_a_silent_reference_that_is_on_its_way_is_scored_by_the_answer_that_changes_meanwhile():
    make_study(reference_lists=1, annotators=2)
    silent = Assignment.objects.filter(purpose="reference").first()
    final = Assignment.objects.get(purpose="adjudication")
    ranks = [10, 11, 12, 13]

    def submit(row: Assignment) -> None:
        submissions.assignment_submit(
            user=row.membership.user, public_id=row.public_id, base_version=row.draft_version,
            key=uuid.uuid4(), annotation=answer(pattern(1, ranks)), active_seconds=0,
        )  # fmt: skip

    with transaction.atomic():
        submit(silent)  # the reference answer is another one as yet
        thread, raised = beside(lambda: submit(final))
    thread.join()
    assert raised == []
    silent.refresh_from_db()
    assert silent.reference_score == 1


def test_reports_of_one_person_at_once_take_no_moment_twice():
    study = make_study(extraction=make_extraction(per_layer=4))
    member = study.memberships.filter(role="annotator").first()
    lists = list(member.assignments.order_by("position")[:12])
    opened = timezone.now() - timedelta(seconds=60)
    member.assignments.update(opened_at=opened, state=Assignment.State.IN_PROGRESS)

    def report(assignment: Assignment) -> None:
        try:
            submissions.assignment_submit(
                user=member.user, public_id=assignment.public_id, base_version=0,
                key=uuid.uuid4(), annotation=answer(), active_seconds=10_000_000,
            )  # fmt: skip
        finally:
            connection.close()

    with ThreadPoolExecutor(PEOPLE) as pool:
        list(pool.map(report, lists))
    passed = (timezone.now() - opened).total_seconds()
    counted = sum(member.assignments.values_list("active_seconds", flat=True))
    assert 60 <= counted <= passed + 1
    assert TakenTime.objects.get(user=member.user).day_seconds == counted


def test_submissions_of_one_list_at_once_pass_the_days_number_by_none(monkeypatch):
    monkeypatch.setattr(submissions, "MOST_REVISIONS_A_DAY", 3)
    study = make_study()
    assignment = Assignment.objects.filter(membership__study=study).first()
    user = assignment.membership.user

    def submit_again(rank: int) -> None:
        try:
            for _ in range(20):
                version = Assignment.objects.get(pk=assignment.pk).draft_version
                with contextlib.suppress(DraftConflict):
                    submissions.assignment_submit(
                        user=user, public_id=assignment.public_id, base_version=version,
                        key=uuid.uuid4(), annotation=answer(pattern(1, [rank])), active_seconds=0,
                    )  # fmt: skip
                    return
        except DayIsFull:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(PEOPLE) as pool:
        list(pool.map(submit_again, range(1, 11)))
    assert Revision.objects.filter(assignment=assignment).count() == 3
