"""Nobody judges before they have read what they agree to, and everybody can leave."""

import uuid

import pytest

from annotation_site.accounts.models import Role
from annotation_site.annotation import selectors
from annotation_site.annotation.allocation import slots
from annotation_site.annotation.models import (
    Assignment,
    ConsentText,
    Membership,
    Pattern,
    Revision,
    Study,
)
from annotation_site.annotation.people import consent, members
from annotation_site.annotation.studies import services as studies
from annotation_site.errors import Invalid
from annotation_site.exact_words import exact
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.services import snapshot_refresh_now, snapshots_sweep
from annotation_site.results.snapshots.versions import data_version
from tests.annotation_site.annotation.answering import save, skip, submit
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
    pattern,
)

pytestmark = pytest.mark.django_db
State = Assignment.State
TEXT = "We keep **what you submit**.\n\n<script>alert(1)</script>"


def newcomer(study):
    """A list of somebody who has not read anything yet, and their browser."""
    Membership.objects.update(consent_version=None, consented_at=None)
    assignment = assignment_of(study)
    return assignment, client_of(assignment.membership.user)


def change_consent(study, text):
    return consent.study_texts_change(study=study, **{**selectors.texts_of(study), "consent": text})


def api_statuses(client, assignment):
    base = f"/api/lists/{assignment.public_id}"
    version = Assignment.objects.get(pk=assignment.pk).draft_version
    key = str(uuid.uuid4())
    bodies = {
        "draft": {"base_version": version, "content": {}, "active_seconds": 0},
        "skip": {"base_version": version, "key": key, "reason": "x"},
        "submit": {
            "base_version": version,
            "key": key,
            "annotation": answer(),
            "active_seconds": 0,
        },
    }
    found = {}
    for name, body in bodies.items():
        method = client.put if name == "draft" else client.post
        reply = method(f"{base}/{name}", body, content_type="application/json")
        found[name] = (reply.status_code, reply.json().get("error", {}).get("code"))
    return found


REFUSED = (403, "consent_needed")


def test_no_list_is_opened_or_written_before_the_text_is_agreed_to():
    study = make_study(consent=TEXT)
    assignment, client = newcomer(study)
    for url in (f"/lists/{assignment.public_id}/", f"/studies/{study.slug}/next/"):
        assert client.get(url).headers["Location"] == f"/studies/{study.slug}/consent/"
    assert api_statuses(client, assignment) == dict.fromkeys(("draft", "skip", "submit"), REFUSED)
    assignment.refresh_from_db()
    assert (assignment.state, assignment.opened_at) == (State.WAITING, None)


def test_agreeing_is_stored_with_version_and_time_and_leads_to_the_first_list():
    study = make_study(consent=TEXT)
    assignment, client = newcomer(study)
    page = client.get(f"/studies/{study.slug}/consent/").content.decode()
    assert "We keep <strong>what you submit</strong>." in page
    assert "<script>alert" not in page
    assert "Offensive words" in page
    response = client.post(f"/studies/{study.slug}/consent/", {"version": "1"}, follow=True)
    assert response.redirect_chain[-1][0] == f"/lists/{assignment.public_id}/"
    member = Membership.objects.get(pk=assignment.membership_id)
    assert member.consent_version == 1
    assert member.consented_at is not None
    assert "What you agreed to" in client.get(f"/studies/{study.slug}/consent/").content.decode()


def test_nobody_agrees_to_sharing_that_they_have_not_read():
    study = make_study(consent=TEXT)
    _, client = newcomer(study)
    page = client.get(f"/studies/{study.slug}/consent/")
    shown = page.context["shared"]
    assert f'name="shared" value="{shown}"' in page.content.decode()
    Study.objects.filter(pk=study.pk).update(may_share=True)
    agreed = {"version": "1", "shared": shown}
    response = client.post(f"/studies/{study.slug}/consent/", agreed)
    assert response.status_code == 422
    assert not Membership.objects.filter(consent_version__gt=0).exists()
    agreed["shared"] = response.context["shared"]
    assert client.post(f"/studies/{study.slug}/consent/", agreed).status_code == 302


def test_without_a_text_the_notice_about_offensive_words_is_read_once():
    study = make_study()
    assignment, client = newcomer(study)
    page = client.get(f"/studies/{study.slug}/next/", follow=True).content.decode()
    assert "some lists contain offensive or upsetting words" in page
    client.post(f"/studies/{study.slug}/consent/", {"version": "0"})
    assert client.get(f"/lists/{assignment.public_id}/").status_code == 200


def test_a_changed_text_asks_again_and_loses_nothing_that_is_typed():
    study = make_study(consent=TEXT)
    assignment = assignment_of(study)
    client = client_of(assignment.membership.user)
    client.get(f"/lists/{assignment.public_id}/")
    assert change_consent(study, "Other words.") == ["consent text"]
    found = api_statuses(client, assignment)
    assert found == {"draft": (200, None), "skip": REFUSED, "submit": REFUSED}
    page = client.get(f"/lists/{assignment.public_id}/", follow=True).content.decode()
    assert "This text has changed since you agreed to it" in page
    client.post(f"/studies/{study.slug}/consent/", {"version": "2"})
    assert api_statuses(client, assignment)["submit"] != REFUSED


def test_nobody_agrees_to_a_text_they_have_not_seen():
    study = make_study(consent=TEXT)
    _, client = newcomer(study)
    change_consent(study, "Other words.")
    for version in ("1", "", "x", "-1", "99999999999999999999"):
        response = client.post(f"/studies/{study.slug}/consent/", {"version": version})
        assert response.status_code == 422
        assert "Other words." in response.content.decode()
    assert not Membership.objects.filter(consent_version__gt=0).exists()


def test_an_emptied_text_asks_for_nothing():
    study = make_study(consent=TEXT)
    assignment = assignment_of(study)
    change_consent(study, "")
    client = client_of(assignment.membership.user)
    assert client.get(f"/lists/{assignment.public_id}/").status_code == 200


def test_a_repeated_submission_does_not_show_the_next_list_under_a_text_not_agreed_to():
    study = make_study(consent=TEXT)
    assignment = assignment_of(study)
    client = client_of(assignment.membership.user)
    body = {
        "base_version": 0, "key": str(uuid.uuid4()), "annotation": answer(), "active_seconds": 0,
    }  # fmt: skip
    url = f"/api/lists/{assignment.public_id}/submit"
    assert client.post(url, body, content_type="application/json").json()["next"]
    change_consent(study, "Other words.")
    again = client.post(url, body, content_type="application/json")
    assert again.json() == {"next": None, "next_url": f"/studies/{study.slug}/consent/"}


def test_a_researcher_changes_texts_and_each_change_is_a_version():
    study = make_study()
    client = client_of(study.memberships.get(role="researcher").user)
    url = f"/studies/{study.slug}/texts/"
    guidelines = study.guidelines.get().text
    sent_by_a_browser = guidelines.replace("\n", "\r\n")
    shown = client.get(url).context["form"].initial
    client.post(url, {**shown, "guidelines": sent_by_a_browser})
    assert (study.guidelines.count(), ConsentText.objects.count()) == (1, 0)
    client.post(url, {**shown, "guidelines": "New.", "consent": "Agree?"})
    shown = client.get(url).context["form"].initial
    client.post(url, {**shown, "consent": "Agree!"})
    versions = ConsentText.objects.order_by("version").values_list("version", "text")
    assert list(versions) == [(1, "Agree?"), (2, "Agree!")]
    assert study.guidelines.count() == 2


def test_a_page_opened_earlier_does_not_undo_a_newer_text():
    study = make_study(consent=TEXT)
    client = client_of(study.memberships.get(role="researcher").user)
    url = f"/studies/{study.slug}/texts/"
    page = client.get(url)
    assert '<input type="hidden" name="consent_base" value="1"' in page.content.decode()
    early = page.context["form"].initial

    def newest():
        found = selectors.texts_of(study)
        return [found[name] for name in ("guidelines", "guidelines_base", "consent")]

    client.post(url, {**early, "consent": "Second."})
    assert client.post(url, {**early, "guidelines": "Other."}).status_code == 302
    assert newest() == ["Other.", 2, "Second."]  # each keeps what the other did not touch

    late = {**early, "guidelines": "Other, again.", "consent": TEXT + " Late."}
    late["guidelines_base"] = 2
    response = client.post(url, late)
    assert response.status_code == 422
    shown = response.content.decode()
    assert "Nothing is saved: the consent text changed after you opened this page." in shown
    assert "Other, again." in shown
    assert " Late.</textarea>" in shown
    assert newest() == ["Other.", 2, "Second."]

    assert client.post(url, {**early, "consent": "Second."}).status_code == 302  # pressed twice
    assert client.post(url, {"guidelines": "x", "consent": "y"}).status_code == 422  # no bases
    assert newest() == ["Other.", 2, "Second."]


def test_the_form_of_a_study_takes_the_text_and_what_withdrawing_means():
    people = UserFactory.create_batch(2)
    extraction = make_extraction()
    form = {
        "title": "Asked first", "extractions": [extraction.pk], "kinds": ["value"],
        "lists_per_layer": 1, "annotators": [person.pk for person in people],
        "annotators_per_list": 2, "categories": ["semantic"], "min_tokens": 4, "seed": 0,
        "lease_hours": 72, "training_lists": 0, "reference_lists": 0, "repeat_percent": 0,
        "pilot_lists": 0, "action": "open", "gloss_rule": "first", "search_engine": "duckduckgo",
        "consent": "Do you agree?", "on_withdrawal": "remove",
    }  # fmt: skip
    client = client_of(UserFactory(role=Role.RESEARCHER))
    assert client.post("/studies/new/", {**form, "on_withdrawal": "sell"}).status_code == 422
    assert client.post("/studies/new/", form).status_code == 302
    study = Study.objects.get()
    assert (study.on_withdrawal, study.consent_version) == ("remove", 1)
    assert ConsentText.objects.get().text == "Do you agree?"
    page = client_of(people[0]).get(f"/studies/{study.slug}/consent/").content.decode()
    assert "are deleted with all their versions" in page


def worked_and_left(**changes):
    """A study of three people; the first has submitted, skipped, begun and never seen lists."""
    study = make_study(annotators=3, **changes)
    first = assignment_of(study)
    submit(first, answer(pattern(1, [1, 2, 3, 4]), comment="mine"), active_seconds=0)
    skip(assignment_of(study, position=2))
    begun = assignment_of(study, position=3)
    client_of(first.membership.user).get(f"/lists/{begun.public_id}/")
    save(begun, {"annotation": "half"}, 0)
    consent.study_withdraw(membership=first.membership)
    return study, first


def test_leaving_gives_what_is_unfinished_to_others_and_keeps_what_is_submitted():
    study, first = worked_and_left()
    own = Assignment.objects.filter(membership=first.membership)
    states = dict(own.order_by("position").values_list("position", "state")[:4])
    assert states == {1: "submitted", 2: "skipped", 3: "withdrawn", 4: "withdrawn"}
    assert not own.exclude(draft=None).exists()
    assert Pattern.objects.filter(assignment=first).count() == 1
    assert snapshot_refresh_now(study=study).counts["annotations"] == 1
    for item in study.items.all():
        live = item.assignments.filter(state__in=Assignment.LIVE, surplus=False)
        assert live.count() == 2


def test_a_study_that_says_so_removes_what_was_submitted_and_counts_anew():
    study = make_study(annotators=3, on_withdrawal=Study.OnWithdrawal.REMOVE)
    first = assignment_of(study)
    other = Assignment.objects.filter(
        item__study=study, position=1, membership_id__gt=first.membership_id
    ).first()
    for assignment in (first, other):
        submit(assignment, answer(pattern(1, [1, 2, 3, 4]), comment="mine"))
    before = snapshot_refresh_now(study=study)
    consent.study_withdraw(membership=first.membership)
    assert list(Pattern.objects.values_list("assignment", flat=True)) == [other.pk]
    assert list(Revision.objects.values_list("assignment", flat=True)) == [other.pk]
    assert data_version(study.pk) > before.data_version
    after = snapshot_refresh_now(study=study)
    assert (before.counts["annotations"], after.counts["annotations"]) == (2, 1)
    own = Assignment.objects.filter(membership=first.membership)
    assert set(own.values_list("state", "comment", "draft")) == {("withdrawn", "", None)}
    for item in study.items.all():
        live = item.assignments.filter(state__in=Assignment.LIVE, surplus=False)
        assert live.count() == 2


def test_results_are_asked_for_again_even_when_nothing_is_left():
    study, _ = worked_and_left(on_withdrawal=Study.OnWithdrawal.REMOVE)
    snapshots_sweep()
    assert [due.study for due in Snapshot.waiting()] == [study]


def test_who_has_left_reaches_nothing_of_the_study_but_their_hours():
    study = make_study(title="Left behind")
    first = assignment_of(study)
    client = client_of(first.membership.user)
    client.get(f"/lists/{first.public_id}/")
    submit(first, answer(), active_seconds=1)
    page = client.get(f"/studies/{study.slug}/withdraw/").content.decode()
    assert "You have submitted 1 list." in page
    response = client.post(f"/studies/{study.slug}/withdraw/", follow=True)
    home = response.content.decode()
    assert f"You have withdrawn from “{exact('Left behind')}”." in home
    assert "No study to work on" in home
    for url in ("", "next/", "consent/", "withdraw/"):
        assert client.get(f"/studies/{study.slug}/{url}").status_code == 404
    assert client.get(f"/lists/{first.public_id}/").status_code == 404
    assert {status for status, _ in api_statuses(client, first).values()} == {404}
    assert "Left behind" in client.get("/hours/").content.decode()


def test_leaving_a_paused_study_gives_the_lists_out_when_it_opens_again():
    study = make_study(annotators=3)
    studies.study_state_change(study=study, state="paused")
    leaver = assignment_of(study).membership
    total = Assignment.objects.count()
    consent.study_withdraw(membership=leaver)
    assert Assignment.objects.count() == total
    studies.study_state_change(study=study, state="open")
    live = Assignment.objects.filter(state__in=Assignment.LIVE)
    assert live.count() == study.items.count() * study.annotators_per_list


def test_leaving_is_for_good_and_once():
    study, first = worked_and_left(on_withdrawal=Study.OnWithdrawal.REMOVE)
    version = data_version(study.pk)
    consent.study_withdraw(membership=first.membership)
    assert data_version(study.pk) == version
    with pytest.raises(Invalid, match="cannot be added again"):
        members.annotator_add(study=study, user=first.membership.user)
    members.annotator_add(study=study, user=UserFactory())
    assert not Assignment.objects.filter(
        membership=first.membership, state__in=Assignment.LIVE
    ).exists()


def test_a_lease_does_not_end_for_the_sake_of_somebody_who_has_left():
    study = make_study(annotators=3)
    begun = assignment_of(study)
    Assignment.objects.filter(pk=begun.pk).update(
        state=State.IN_PROGRESS, opened_at="2020-01-01T00:00Z"
    )
    others = study.memberships.filter(role="annotator").exclude(pk=begun.membership_id)
    never_had = others.exclude(assignments__item=begun.item).get()
    consent.study_withdraw(membership=never_had)
    slots.leases_sweep()
    begun.refresh_from_db()
    assert begun.state == State.IN_PROGRESS
