"""Reference answers: given on the annotation page, before the study opens."""

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.accounts.models import Role, User
from annotation_site.annotation.models import Assignment, Membership, Pattern, Revision, Study
from annotation_site.annotation.review.adjudicated_annotations import (
    adjudicated_annotation_open,
    references_of,
)
from annotation_site.annotation.review.training import silent_scores_sweep
from annotation_site.annotation.studies.plans import plan_of
from annotation_site.annotation.studies.rules import study_change, study_duplicate
from annotation_site.annotation.studies.services import study_open, study_state_change
from annotation_site.annotation.work import submissions
from annotation_site.annotation.work.own_work import work_days
from annotation_site.errors import Invalid, NotAllowed
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    give_references,
    make_draft,
    make_extraction,
    make_study,
    pattern,
    submission,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db
State = Assignment.State
Purpose = Assignment.Purpose
RIGHT = answer(pattern(1, [1, 2, 3, 4]))
OTHER = answer(pattern(1, [1, 2, 3, 4]), pattern(2, [10, 11, 12, 13]))


def draft(**changes):
    return make_draft(
        **{
            "extraction": make_extraction(per_layer=4),
            "lists_per_layer": 2,
            "training_lists": 1,
            "reference_lists": 1,
            **changes,
        }
    )


def researcher_of(study):
    return study.memberships.filter(role=Membership.Role.RESEARCHER).first().user


def item_of(study, use="training"):
    return study.items.filter(use=use).first()


def test_a_researcher_answers_on_the_annotation_page_and_then_the_study_opens():
    study = draft()
    client = client_of(researcher_of(study))
    url = f"/studies/{study.slug}/references/"
    page = text_of(client.get(url))
    assert "2 of 2 lists have no reference annotation yet" in page
    items = list(study.items.filter(use__in=("training", "reference")))
    address = client.post(url, {"list": items[0].pk})["Location"]
    for item in items:
        assert client.get(address).context["page"]["study"]["open"]
        final = Assignment.objects.get(item=item, purpose=Purpose.ADJUDICATION)
        assert final.state == State.IN_PROGRESS
        with pytest.raises(Invalid, match="no reference annotation yet"):
            study_open(study=study)
        api = f"/api/lists/{final.public_id}"
        saved = {"base_version": 0, "content": {"annotation": RIGHT}, "active_seconds": 0}
        assert client.put(f"{api}/draft", saved, "application/json").status_code == 200
        reply = client.post(f"{api}/submit", submission(final, RIGHT), "application/json")
        address = reply.json()["next_url"]  # of the next list, and at the end of the page
        assert reply.json() == {"next": None, "next_url": address}
    assert address == url
    assert "All 2 lists have a reference annotation." in text_of(client.get(url))
    study_open(study=study)


def test_the_page_of_a_final_answer_tells_no_provenance():
    study = draft()
    final = adjudicated_annotation_open(item=item_of(study), by=researcher_of(study))
    page = client_of(researcher_of(study)).get(f"/lists/{final.public_id}/")
    assert study.extractions.get().model.name not in page.content.decode()
    assert page.context["page"]["urls"]["skip"] is None


@pytest.mark.parametrize("use", ["training", "reference"])
def test_one_missing_answer_keeps_the_study_from_opening(use):
    study = draft()
    for item in study.items.filter(use__in={"training", "reference"} - {use}):
        submit(adjudicated_annotation_open(item=item, by=researcher_of(study)), RIGHT)
    with pytest.raises(Invalid, match=r"^1 training or reference list has no"):
        study_open(study=study)
    study.refresh_from_db()
    assert study.state == Study.State.DRAFT
    assert not Assignment.objects.exclude(purpose=Purpose.ADJUDICATION).exists()


def test_a_pilot_needs_the_answers_that_it_shows():
    study = draft(pilot_lists=1)
    with pytest.raises(Invalid, match="1 training or reference list has no reference annotation"):
        study_state_change(study=study, state=Study.State.PILOT)
    submit(adjudicated_annotation_open(item=item_of(study), by=researcher_of(study)), RIGHT)
    study_state_change(study=study, state=Study.State.PILOT)


def test_an_open_study_gets_no_new_lists_that_need_an_answer():
    study = make_study(extraction=make_extraction(per_layer=4), lists_per_layer=2)
    plan = plan_of(study).__class__(**{**vars(plan_of(study)), "training_lists": 1})
    with pytest.raises(Invalid, match="only a draft can get some"):
        study_change(study=study, plan=plan)
    assert not study.items.filter(use="training").exists()


def test_a_copy_asks_for_answers_of_its_own():
    study = draft()
    give_references(study)
    copy = study_duplicate(study=study, title="Again", by=researcher_of(study))
    assert [r.is_annotated for r in references_of(study)] == [True, True]
    assert [r.is_annotated for r in references_of(copy)] == [False, False]


# One per list


def test_opened_again_it_is_the_same_answer():
    study = draft()
    by, item = researcher_of(study), item_of(study)
    final = adjudicated_annotation_open(item=item, by=by)
    submit(final, RIGHT)
    assert adjudicated_annotation_open(item=item, by=by) == final
    assert Assignment.objects.filter(purpose=Purpose.ADJUDICATION).count() == 1


def test_another_researcher_takes_over_only_what_nobody_has_begun():
    study = draft()
    other = UserFactory(role=Role.RESEARCHER)
    Membership.objects.create(study=study, user=other, role=Membership.Role.RESEARCHER)
    item = item_of(study)
    final = adjudicated_annotation_open(item=item, by=researcher_of(study))
    assert adjudicated_annotation_open(item=item, by=other) == final
    final.refresh_from_db()
    assert final.membership.user == other
    submissions.draft_save(
        user=other, public_id=final.public_id, base_version=0, content={}, active_seconds=0
    )
    with pytest.raises(NotAllowed, match=f"{other} has begun"):
        adjudicated_annotation_open(item=item, by=researcher_of(study))


def test_what_a_researcher_left_unfinished_can_be_finished_by_another():
    study = draft()
    gone, other = researcher_of(study), UserFactory(role=Role.RESEARCHER)
    Membership.objects.create(study=study, user=other, role=Membership.Role.RESEARCHER)
    final = adjudicated_annotation_open(item=item_of(study), by=gone)
    content = {"annotation": RIGHT}
    submissions.draft_save(
        user=gone, public_id=final.public_id, base_version=0, content=content, active_seconds=0
    )
    gone.is_active = False
    gone.save()
    assert adjudicated_annotation_open(item=item_of(study), by=other).draft == content


def test_hours_at_a_final_answer_stay_with_whoever_worked_them():
    study = draft()
    gone, other = researcher_of(study), UserFactory(role=Role.RESEARCHER)
    Membership.objects.create(study=study, user=other, role=Membership.Role.RESEARCHER)
    final = adjudicated_annotation_open(item=item_of(study), by=gone)
    long_ago = timezone.now() - timedelta(hours=1)
    Assignment.objects.update(opened_at=long_ago, state=State.IN_PROGRESS)
    submissions.draft_save(
        user=gone, public_id=final.public_id, base_version=0, content={}, active_seconds=600
    )
    gone.is_active = False
    gone.save()
    taken = adjudicated_annotation_open(item=item_of(study), by=other)
    assert (taken.active_seconds, taken.opened_at, taken.state) == (0, None, State.WAITING)
    submissions.assignment_open(taken)
    Assignment.objects.update(opened_at=long_ago)
    submit(taken, RIGHT)
    hours = [[(d.active_seconds, d.lists) for d in work_days(user)] for user in (gone, other)]
    assert hours == [[(600, 0)], [(5, 1)]]
    taken.refresh_from_db()
    assert taken.active_seconds == 5


def test_hours_at_a_final_answer_that_comes_back_go_on_from_where_they_were():
    study = draft()
    people = researcher_of(study), UserFactory(role=Role.RESEARCHER)
    Membership.objects.create(study=study, user=people[1], role=Membership.Role.RESEARCHER)
    long_ago = timezone.now() - timedelta(hours=1)
    version = 0
    for turn, seconds in ((0, 600), (1, 30), (0, 660)):
        User.objects.filter(pk__in=[user.pk for user in people]).update(is_active=False)
        User.objects.filter(pk=people[turn].pk).update(is_active=True)
        user = User.objects.get(pk=people[turn].pk)
        final = adjudicated_annotation_open(item=item_of(study), by=user)
        if (turn, seconds) == (0, 660):
            assert final.active_seconds == 600  # what the page goes on counting from
        Assignment.objects.update(opened_at=long_ago, state=State.IN_PROGRESS)
        version = submissions.draft_save(
            user=user,
            public_id=final.public_id,
            base_version=version,
            content={},
            active_seconds=seconds,
        )
    hours = [[d.active_seconds for d in work_days(user)] for user in people]
    assert hours == [[660], [30]]


def test_only_researchers_of_the_study_give_final_answers():
    study = draft()
    annotator = study.memberships.filter(role=Membership.Role.ANNOTATOR).first().user
    for by in (annotator, UserFactory(role=Role.RESEARCHER), UserFactory(role=Role.ADMIN)):
        with pytest.raises(NotAllowed):
            adjudicated_annotation_open(item=item_of(study), by=by)
    researcher = researcher_of(study)
    final = adjudicated_annotation_open(item=item_of(study), by=researcher)
    researcher.role = Role.ANNOTATOR
    researcher.save()
    assert client_of(researcher).get(f"/lists/{final.public_id}/").status_code == 404
    with pytest.raises(NotAllowed):
        adjudicated_annotation_open(item=item_of(study), by=researcher)


def test_a_list_of_the_pilot_has_none_and_an_archived_study_takes_none():
    study = draft(pilot_lists=1)
    by = researcher_of(study)
    with pytest.raises(Invalid, match="Pilot lists have no"):
        adjudicated_annotation_open(item=item_of(study, "pilot"), by=by)
    Study.objects.update(state=Study.State.ARCHIVED)
    with pytest.raises(Invalid, match="archived"):
        adjudicated_annotation_open(item=item_of(study), by=by)


def test_a_final_answer_of_a_list_of_the_study_can_be_given_after_it_closed():
    study = make_study()
    Study.objects.update(state=Study.State.CLOSED)
    final = adjudicated_annotation_open(item=item_of(study, "study"), by=researcher_of(study))
    assert submit(final, RIGHT).state == State.SUBMITTED
    assert final.reference_score is None


def test_a_final_answer_is_not_skipped():
    study = draft()
    final = adjudicated_annotation_open(item=item_of(study), by=researcher_of(study))
    with pytest.raises(Invalid, match="cannot be skipped"):
        submissions.assignment_skip(
            user=researcher_of(study), public_id=final.public_id, base_version=0,
            key=uuid.uuid4(), reason="x",
        )  # fmt: skip


# After people have answered


def test_a_changed_reference_answer_scores_what_people_said_anew_and_changes_none_of_it():
    study = draft(training_lists=0)
    give_references(study)
    study_open(study=study)
    Membership.objects.update(consent_version=0)
    silent = Assignment.objects.filter(purpose=Purpose.REFERENCE).first()
    submit(silent, OTHER)
    silent_scores_sweep()
    said = list(Pattern.objects.filter(assignment=silent).values())
    written = list(Revision.objects.filter(assignment=silent).values())
    silent.refresh_from_db()
    assert silent.reference_score == 0.5
    submit(Assignment.objects.get(item=silent.item, purpose=Purpose.ADJUDICATION), OTHER)
    silent.refresh_from_db()
    assert silent.reference_score == 1
    assert list(Pattern.objects.filter(assignment=silent).values()) == said
    assert list(Revision.objects.filter(assignment=silent).values()) == written


def test_a_reference_answer_that_somebody_was_shown_stays():
    study = draft()
    give_references(study)
    study_open(study=study)
    Membership.objects.update(consent_version=0)
    final = Assignment.objects.get(item__use="training", purpose=Purpose.ADJUDICATION)
    submit(final, OTHER)  # nobody has seen it
    submit(assignment_of(study), RIGHT)
    with pytest.raises(Invalid, match="Annotators have seen this reference annotation"):
        submit(final, RIGHT)
    assert final.patterns.count() == 2


def test_the_page_shows_researchers_how_people_did():
    study = draft()
    give_references(study)
    study_open(study=study)
    Membership.objects.update(consent_version=0)
    submit(assignment_of(study), OTHER)
    found = {reference.item.use: reference for reference in references_of(study)}
    assert (found["training"].submitted, found["training"].score) == (1, 0.5)
    assert (found["reference"].submitted, found["reference"].score) == (0, None)
    page = text_of(client_of(researcher_of(study)).get(f"/studies/{study.slug}/references/"))
    assert "50.0%" in page


def test_the_page_takes_few_queries_however_many_lists_there_are(django_assert_num_queries):
    study = draft(training_lists=5, reference_lists=5)
    give_references(study)
    client = client_of(researcher_of(study))
    # session, person, study, its lists with their scores, their answers, their tokens, scores
    # that wait for a worker, whether it is made up, unread notices
    with django_assert_num_queries(9):
        client.get(f"/studies/{study.slug}/references/")


def test_a_study_without_such_lists_says_what_they_are():
    study = make_study()
    page = text_of(client_of(researcher_of(study)).get(f"/studies/{study.slug}/references/"))
    assert "No training or reference lists" in page


@pytest.mark.parametrize("number", ["", "x", "0", "٣", "9" * 40, "-1"])
def test_a_list_that_is_none_of_the_studys_is_not_found(number):
    study = draft()
    url = f"/studies/{study.slug}/references/"
    client = client_of(researcher_of(study))
    assert client.post(url, {"list": number}).status_code == 404
    other = item_of(draft())
    assert client.post(url, {"list": other.pk}).status_code == 404
    assert client.post(url, {"list": item_of(study, "study").pk}).status_code == 404
    assert not Assignment.objects.exists()


def test_draft_and_submission_of_a_final_answer_go_through_the_ordinary_api():
    study = draft()
    final = adjudicated_annotation_open(item=item_of(study), by=researcher_of(study))
    stranger = client_of(UserFactory(role=Role.RESEARCHER))
    body = json.dumps(submission(final, RIGHT))
    url = f"/api/lists/{final.public_id}/submit"
    assert stranger.post(url, body, content_type="application/json").status_code == 404
