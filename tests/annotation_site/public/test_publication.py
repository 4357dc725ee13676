"""Switching a public page on and off: by whom, when, and what it follows."""

import pytest
from django.db import transaction

from annotation_site.accounts.models import AuditEntry
from annotation_site.annotation.models import Assignment, Study
from annotation_site.annotation.people.consent import study_withdraw
from annotation_site.annotation.people.members import annotator_add
from annotation_site.annotation.studies.rules import study_duplicate
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.corpus.models import Extraction
from annotation_site.errors import Invalid
from annotation_site.notices.models import Notice
from annotation_site.public import files, services, writing
from annotation_site.public.models import Publication
from annotation_site.public.services import (
    publication_prepare,
    publication_switch_off,
    publication_switch_on,
    publications_sweep,
)
from annotation_site.public.writing import publication_write
from annotation_site.results.files.deletion import study_delete
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_draft,
    make_extraction,
    make_study,
    researcher_of,
)
from tests.annotation_site.public.published import make_closed, publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick")]
each = pytest.mark.parametrize


def is_public(study: Study, client) -> bool:
    status = client.get(f"/public/{study.slug}/").status_code
    assert status in (200, 404)
    assert (status == 200) == (study.slug in client.get("/public/").content.decode())
    return status == 200


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))


def same_vectors(study: Study) -> Extraction:
    return study.extractions.get()


class TestSwitchingOn:
    def test_a_closed_study_is_public_once_its_files_are_written(self, client):
        study = make_closed()
        row = publication_switch_on(study=study, by=researcher_of(study))
        assert (row.state, is_public(study, client)) == ("due", False)
        publication_write(publication_id=row.pk)
        assert is_public(study, client)
        assert actions()[-1] == "study_published"

    def test_a_preview_is_for_those_who_run_the_study_until_they_switch_it_on(
        self, client, django_capture_on_commit_callbacks
    ):
        study = make_closed()
        runs = client_of(researcher_of(study))
        page = f"/studies/{study.slug}/publish/"
        assert runs.post(page, {"action": "prepare"}).status_code == 302
        publication_write(publication_id=Publication.objects.get().pk)
        assert not is_public(study, client)
        draft = f"{page}draft/index.html"
        assert study.title in runs.get(draft).content.decode()
        assert client.get(draft).status_code == 302
        assert client_of(UserFactory(role="researcher")).get(draft).status_code == 404
        with django_capture_on_commit_callbacks(execute=True):
            assert runs.post(page, {"action": "on"}).status_code == 302
        assert is_public(study, client)
        assert Publication.objects.get().state == "ready"

    @each(
        ("change", "said"),
        [
            ({"may_publish": False}, "People did not agree to publication"),
            ({"state": "paused"}, "This study is not closed"),
            ({"state": "archived"}, "Take it out of the archive first"),
        ],
    )
    def test_other_studies_are_refused(self, change, said):
        study = make_closed()
        Study.objects.filter(pk=study.pk).update(**change)
        with pytest.raises(Invalid, match=said):
            publication_switch_on(study=study, by=researcher_of(study))
        assert not Publication.objects.exists()

    def test_a_study_without_annotations_is_refused(self):
        study = make_study(may_publish=True)
        study_state_change(study=study, state="closed")
        with pytest.raises(Invalid, match="no annotations that count"):
            publication_prepare(study=study, by=researcher_of(study))

    def test_switching_on_twice_changes_only_what_search_engines_may_do(
        self, client, django_capture_on_commit_callbacks
    ):
        study = make_closed()
        publish(study)
        address = f"/public/{study.slug}/"
        assert client.get(address)["X-Robots-Tag"] == "noindex"
        with django_capture_on_commit_callbacks(execute=True):
            publication_switch_on(study=study, by=researcher_of(study), is_indexed=True)
        assert "X-Robots-Tag" not in client.get(address)
        assert actions()[-2:] == ["study_published", "publication_changed"]
        assert Publication.objects.get().state == "ready"


class TestStudiesThatStandAgainstIt:
    @each("state", ["pilot", "open", "paused", "draft"])
    def test_a_study_of_the_same_vectors_is_named_to_those_who_run_it(self, state):
        study = make_closed()
        other = make_study(title="The same again", extraction=same_vectors(study))
        Study.objects.filter(pk=other.pk).update(state=state)
        own = "a study of other people"
        with pytest.raises(Invalid, match=own):
            publication_switch_on(study=study, by=researcher_of(study))
        with pytest.raises(Invalid, match="“The same again”"):
            publication_switch_on(study=study, by=researcher_of(other))
        assert not Publication.objects.exists()

    def test_a_draft_without_people_and_studies_of_other_vectors_do_not(self, client):
        study = make_closed()
        make_study()
        draft = make_draft(extraction=same_vectors(study))
        draft.memberships.filter(role="annotator").delete()
        publish(study)
        assert is_public(study, client)
        with_people = UserFactory()
        annotator_add(study=draft, user=with_people)
        assert not is_public(study, client)

    def test_a_key_and_the_value_of_its_neuron_are_one(self):
        study = make_closed(extraction=make_extraction(kinds=("value",)))
        weights = study.extractions.get().model
        make_study(extraction=make_extraction(kinds=("key",), model=weights), kinds=("key",))
        with pytest.raises(Invalid, match="annotate vectors of this study elsewhere"):
            publication_switch_on(study=study, by=researcher_of(study))

    def test_another_extraction_of_the_same_weights_holds_the_same_vectors(self):
        study = make_closed()
        make_study(extraction=make_extraction(model=study.extractions.get().model))
        with pytest.raises(Invalid, match="annotate vectors of this study elsewhere"):
            publication_switch_on(study=study, by=researcher_of(study))

    def test_opening_such_a_study_switches_the_page_off_with_a_notice(self, client):
        study = make_closed()
        publish(study)
        draft = make_draft(title="Another", extraction=same_vectors(study), annotators=2)
        assert not is_public(study, client)
        assert actions().count("study_unpublished") == 1
        notice = Notice.objects.get(user=researcher_of(study))
        assert "switched off" in str(notice.text)
        assert "Another" not in str(notice.text)
        assert draft.state == "draft"

    def test_the_page_of_a_closed_study_goes_when_another_is_opened_again(self, client):
        study = make_closed()
        other = make_closed(title="Closed as well", extraction=same_vectors(study))
        publish(study)
        publish(other)
        runs = client_of(researcher_of(other))
        page = runs.get(f"/studies/{other.slug}/rules/").content.decode()
        assert "switches these public pages off" in page
        assert page.count(study.title) == 2  # opening and copying
        study_state_change(study=other, state="open")
        assert (is_public(study, client), is_public(other, client)) == (False, False)
        assert not Publication.objects.exists()

    def test_a_new_study_of_the_model_says_so_before_it_is_made(self):
        study = make_closed()
        asks = client_of(UserFactory(role="researcher"))
        chosen = {"extractions": [same_vectors(study).pk], "title": "New"}
        said = "Public pages of these models"
        form = {
            "kinds": ["value"], "lists_per_layer": 2, "annotators_per_list": 2, "seed": 0,
            "categories": ["semantic"], "min_tokens": 4, "lease_hours": 72, "training_lists": 0,
            "reference_lists": 0, "repeat_percent": 0, "pilot_lists": 0, "gloss_rule": "ranked",
            "search_engine": "duckduckgo", "encyclopedia": "en", "on_withdrawal": "keep", **chosen,
        }  # fmt: skip
        before = asks.post("/studies/new/", form, headers={"HX-Request": "true"})
        assert said not in before.content.decode()
        publish(study)
        page = asks.post("/studies/new/", form, headers={"HX-Request": "true"}).content.decode()
        assert said in page
        assert "“Birds in layers”" in page

    def test_a_copy_with_its_people_switches_the_page_off(self, client):
        study = make_closed()
        publish(study)
        study_duplicate(study=study, title="A copy", by=researcher_of(study))
        assert not is_public(study, client)

    def test_what_was_missed_the_sweep_switches_off(self, client):
        study = make_closed()
        publish(study)
        other = make_study()
        item = other.items.first()
        item.vector = study.items.first().vector
        item.save()
        publications_sweep()
        assert not is_public(study, client)

    def test_more_lists_of_the_published_study_can_end_its_page(self, client):
        study = make_closed(lists_per_layer=1)
        publish(study)
        make_study(extraction=same_vectors(study), lists_per_layer=1, seed=study.seed)
        assert not is_public(study, client)
        other = make_closed(lists_per_layer=1, title="Of other lists")
        publish(other)
        more = make_draft(extraction=same_vectors(other), lists_per_layer=2)
        assert not is_public(other, client)
        assert more.items.count() > other.items.count()

    def test_a_worker_looks_again_before_it_puts_files_in_place(self, client, monkeypatch):
        study = make_closed()
        row = publication_switch_on(study=study, by=researcher_of(study))
        monkeypatch.setattr(writing, "studies_against", lambda study: [study])
        publication_write(publication_id=row.pk)
        assert not is_public(study, client)
        assert not Publication.objects.exists()

    def test_a_change_that_fails_leaves_the_page_to_be_written_again(self, client):
        study = make_closed()
        publish(study)

        class Failed(Exception):
            pass

        def change():
            with transaction.atomic():
                study_state_change(study=study, state="open")
                raise Failed

        with pytest.raises(Failed):
            change()
        assert not is_public(study, client)  # files go first
        publications_sweep()
        publication_write(publication_id=Publication.objects.get().pk)
        assert is_public(study, client)


class TestSwitchingOff:
    def test_everything_is_gone_at_once(self, client, folder):
        study = make_closed()
        publish(study)
        runs = client_of(researcher_of(study))
        runs.post(f"/studies/{study.slug}/publish/off/")
        assert not is_public(study, client)
        assert [path for path in folder.rglob("*") if path.is_file()] == []
        assert actions()[-1] == "study_unpublished"
        assert not publication_switch_off(study=study)

    def test_a_worker_that_writes_just_then_puts_nothing_in_place(
        self, client, folder, monkeypatch
    ):
        study = make_closed()
        row = publication_switch_on(study=study, by=researcher_of(study))

        def slow(folder, study, snapshot):
            (folder / "index.html").write_text("late")
            publication_switch_off(study=study)

        monkeypatch.setattr(writing, "_write_all", slow)
        publication_write(publication_id=row.pk)
        assert not is_public(study, client)
        assert [path for path in folder.rglob("*") if path.is_file()] == []

    def test_a_study_that_opens_again_takes_its_page_along(self, client):
        study = make_closed()
        publish(study)
        study_state_change(study=study, state="open")
        assert not is_public(study, client)
        assert "not closed any more" in str(Notice.objects.get().text)

    def test_an_archived_study_keeps_its_page(self, client):
        study = make_closed()
        publish(study)
        study_state_change(study=study, state="archived")
        publications_sweep()
        assert is_public(study, client)

    def test_a_deleted_study_takes_its_page_along(self, client):
        study = make_closed()
        publish(study)
        study_delete(study=study, by=researcher_of(study))
        assert not is_public(study, client)
        assert not Publication.objects.exists()
        assert not Notice.objects.exists()


class TestFollowing:
    def test_removed_annotations_are_gone_at_once_and_the_page_is_written_without_them(
        self, client
    ):
        study = make_closed(on_withdrawal="remove")
        publish(study)
        address = f"/public/{study.slug}/"
        before = client.get(address).content
        leaves = study.memberships.filter(role="annotator").first()
        study_withdraw(membership=leaves)
        assert client.get(address).status_code == 404
        row = Publication.objects.get()
        assert (row.state, row.is_public) == ("due", True)
        publication_write(publication_id=row.pk)
        after = client.get(address).content
        kept = Assignment.objects.filter(item__study=study, state="submitted").count()
        assert f"{kept} annotations" in after.decode()
        assert before != after

    def test_lost_files_are_written_again(self, client):
        study = make_closed()
        publish(study)
        files.files_remove(study.slug)
        publications_sweep()
        row = Publication.objects.get()
        assert row.state == "due"
        publication_write(publication_id=row.pk)
        assert is_public(study, client)

    def test_a_new_title_is_written_and_the_old_page_stays_until_then(self, client):
        study = make_closed()
        publish(study)
        Study.objects.filter(pk=study.pk).update(title="Another title")
        publications_sweep()
        address = f"/public/{study.slug}/"
        assert b"Another title" not in client.get(address).content
        publication_write(publication_id=Publication.objects.get().pk)
        assert b"Another title" in client.get(address).content

    def test_folders_of_no_publication_go(self, client, folder):
        study = make_closed()
        publish(study)
        kept = files.page_folder(study.slug)
        for place in ("pages/stray", "drafts/stray", "writing/stray", "gone/stray"):
            (folder / place).mkdir(parents=True)
        publications_sweep()
        assert [path for path in folder.glob("*/*") if path.is_dir()] == [kept]

    def test_a_failed_page_says_why_and_is_tried_again(self, client, monkeypatch):
        study = make_closed()
        row = publication_switch_on(study=study, by=researcher_of(study))

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(writing, "_write_all", full)
        with pytest.raises(OSError, match="No space left"):
            publication_write(publication_id=row.pk)
        page = client_of(researcher_of(study)).get(f"/studies/{study.slug}/publish/")
        assert "No space left on device" in page.content.decode()
        Publication.objects.update(finished_at=None)
        publications_sweep()
        assert Publication.objects.get().state == "due"


def test_studies_cost_one_query_more_while_nothing_is_published(django_assert_num_queries):
    study = make_closed()
    with django_assert_num_queries(1):
        services.study_follow(study)
