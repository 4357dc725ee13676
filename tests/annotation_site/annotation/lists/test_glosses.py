"""Which gloss of a token a study shows, on the page of a list and in everything made of it."""

from dataclasses import replace

import pytest

from annotation_site.annotation.lists.glosses import TokenGlosses
from annotation_site.annotation.lists.page import assignments_of, list_page
from annotation_site.annotation.models import Study
from annotation_site.annotation.studies import rules
from annotation_site.annotation.studies.plans import StudyPlan, plan_check, plan_of
from annotation_site.corpus.models import Extraction, Token
from annotation_site.errors import Invalid
from annotation_site.results.files.labels_export import lists_shown
from tests.annotation_site.archives import members, packed
from tests.annotation_site.factories import (
    answer,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
    submit,
)

SENSES = [
    {"gloss": "capital raised", "lemma": "stock", "part": "noun", "count": 28},
    {"gloss": "have on hand", "lemma": "stock", "part": "verb", "count": 2},
]
STOCKS = TokenGlosses("a frame", "wordnet", "noun", SENSES)
HE = TokenGlosses("helium", "wordnet", "noun", [])
WIKI = TokenGlosses("American rapper", "wikipedia", "", [])


@pytest.mark.parametrize(
    ("glosses", "rule", "shown"),
    [
        (STOCKS, "ranked", [("noun", "capital raised"), ("verb", "have on hand")]),
        (STOCKS, "first", [("noun", "a frame")]),
        (HE, "ranked", []),
        (HE, "first", [("noun", "helium")]),
        (WIKI, "ranked", [("", "American rapper")]),
        (WIKI, "first", [("", "American rapper")]),
        (TokenGlosses("", "", "", []), "first", []),
    ],
)
def test_a_study_shows_ranked_senses_or_the_papers_gloss(glosses, rule, shown):
    assert glosses.shown(rule) == shown
    assert glosses.first(rule) == (shown[0][1] if shown else "")


def glossed() -> Extraction:
    """Lists whose tokens have WordNet's glosses: every third token as "he", the others senses."""
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value",))
    tokens = Token.objects.filter(extraction=extraction)
    tokens.update(gloss="a frame", gloss_source="wordnet", gloss_part="noun", senses=SENSES)
    tokens.filter(token_id__in=range(0, 100, 3)).update(senses=[])
    return extraction


def study_with(rule: str | None, **changes) -> Study:
    chosen = {} if rule is None else {"gloss_rule": rule}
    return make_study(extraction=glossed(), lists_per_layer=1, kinds=["value"], **chosen, **changes)


def page_of(study: Study) -> dict:
    own = assignment_of(study)
    return list_page(assignments_of(own.membership.user).get(pk=own.pk))["list"]


@pytest.mark.django_db
def test_a_list_shows_one_gloss_in_the_row_and_all_senses_beside_it():
    page = page_of(study_with(None))
    assert page["tokens"][:2] == [["word0", ""], ["word1", "capital raised"]]
    both = [("noun", "capital raised"), ("verb", "have on hand")]
    assert page["senses"][:2] == [[], both]


@pytest.mark.django_db
def test_a_study_of_the_papers_kind_shows_the_first_synset_alone():
    page = page_of(study_with("first"))
    assert page["tokens"][:2] == [["word0", "a frame"], ["word1", "a frame"]]
    assert page["senses"][:2] == [[("noun", "a frame")]] * 2


@pytest.mark.django_db
def test_a_study_without_glosses_sends_none():
    page = page_of(study_with(None, show_glosses=False))
    assert {gloss for _, gloss in page["tokens"]} == {""}
    assert page["senses"] == [[]] * 30


@pytest.mark.django_db
def test_the_first_annotation_fixes_which_gloss_is_shown_and_a_copy_keeps_it():
    study = study_with("first")
    changed = rules.study_change(study=study, plan=replace(plan_of(study), gloss_rule="ranked"))
    assert changed == ["gloss_rule"]
    submit(assignment_of(study), answer())
    with pytest.raises(Invalid, match="the rules are fixed"):
        rules.study_change(study=study, plan=replace(plan_of(study), gloss_rule="first"))
    study.refresh_from_db()
    researcher = study.created_by
    copy = rules.study_duplicate(study=study, title="A copy", by=researcher)
    assert copy.gloss_rule == "ranked"
    page = client_of(researcher).get(f"/studies/{study.slug}/rules/").content.decode()
    assert "the most frequent sense that fits the token; in English" in page


@pytest.mark.django_db
def test_senses_that_an_older_extraction_lacks_are_not_promised():
    extraction = glossed()
    plan = StudyPlan(title="Of an older bundle", extractions=[extraction], kinds=["value"])
    plan_check(plan)
    Token.objects.filter(extraction=extraction).update(senses=[], gloss_part="")
    with pytest.raises(Invalid, match="has glosses but no ranked senses"):
        plan_check(plan)
    plan_check(replace(plan, gloss_rule="first"))
    plan_check(replace(plan, show_glosses=False))
    Token.objects.filter(extraction=extraction).update(gloss="", gloss_source="")
    plan_check(plan)  # without any gloss there is nothing to choose


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rule", "gloss", "sentence"),
    [
        ("ranked", "capital raised", "the most frequent sense that fits the token"),
        ("first", "a frame", "the definition of its first synset"),
    ],
)
def test_labels_and_archives_carry_the_gloss_that_people_saw(rule, gloss, sentence):
    study = study_with(rule)
    submit(assignment_of(study), answer())
    vector = study.items.get().vector_id
    assert lists_shown(study, {vector})[vector]["glosses"][1] == gloss
    found = members(packed(study))
    assert f",word1,{gloss}," in found["labels/tokens.csv"].decode()
    assert sentence in found["methods.md"].decode()
    assert f'"gloss_rule": "{rule}"' in found["parameters.json"].decode()


def test_a_study_in_the_database_of_an_earlier_version_keeps_the_papers_rule():
    assert Study._meta.get_field("gloss_rule").default == Study.GlossRule.FIRST
    assert StudyPlan.gloss_rule == Study.GlossRule.RANKED
