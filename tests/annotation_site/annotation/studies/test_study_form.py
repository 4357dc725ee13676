"""The form of a study: usual fields, folded groups in words, and remedies at the fields."""

import re

import pytest

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Study
from annotation_site.annotation.studies import rule_words
from annotation_site.annotation.studies.plans import Remedy, StudyPlan
from annotation_site.annotation.studies.previews import study_preview
from annotation_site.corpus.models import KEY_KINDS, Token
from annotation_site.exact_words import exact
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_draft,
    make_extraction,
    text_of,
)

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def extraction():
    """Four lists per layer and kind: two layers, three kinds."""
    return make_extraction(per_layer=4)


@pytest.fixture
def people():
    return UserFactory.create_batch(2)


@pytest.fixture
def client():
    return client_of(UserFactory(role=Role.RESEARCHER))


def filled_in(extraction, people, **changes):
    return {
        "title": "A study", "extractions": [extraction.pk], "kinds": ["value", "random"],
        "lists_per_layer": 2, "annotators": [person.pk for person in people],
        "annotators_per_list": 2, "categories": ["semantic"], "min_tokens": 4, "seed": 0,
        "lease_hours": 72, "training_lists": 0, "reference_lists": 0, "repeat_percent": 0,
        "pilot_lists": 0, "gloss_rule": "ranked", "search_engine": "duckduckgo",
        "encyclopedia": "en", "on_withdrawal": "keep", **changes,
    }  # fmt: skip


def says(page, field):
    """What a page says at a field, and the values of the buttons there."""
    (said,) = re.findall(rf'<div id="say-{field}"[^>]*>(.*?)</div>', page)
    return re.sub(r"<[^>]+>", "", said).strip(), re.findall(r'value="([^"]*)"', said)


def test_five_fields_are_open_and_the_others_are_folded_under_their_values(client, extraction):
    page = text_of(client.get("/studies/new/"))
    at = page.index("Everything else")
    opened = re.findall(r'name="(\w+)"', page[page.index('class="form-fields"') : at])
    assert list(dict.fromkeys(opened)) == [
        "action", "title", "extractions", "lists_per_layer", "use", "annotators",
        "annotators_per_list",
    ]  # fmt: skip
    folded = dict(re.findall(r'<b>([^<]+)</b> <span id="words-\w+">([^<]+)</span>', page[at:]))
    assert folded == {
        "Kinds and seed": "Value vectors, random vectors and FFN updates; seed 0.",
        "Patterns": "Semantic or syntactic, at least 4 tokens; a token belongs to one pattern.",
        "Glosses and help": "Glosses ranked by frequency are shown; similar spellings are not "
        "underlined.",
        "Training and checks": "No training, reference, repeated or pilot lists.",
        "Time": "An opened list is kept for 72 hours; after 7 days without work, unopened ones go "
        "to others.",
        "Researchers": "People who run the study do not annotate.",
        "Texts": "The paper’s guidelines; a short notice about offensive words.",
        "Withdrawal": "Annotations of a person who withdraws are kept, under a code.",
        "Publication": "Nothing of the study may be published here. Single annotations may not be "
        "shared.",
    }
    assert "<details open" not in page


def test_the_sentences_follow_the_fields():
    assert rule_words.kinds_words({"kinds": ["value"], "seed": 7}) == "Value vectors; seed 7."
    assert rule_words.pattern_words(
        {"categories": ["names"], "min_tokens": 1, "several_patterns_per_token": True}
    ) == "Names, at least 1 token; a token may be in several patterns."  # fmt: skip
    glosses = {"show_glosses": False, "gloss_rule": "ranked", "highlight_spellings": True}
    assert rule_words.gloss_words(glosses) == (
        "Glosses are not shown; similar spellings are underlined."
    )
    checks = {
        "training_lists": 2, "training_pass_percent": 70, "reference_lists": 1, "pilot_lists": 0,
        "repeat_percent": 10,
    }  # fmt: skip
    assert rule_words.check_words(checks) == (
        "2 training lists, passed at 70%; 1 silent reference list; 10% of lists repeated."
    )
    assert rule_words.time_words({"lease_hours": 1, "idle_days": 1}) == (
        "An opened list is kept for 1 hour; after 1 day without work, unopened ones go to others."
    )
    assert rule_words.researcher_words({"team_may_annotate": True}) == (
        "They may annotate too; results leave their annotations out."
    )
    assert rule_words.text_words({"guidelines": "Look.", "consent": "Agree?"}) == (
        "Your own guidelines; annotators agree to your consent text."
    )
    assert rule_words.publication_words({"may_publish": True}) == (
        "Results and lists may be published once the study is closed. Single annotations may not "
        "be shared."
    )
    assert rule_words.withdrawal_words({"on_withdrawal": "remove"}) == (
        "Annotations of a person who withdraws are removed, and others get their lists."
    )


class TestPrefixes:
    """The form where an extraction has trigger prefixes of keys."""

    @pytest.fixture
    def extraction(self):
        return make_extraction(per_layer=4, kinds=("value", *KEY_KINDS))

    def switched(self, extraction, people, **changes):
        return filled_in(
            extraction, people, list_source="trigger_prefixes", follows="top_tokens", **changes
        )

    def test_choosing_prefixes_brings_the_fields_of_their_protocol(
        self, client, extraction, people
    ):
        page = text_of(
            client.post("/studies/new/", self.switched(extraction, people), headers=HTMX)
        )
        fold = page[page.index('id="fold-patterns"') : page.index('id="fold-glosses"')]
        assert "hx-swap-oob" in fold
        assert re.findall(r'name="categories" value="(\w+)"[^>]*checked', fold) == [
            "shallow", "semantic",
        ]  # fmt: skip
        assert re.search(r'name="min_tokens" value="3"', fold)
        assert re.search(r'name="several_patterns_per_token"[^>]*checked', fold)
        kinds = page[page.index('id="fold-kinds"') : page.index('id="fold-patterns"')]
        assert re.findall(r'name="kinds" value="([\w-]+)"', kinds) == list(KEY_KINDS)
        assert 'name="follows" value="trigger_prefixes"' in kinds
        assert "Shallow or semantic, at least 3 prefixes; a prefix may be in several" in page
        assert 'Nobody had expected to read of <b class="token">word' in page

    def test_what_somebody_chose_after_that_stays(self, client, extraction, people):
        chosen = {
            **self.switched(extraction, people), "follows": "trigger_prefixes",
            "kinds": ["key"], "categories": ["shallow"], "min_tokens": 5, "action": "draft",
        }  # fmt: skip
        assert client.post("/studies/new/", chosen).status_code == 302
        study = Study.objects.get()
        assert (study.list_source, study.kinds) == ("trigger_prefixes", ["key"])
        assert (study.categories, study.min_tokens) == (["shallow"], 5)
        assert study.several_patterns_per_token is False
        assert {item.vector.kind for item in study.items.select_related("vector")} == {"key"}

    def test_a_browser_without_scripts_gets_the_same(self, client, extraction, people):
        sent = {**self.switched(extraction, people), "action": "preview"}
        page = text_of(client.post("/studies/new/", sent))
        assert re.findall(r'name="categories" value="(\w+)"', page) == ["shallow", "semantic"]

    def test_the_rules_of_a_study_stay_those_of_prefixes(self, client, extraction, people):
        chosen = {
            **self.switched(extraction, people), "follows": "trigger_prefixes",
            "kinds": ["key"], "categories": ["shallow"], "min_tokens": 5, "action": "draft",
            "full_lists_only": "on",
        }  # fmt: skip
        client.post("/studies/new/", chosen)
        page = text_of(client.get(f"/studies/{Study.objects.get().slug}/rules/"))
        assert re.search(r'value="trigger_prefixes"[^>]*checked', page)
        assert re.search(r'name="full_lists_only"[^>]*checked', page)
        assert "without short lists" in page


def test_an_update_brings_the_sentences_and_remedies_with_the_preview(client, extraction, people):
    form = filled_in(extraction, people, lists_per_layer=500, repeat_percent=5)
    page = text_of(client.post("/studies/new/", form, headers=HTMX))
    assert '<span id="words-checks" hx-swap-oob="true">5% of lists repeated.</span>' in page
    said = "has only 4 lists per layer and kind."
    assert says(page, "lists_per_layer") == (f"“{extraction}” {said} Use 4", ["lists_per_layer=4"])
    assert says(page, "annotators") == ("", [])
    preview = page[: page.index("words-checks")]
    assert f"“{exact(extraction)}” {said}" in preview
    assert "4 of 500" in re.sub(r"<[^>]+>", "", page)
    assert "<form" not in page


def test_no_more_lists_are_promised_than_the_models_have(extraction, people):
    other = make_extraction(per_layer=3)
    preview = study_preview(
        plan=StudyPlan(
            title="A study", extractions=[extraction, other], annotators=people, lists_per_layer=4
        ),
        by=UserFactory(role=Role.RESEARCHER),
    )
    assert [(row.asked, row.most, row.is_short) for row in preview.rows] == (
        [(4, 4, False)] * 3 + [(4, 3, True)] * 3
    )
    assert [len(group.kinds) for group in preview.by_model] == [3, 3]
    assert preview.lists == sum(group.lists for group in preview.by_model) == 24 + 18
    sentence = f"“{exact(other)}” has only 3 lists per layer and kind."
    assert preview.remedies == [Remedy("lists_per_layer", sentence, "3", "Use 3")]


@pytest.mark.parametrize(
    ("changes", "field", "button"),
    [
        ({"annotators_per_list": 3}, "annotators_per_list", "annotators_per_list=2"),
        ({"training_pass_percent": 70}, "training_pass_percent", "training_pass_percent="),
        ({"min_tokens": 30}, "min_tokens", "min_tokens=20"),
        ({"show_glosses": "on"}, "gloss_rule", "gloss_rule=first"),
    ],
)
def test_what_cannot_be_had_is_said_at_its_field_with_one_button(
    client, extraction, people, changes, field, button
):
    extraction.parameters["top_k"] = 20
    extraction.save()
    Token.objects.update(gloss_source="wordnet" if "show_glosses" in changes else "")
    form = filled_in(extraction, people, action="open") | changes
    refused = client.post("/studies/new/", form)
    assert refused.status_code == 422
    sentence, buttons = says(text_of(refused), field)
    assert sentence
    assert buttons == [button]
    assert Study.objects.count() == 0
    # Without a script the button sends the form: the value is in its field, nothing is stored.
    page = client.post("/studies/new/", {**form, "action": "", "use": button})
    assert page.status_code == 200
    assert says(text_of(page), field) == ("", [])
    assert page.context["form"].data[field] == button.partition("=")[2]
    assert Study.objects.count() == 0
    name, _sign, value = button.partition("=")
    assert client.post("/studies/new/", {**form, name: value}).status_code == 302


def test_a_button_for_a_field_that_no_form_has_changes_nothing(client, extraction, people):
    form = filled_in(extraction, people, use="is_admin=1")
    page = client.post("/studies/new/", form)
    assert page.status_code == 200
    assert "is_admin" not in page.context["form"].data


def test_a_preview_comes_before_the_title(client, extraction, people):
    page = text_of(client.get("/studies/new/"))  # with the only model chosen
    assert "<dd>24</dd>" in page
    assert "Choose at least 2 annotators to open the study at once" in says(page, "annotators")[0]
    form = filled_in(extraction, people, title="")
    page = text_of(client.post("/studies/new/", form, headers=HTMX))
    assert "<dd>8</dd>" in page
    make_extraction()
    assert "Choose a model to see" in text_of(client.get("/studies/new/"))


@pytest.mark.parametrize("kind", ["training_lists", "reference_lists"])
def test_lists_with_a_reference_make_a_draft_that_leads_to_their_annotations(
    client, extraction, people, kind
):
    form = filled_in(extraction, people, **{kind: 2})
    assert "2 lists need your reference annotations before" in text_of(
        client.post("/studies/new/", form, headers=HTMX)
    )
    response = client.post("/studies/new/", {**form, "action": "open"})
    assert response["Location"] == "/studies/a-study/references/"
    assert Study.objects.get().state == Study.State.DRAFT
    page = text_of(client.get(response["Location"]))
    assert "“<bdi" in page
    assert "is saved as a draft. Write these annotations, then open it." in page


def test_a_study_that_opens_leads_to_its_progress(client, extraction, people):
    response = client.post("/studies/new/", filled_in(extraction, people, action="open"))
    assert response["Location"] == "/studies/a-study/run/"


def test_the_rules_of_a_draft_have_the_same_form():
    study = make_draft(lists_per_layer=9)
    page = text_of(client_of(study.created_by).get(f"/studies/{study.slug}/rules/"))
    assert says(page, "lists_per_layer")[1] == ["lists_per_layer=2"]
    assert 'id="words-checks"' in page
    assert 'name="annotators"' not in page
