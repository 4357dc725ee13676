"""The page of sensitivity, intervals for people like these, and what is said of one annotator."""

import re

import pytest

from annotation_site.analysis import strata
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Assignment, Study
from annotation_site.results.files.people_sentences import people_sentences
from annotation_site.results.models import Snapshot
from annotation_site.results.pages import remarks
from annotation_site.results.pages.agreement import questions
from annotation_site.results.pages.headline import headlines
from annotation_site.results.pages.people import Behind
from annotation_site.results.snapshots import services
from annotation_site.results.snapshots.selectors import people_of
from annotation_site.results.tables.filters import Filters
from tests.annotation_site.factories import (
    answer,
    client_of,
    make_extraction,
    make_prefix_study,
    make_study,
    pattern,
    submit,
    text_of,
)
from tests.annotation_site.results.by_hand import labelled_study, researcher_client

pytestmark = pytest.mark.django_db
NOBODY = "No interval for people like these: 2 people, at least 5 are needed."


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    monkeypatch.setattr(services, "figures_draw", lambda **_: None)


def page(study, query=""):
    return researcher_client(study).get(f"/studies/{study.slug}/results/sensitivity/{query}")


def one_person(kinds=("value", "random")) -> Study:
    study = make_study(
        extraction=make_extraction(layers=3, per_layer=8, kinds=kinds), lists_per_layer=8,
        annotators=1, kinds=kinds,
    )  # fmt: skip
    own = Assignment.objects.filter(item__study=study, purpose="annotation").order_by("pk")
    for number, row in enumerate(own):
        submit(row, answer(pattern(1, list(range(1, 3 + number % 9)))))
    return study


def test_each_setting_has_its_value_and_what_it_rests_on():
    study = labelled_study()
    services.snapshot_refresh_now(study=study)
    shown = text_of(page(study))
    names = [person.name for person in people_of(study).values()]
    # By hand, with 2 and 3 tokens: V0 (10 + 11) / 60, R0 (3 + 0) / 60; from 5 on, V0 (6 + 8) / 60.
    for words in (
        "Value minus random stays between 0.0 and",
        "points for every minimum from 2 to 8 tokens.",
        "Leaving out one annotator moves it by at most",
        "With flagged patterns it is",
        "4 tokens (as in the results)",
        "4 tokens, with flagged patterns",
        f"without {names[0]}",
        "People annotated knowing this study’s minimum of 4 tokens",
        "2 lists, 4 annotations",
        "sensitivity.csv",
    ):
        assert words in shown, words
    assert shown.count("<svg") == 6  # three panels: by minimum, and without each annotator
    value = next(one for one in page(study).context["models"][0].panels if "Value v" in one.title)
    assert value.by_size.alt.startswith(
        "Value vectors. 2 tokens: 17.5% (0.0 to 100.0%); 2 tokens, with"
    )
    assert [point.is_own for point in value.by_size.points].index(True) == 2


def test_the_page_links_to_it_with_the_numbers_of_its_filter():
    study = labelled_study()
    chosen = Filters(min_tokens=3, kinds=("value",))
    snapshot = services.snapshot_refresh_now(study=study, filters=chosen)
    client = researcher_client(study)
    shown = client.get(f"/studies/{study.slug}/results/?kinds=value&min_tokens=3")
    link = re.search(r'href="([^"]*/results/sensitivity/[^"]*)"', shown.content.decode())[1]
    assert link.endswith(f"?snapshot={snapshot.pk}")
    found = text_of(client.get(link))
    assert "3 tokens (as in the results)" in found
    assert "Value minus random" not in found
    assert "Value vectors" in found
    assert page(study, "?snapshot=0").status_code == 404
    assert page(study, "?snapshot=x").status_code == 404


def test_a_study_without_annotations_says_what_is_needed():
    study = make_study()
    shown = text_of(page(study))
    assert "No annotations that count yet" in shown
    assert "<svg" not in shown


def test_tables_that_are_due_are_asked_for_once():
    study = labelled_study()
    Snapshot.objects.all().delete()
    assert "The tables are being computed" in text_of(page(study))
    assert "The tables are being computed" in text_of(page(study))
    assert Snapshot.objects.filter(study=study).count() == 1


def test_prefixes_are_called_prefixes_and_have_no_flags():
    study = make_prefix_study(lists_per_layer=1)
    for row in Assignment.objects.filter(item__study=study, purpose="annotation"):
        submit(row, answer(pattern(1, [1, 2, 3, 4], category="shallow")))
    services.snapshot_refresh_now(study=study)
    shown = text_of(client_of(study.created_by).get(f"/studies/{study.slug}/results/sensitivity/"))
    assert "Keys minus random keys" in shown
    assert "for every minimum from 2 to 8 prefixes" in shown
    assert "3 prefixes (as in the results)" in shown
    assert "flagged" not in shown
    assert " token" not in shown


def test_few_queries(django_assert_max_num_queries):
    study = labelled_study()
    services.snapshot_refresh_now(study=study)
    client = researcher_client(study)
    # Session, user, two of the study, two versions, snapshot, pending, people, form of the page.
    with django_assert_max_num_queries(14):
        client.get(f"/studies/{study.slug}/results/sensitivity/")


def test_one_annotator_alone_is_said_beside_every_interval():
    study = one_person()
    snapshot = services.snapshot_refresh_now(study=study)
    client = researcher_client(study)
    shown = client.get(f"/studies/{study.slug}/results/")
    (head,) = shown.context["headlines"]
    said = "one annotator alone: another may find other concepts"
    assert head.difference.between
    assert [one.warning for one in (*head.coverages, head.difference)] == [said] * 3
    assert head.no_people == "no interval for people like these: 1 person, at least 5 are needed"
    for name in ("by_category", "by_layer", "real", "real_by_layer", "table_2"):
        assert any(said in warning for warning in shown.context[name].warnings), name
    assert "; one annotator alone" in shown.context["methods"]
    of_coverage = [one for name, one in snapshot.figures.items() if name.startswith("coverage-")]
    assert len(of_coverage) == 2
    for one in of_coverage:
        assert one["title"].endswith("(one annotator alone)")
        assert one["alt"].endswith("(one annotator alone)")
    panels = page(study).context["models"][0].panels
    assert all("nobody can be left out" in " ".join(one.sentences) for one in panels)
    assert any(said in w for w in page(study).context["models"][0].table.warnings)
    summary = client.get(f"/studies/{study.slug}/results/summary/").content.decode()
    assert "One annotator alone: another may find other concepts." in summary


def test_two_annotators_are_not_called_one():
    study = labelled_study()
    snapshot = services.snapshot_refresh_now(study=study)
    shown = researcher_client(study).get(f"/studies/{study.slug}/results/")
    # Random, layer 1 has one annotation; all layers together have two people.
    assert not any("one annotator" in one["title"] for one in snapshot.figures.values())
    assert NOBODY in text_of(shown)
    assert text_of(shown).count("for people like these") == 2  # once, and in the methods paragraph


def test_pages_know_the_sentence_of_one_annotator_without_dataframes():
    assert remarks.ONE_ANNOTATOR == strata.ONE_ANNOTATOR


def row(of, measure="coverage", kind=None, low=0.31, high=0.52, people=7, warning=""):
    return {
        "of": of, "model": "m", "kind": kind, "measure": measure, "value": 0.4, "low": low,
        "high": high, "people": people, "lists": 60, "warning": warning,
    }  # fmt: skip


TABLES = {
    "table_2": [
        {
            "model": "m", "kind": "value", "stopwords_concepts": "without", "coverage": 0.4,
            "low": 0.35, "high": 0.45, "lists": 60, "lists_total": 60, "warning": "",
        }
    ],
    "coverage": [{"model": "m", "kind": "value", "layer": None}],
    "real_against_random": [],
}  # fmt: skip


def test_the_headline_says_the_interval_for_people_like_these():
    few = "fewer than 10 people; fewer than 20 lists"
    rows = {**TABLES, "people_intervals": [row("coverage", kind="value", warning=few)]}
    behind = Behind(Study(slug="s"), {})
    (head,) = headlines(rows, behind)
    (value,) = head.coverages
    assert value.people.text == (
        "for people like these: 31.0 to 52.0% (7 people); fewer than 10 people"
    )
    assert head.no_people == ""
    enough = {**TABLES, "people_intervals": [row("coverage", kind="value", people=12)]}
    assert headlines(enough, behind)[0].coverages[0].people.text == (
        "for people like these: 31.0 to 52.0% (12 people)"
    )
    (older,) = headlines(TABLES, behind)  # of a snapshot that lacks the table
    assert (older.coverages[0].people.text, older.no_people) == ("", "")


def test_a_question_of_agreement_has_the_interval_too():
    alpha = {
        "model": "m", "measure": "krippendorff_alpha_concept", "value": 0.4, "low": 0.3,
        "high": 0.5, "n": 30, "unit": "tokens", "lists": 12, "warning": "", "undefined": "",
    }  # fmt: skip
    measures = {alpha["measure"]: {"title": "Alpha"}}
    nouns = nouns_of(Study.ListSource.TOP_TOKENS)
    known = [row("agreement", alpha["measure"], people=5)]
    (asked,) = questions([alpha], measures, nouns, known)
    assert asked.people == "for people like these: 0.31 to 0.52 (5 people)"
    (asked,) = questions([alpha], measures, nouns)
    assert asked.people == ""


def test_the_methods_paragraph_has_one_sentence_on_people_like_these():
    rows = [
        row("coverage", kind="value"),
        row("coverage", "semantic", kind="value"),
        row("coverage", kind="random", low=None, high=None, warning="x"),
        row("difference", low=0.12, high=0.159),
        row("agreement", "krippendorff_alpha_concept"),
        row("agreement", "percent_agreement_concept"),
    ]
    assert list(people_sentences(rows, 10_000)) == [
        "For people like these annotators, with the variance between people added (Owen, 2007), "
        "from 1,000 resamples of people, the 95% intervals are: coverage of the value vectors, "
        "31.0% to 52.0% (7 people); value vectors minus random vectors, in points, 12.0 to 15.9 "
        "(7 people); Krippendorff's alpha, 0.31 to 0.52 (7 people)."
    ]
    why = "no interval for people like these: 3 people, at least 5 are needed"
    none = [row("coverage", kind="value", low=None, warning=f"{why}; fewer than 20 lists")]
    assert list(people_sentences(none, 10_000)) == [f"There is {why}."]
    assert list(people_sentences([], 10_000)) == []
