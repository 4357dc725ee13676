"""Pages on which researchers make and change studies: previews, and a sentence for each fault."""

import re

import pytest
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Study
from annotation_site.annotation.studies.plans import StudyPlan
from annotation_site.annotation.studies.previews import study_preview
from annotation_site.annotation.studies.services import study_create
from annotation_site.errors import Invalid
from tests.annotation_site.annotation.answering import submit
from tests.annotation_site.factories import (
    LanguageModelFactory,
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_draft,
    make_extraction,
    make_study,
)

pytestmark = pytest.mark.django_db


def filled_in(extraction, people, **changes):
    return {
        "title": "A study", "extractions": [extraction.pk], "kinds": ["value", "random"],
        "lists_per_layer": 2, "annotators": [person.pk for person in people],
        "annotators_per_list": 2, "categories": ["semantic"], "min_tokens": 4, "seed": 0,
        "lease_hours": 72, "training_lists": 0, "reference_lists": 0, "repeat_percent": 0,
        "pilot_lists": 0, "gloss_rule": "ranked", "search_engine": "duckduckgo",
        "encyclopedia": "en", "on_withdrawal": "keep", **changes,
    }  # fmt: skip


@pytest.fixture
def desk():
    """A researcher's browser, an extraction and two annotators."""
    extraction, people = make_extraction(per_layer=4), UserFactory.create_batch(2)
    return client_of(UserFactory(role=Role.RESEARCHER)), extraction, people


def test_a_preview_makes_nothing_and_tells_lists_answers_and_hours(desk):
    client, extraction, people = desk
    form = filled_in(extraction, people, training_lists=3, repeat_percent=25, show_glosses="on")
    page = client.post("/studies/new/", form).content.decode()
    assert Study.objects.count() == 0
    for text in (
        "Lists of the study, 2 annotators per list", "Lists shown a second time",
        "Training lists, for everybody",
        "a guess, until your studies have 20 annotations", "word1", "the meaning of 1",
    ):  # fmt: skip
        assert text in page


def test_while_the_form_is_filled_in_only_the_preview_comes_back(desk):
    client, extraction, people = desk
    response = client.post(
        "/studies/new/", filled_in(extraction, people), headers={"HX-Request": "true"}
    )
    page = response.content.decode()
    assert response.status_code == 200
    assert "2 people share it." in page
    assert "<form" not in page
    refused = filled_in(extraction, people, annotators_per_list=3)
    page = client.post("/studies/new/", refused, headers={"HX-Request": "true"}).content.decode()
    assert "Annotators chosen: 2" in page


def test_the_numbers_of_a_preview_are_those_of_the_study_that_is_made(desk):
    _, extraction, people = desk
    researcher = UserFactory(role=Role.RESEARCHER)
    plan = StudyPlan(
        title="A study", extractions=[extraction, make_extraction(per_layer=1)], annotators=people,
        lists_per_layer=3, training_lists=5, reference_lists=2, pilot_lists=4, repeat_percent=50,
    )  # fmt: skip
    preview = study_preview(plan=plan, by=researcher)
    study = study_create(plan=plan, created_by=researcher)
    assert preview.lists == study.items.filter(use="study").count()
    assert preview.annotations == 2 * preview.lists + preview.lists + 2 * (5 + 2 + 4)
    assert [part.annotations for part in preview.parts] == [
        2 * preview.lists, preview.lists, 10, 4, 8
    ]  # fmt: skip


def test_hours_come_from_the_researcher_s_own_studies_once_there_are_enough_answers(desk):
    _, extraction, people = desk
    plan = StudyPlan(title="A study", extractions=[extraction], annotators=people)
    study = make_study(extraction=make_extraction(per_layer=5), lists_per_layer=5)
    Assignment.objects.update(
        state="submitted", active_seconds=90, version=1, submitted_at=timezone.now()
    )
    preview = study_preview(plan=plan, by=study.created_by)
    assert (preview.seconds_per_list, preview.measured) == (90, 60)
    assert preview.hours == pytest.approx(preview.annotations * 90 / 3600)
    stranger = study_preview(plan=plan, by=UserFactory(role=Role.RESEARCHER))
    assert (stranger.seconds_per_list, stranger.measured) == (180, 0)
    few = Assignment.objects.order_by("pk").values_list("pk", flat=True)[:19]
    Assignment.objects.exclude(pk__in=list(few)).delete()
    assert study_preview(plan=plan, by=study.created_by).measured == 0


def test_a_preview_takes_few_queries_whatever_its_size(desk, django_assert_max_num_queries):
    _, extraction, people = desk
    researcher = UserFactory(role=Role.RESEARCHER)
    plan = StudyPlan(title="A study", extractions=[extraction], annotators=people)
    # lists by stratum, answers before, what is hidden from the researcher, one list, its tokens,
    # glosses without senses (at most two)
    with django_assert_max_num_queries(7):
        study_preview(plan=plan, by=researcher)


def test_a_study_is_saved_as_a_draft_or_opened(desk):
    client, extraction, people = desk
    response = client.post("/studies/new/", filled_in(extraction, people, action="draft"))
    assert response["Location"] == "/studies/a-study/rules/"
    assert Study.objects.get().state == Study.State.DRAFT
    client.post("/studies/new/", filled_in(extraction, people, action="open"))
    assert Study.objects.get(slug="a-study-2").state == Study.State.OPEN


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"annotators_per_list": 3}, "Annotators chosen: 2"),
        ({"training_pass_percent": 70}, "but no training list"),
        ({"reference_lists": 90}, "Choose fewer of those"),
        ({"kinds": []}, "This field is required"),
        ({"categories": ["names"]}, "names is not one of the available choices"),
        ({"annotators": []}, "Annotators in the study: 0"),
    ],
)
def test_a_study_that_cannot_open_is_told_why_and_not_made(desk, changes, sentence):
    client, extraction, people = desk
    form = filled_in(extraction, people, **changes, action="open")
    response = client.post("/studies/new/", form)
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert Study.objects.count() == 0


def test_names_are_offered_where_a_model_has_whole_words(desk):
    client, *_ = desk
    assert 'value="names"' not in client.get("/studies/new/").content.decode()
    make_extraction(model=LanguageModelFactory(vocabulary="word"))
    assert 'value="names"' in client.get("/studies/new/").content.decode()


def test_the_rules_of_a_draft_are_a_form_and_those_of_a_running_study_a_text():
    study = make_draft()
    client = client_of(study.created_by)
    url = f"/studies/{study.slug}/rules/"
    assert 'name="min_tokens"' in client.get(url).content.decode()
    form = filled_in(study.extractions.get(), [], min_tokens=6, action="save")
    assert client.post(url, form | {"rules_base": base_of(client, url)}).status_code == 302
    base_before = base_of(client, url)
    study.refresh_from_db()
    assert (study.min_tokens, study.memberships.count()) == (6, 3)
    client.post(f"/studies/{study.slug}/state/", {"state": "open"})
    study.memberships.update(consent_version=0)
    submit(assignment_of(study), answer())
    page = client.get(url).content.decode()
    assert "Annotations are in, so these rules are fixed" in page
    assert 'name="min_tokens"' not in page
    fixed = {"title": "Renamed", "lease_hours": 3, "min_tokens": 9, "action": "save"}
    # From the page as it was before the first answer:
    stale = client.post(url, form | {"title": "Late", "rules_base": base_before})
    assert "Nothing is saved: the rules changed" in stale.content.decode()
    assert client.post(url, fixed | {"rules_base": base_of(client, url)}).status_code == 302
    study.refresh_from_db()
    assert (study.title, study.lease_hours, study.min_tokens) == ("Renamed", 3, 6)


def test_a_rules_page_opened_earlier_undoes_no_newer_rules():
    study = make_draft()
    client = client_of(study.created_by)
    url = f"/studies/{study.slug}/rules/"
    base = base_of(client, url)  # in two tabs
    form = filled_in(study.extractions.get(), [], action="save", rules_base=base)
    assert client.post(url, form | {"min_tokens": 6}).status_code == 302
    late = form | {"title": "From the second tab"}
    refused = client.post(url, late)
    assert refused.status_code == 422
    page = refused.content.decode()
    assert "Nothing is saved: the rules changed after you opened this page." in page
    assert 'value="From the second tab"' in page
    study.refresh_from_db()
    assert (study.title, study.min_tokens) == ("A study", 6)
    # Pressed again, it is as stale as before; from the newer rules it is saved.
    assert f'name="rules_base" value="{base}"' in page
    assert client.post(url, late).status_code == 422
    newer = late | {"min_tokens": 6, "rules_base": base_of(client, url)}
    assert client.post(url, newer).status_code == 302


def base_of(client, url):
    (base,) = re.findall(r'name="rules_base" value="(\w{64})"', client.get(url).content.decode())
    return base


def test_a_refused_extension_says_why_beside_its_form():
    study = make_study()
    client = client_of(study.created_by)
    response = client.post(f"/studies/{study.slug}/extend/", {"lists_per_layer": "99"})
    assert response.status_code == 422
    assert "every list of its kinds already" in response.content.decode()


def test_people_are_added_released_and_taken_out_on_their_page():
    study = make_study(annotators=2)
    client = client_of(study.created_by)
    url = f"/studies/{study.slug}/people/"
    joins = UserFactory(username="nina")
    client.post(url, {"person": joins.public_id})
    assert study.memberships.filter(user=joins, role="annotator").exists()
    first = assignment_of(study).membership.user
    person = f"{url}{first.public_id}/"
    client.post(person, {"action": "release"})
    assert not Assignment.objects.filter(membership__user=first, state="waiting").exists()
    client.post(person, {"action": "remove"})
    assert study.memberships.get(user=first).removed_at
    assert "removed" in client.get(url).content.decode()
    client.post(url, {"person": first.public_id})
    assert not study.memberships.get(user=first).removed_at
    assert client.post(person, {"action": "praise"}).status_code == 422


def test_the_people_page_takes_few_queries_however_many_they_are(django_assert_max_num_queries):
    study = make_study(annotators=12)
    client = client_of(study.created_by)
    # session, person, study, roles that may be added, annotators with counts, who may be added
    # and whether it is made up, unread notices; of the shares: everybody's, lists, slots
    with django_assert_max_num_queries(12):
        client.get(f"/studies/{study.slug}/people/")


def test_no_two_fields_of_the_rules_page_share_an_id():
    study = make_draft()
    page = client_of(study.created_by).get(f"/studies/{study.slug}/rules/").content.decode()
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) > 40
    assert len(set(ids)) == len(ids)


def test_a_copy_opens_on_its_rules():
    study = make_study()
    response = client_of(study.created_by).post(
        f"/studies/{study.slug}/duplicate/", {"title": "A copy"}
    )
    assert response["Location"] == "/studies/a-copy/rules/"


def test_an_unknown_extraction_is_refused_with_a_sentence():
    with pytest.raises(Invalid, match="at least one model"):
        study_preview(plan=StudyPlan(title="A study", extractions=[]), by=UserFactory())
