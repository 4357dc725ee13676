"""The results page: its headline, its questions, and the filter that every number stands with."""

import re
import zipfile
from io import BytesIO

import pytest

from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Assignment, Study
from annotation_site.results.files.archive import archive_write
from annotation_site.results.models import Snapshot
from annotation_site.results.pages.agreement import questions
from annotation_site.results.pages.filter_words import filter_words
from annotation_site.results.snapshots import services
from annotation_site.results.snapshots.selectors import people_of
from annotation_site.results.tables.filters import Filters
from tests.annotation_site.annotation.answering import submit
from tests.annotation_site.factories import answer, make_extraction, make_study, pattern
from tests.annotation_site.results.by_hand import labelled_study, researcher_client

pytestmark = pytest.mark.django_db
State = Snapshot.State


@pytest.fixture
def study(monkeypatch):
    monkeypatch.setattr(services, "figures_draw", lambda **_: None)  # no test here looks at one
    return labelled_study()


def computed(study, **chosen):
    filters = Filters(min_tokens=chosen.pop("min_tokens", study.min_tokens), **chosen)
    return services.snapshot_refresh_now(study=study, filters=filters)


def page(study, query="", status=200, what="results"):
    address = f"/studies/{study.slug}/results/{'' if what == 'results' else what + '/'}"
    response = researcher_client(study).get(f"{address}{query}")
    assert response.status_code == status
    return response


def text(response, begin="", end=""):
    """The words between two marks of a page."""
    inside = response.content.decode()
    if begin:
        inside = inside.partition(begin)[2].partition(end)[0]
    return " ".join(re.sub(r"<[^>]*>", " ", inside).split())


def line(response):
    return text(response, 'id="basis"', "</div>").partition("> ")[2]


def test_the_headline_is_coverages_on_one_scale_then_their_difference(study):
    computed(study)
    shown = page(study)
    # By hand: value (9/30 + 0) / 2, random (0 + 9/30) / 2; two lists of a kind, two layers.
    headline = shown.context["headlines"][0]
    assert [(one.name, one.text, one.lists) for one in headline.coverages] == [
        ("Value vectors", "15.0%", "2 lists"),
        ("Random vectors", "15.0%", "2 lists"),
    ]
    assert (headline.difference.text, headline.difference.moved) == ("0.0", "")
    assert 'M15.00 0V10"' in shown.content.decode()  # the value's place on the scale of 0 to 100


def test_lists_without_annotation_are_said_with_what_they_could_do(study):
    random = Assignment.objects.filter(item__vector__kind="random", item__vector__layer=1)
    random.filter(state="submitted").update(unblinded=True)
    computed(study)
    difference = page(study).context["headlines"][0].difference
    # Layer 0: 0.3 − 0; layer 1 has no random list, which lies between 0 and 1: −1 to 0.
    assert difference.text == "+30.0"
    assert difference.moved == (
        "The 1 list without annotation could move it by 65.0 points at most."
    )
    assert difference.moved_href == f"/studies/{study.slug}/run/lists/?state=none"


def test_people_have_names_on_the_page_and_codes_in_files(study):
    computed(study)
    people = people_of(study)
    shown = page(study)
    rows = text(shown, 'id="t-people"', "</section>")
    for code, person in people.items():
        assert f"{person.name} {code}" in rows
        assert f"/run/lists/?person={person.public_id}" in shown.content.decode()
    response = researcher_client(study).get(f"/studies/{study.slug}/results/people.csv")
    content = b"".join(response.streaming_content).decode()
    assert all(code in content and person.name not in content for code, person in people.items())


def test_the_numbers_keep_their_filter_while_another_is_computed(study):
    everything = computed(study)
    other_tab = page(study)
    shown = page(study, f"?kinds=value&before={everything.pk}")
    due = Snapshot.objects.get(state=State.DUE)
    assert line(shown).startswith("All annotations 7 annotations · 4 of 4 lists · 2 people")
    assert "Value vectors: waiting for a worker" in line(shown)
    assert shown.context["headlines"] == other_tab.context["headlines"]
    assert line(page(study)).startswith("All annotations")  # the other tab keeps its own
    services.snapshot_compute(snapshot_id=due.pk)
    ready = page(study, f"?kinds=value&before={everything.pk}")
    assert line(ready).startswith("Value vectors 4 annotations · 2 of 2 lists · 2 people")
    assert [one.name for one in ready.context["headlines"][0].coverages] == ["Value vectors"]
    # From one filter to the next: not by way of all annotations.
    shown = page(study, f"?kinds=random&before={due.pk}")
    assert line(shown).startswith("Value vectors")
    assert "Random vectors: waiting for a worker" in line(shown)
    # All annotations stand in for a snapshot that is forgotten, or of another study.
    for before in ("99999", str(computed(labelled_study()).pk), "x"):
        assert line(page(study, f"?kinds=random&before={before}")).startswith("All annotations")


def test_while_a_step_goes_on_the_line_alone_is_renewed(study):
    everything = computed(study)
    shown = page(study, f"?kinds=value&before={everything.pk}").context
    have = f"{shown['tables_key']}~{shown['line_key']}"
    address = f"?kinds=value&before={everything.pk}&have={have}"
    page(study, address, status=204, what="status")
    Snapshot.objects.filter(state=State.DUE).update(step_done=3, step_total=9)
    renewed = page(study, address, what="status")
    assert renewed["HX-Retarget"] == "#basis"
    assert 'id="results"' not in renewed.content.decode()
    due = Snapshot.objects.get(state=State.DUE)
    services.snapshot_compute(snapshot_id=due.pk)
    renewed = page(study, address, what="status")
    assert "HX-Retarget" not in renewed
    assert line(renewed).startswith("Value vectors")


def test_a_filter_that_fails_leaves_the_numbers_before_it(study, monkeypatch):
    everything = computed(study)
    page(study, "?kinds=value")
    Snapshot.objects.filter(state=State.DUE).update(
        state=State.FAILED, error="A bug stopped this work."
    )
    shown = page(study, f"?kinds=value&before={everything.pk}")
    assert "Value vectors : A bug stopped this work." in text(shown)
    assert "The numbers below are still those of: All annotations." in text(shown)
    assert shown.context["headlines"]


def test_a_form_that_was_sent_comes_back_as_the_shortest_address(study):
    everything = computed(study)
    codes = "&".join(f"people={code}" for code in people_of(study))
    form = f"?ticked=1&categories=semantic&categories=syntactic&{codes}&layer_from=0&layer_to=1"
    form += f"&min_tokens=4&adjudicated=off&day_from=&day_to=&before={everything.pk}"
    address = f"/studies/{study.slug}/results/"
    everywhere = page(study, f"{form}&kinds=value&kinds=random&kinds=update", status=302)
    assert everywhere["Location"] == address
    value = page(study, f"{form}&kinds=value", status=302)
    assert value["Location"] == f"{address}?kinds=value&before={everything.pk}"
    computed(study, kinds=("value",))
    assert page(study, f"{form}&kinds=value", status=302)["Location"] == f"{address}?kinds=value"
    later = page(study, f"{form}&kinds=value".replace("layer_from=0", "layer_from=1"), status=302)
    assert later["Location"].startswith(f"{address}?kinds=value&layer_from=1&before=")
    refused = page(study, form, status=422)
    assert "Kinds: Nothing is ticked, so nothing applies. Tick a box." in text(refused)


def test_an_address_that_leaves_nothing_out_is_that_of_everything(study):
    computed(study)
    context = page(study, "?layer_from=0&layer_to=1&kinds=value&kinds=random&kinds=update").context
    assert (context["query"], context["filter_name"]) == ("", "All annotations")
    assert not context["is_older_choice"]
    assert Snapshot.objects.count() == 1


def test_boxes_are_ticked_where_they_apply(study):
    computed(study)

    def ticked(query):
        content = page(study, query).content.decode()
        return re.findall(r'name="kinds" value="(\w+)"[^>]* checked', content)

    every = ticked("")
    assert {"value", "random"} <= set(every)
    assert ticked("?kinds=value") == ["value"]


def test_the_methods_paragraph_is_that_of_the_archive(study):
    computed(study)
    file = BytesIO()
    archive_write(study, file, with_names=False, report=lambda *_: None)
    with zipfile.ZipFile(file) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith("methods.md"))
        written = archive.read(name).decode()
    assert page(study).context["methods"] == written
    computed(study, kinds=("value",), layer_from=1)
    part = page(study, "?kinds=value&layer_from=1").context["methods"]
    assert part.startswith(
        "This text describes a part of the study: value vectors and layers from 1."
    )
    assert "The study has 1 list: 1 list of value vectors." in part


def test_results_of_an_earlier_version_are_computed_again_for_their_paragraph(study):
    snapshot = computed(study)
    Snapshot.objects.filter(pk=snapshot.pk).update(
        counts={name: n for name, n in snapshot.counts.items() if name != "methods"}
    )
    page(study)
    assert Snapshot.objects.get().state == State.DUE
    services.snapshot_compute(snapshot_id=snapshot.pk)
    assert "Coverage is the share" in page(study).context["methods"]


def agreement(lists, **others):
    names = {
        "percent_agreement_concept": (0.9, "pairs of labels"),
        "krippendorff_alpha_concept": (0.71, "tokens"),
        "mean_matched_jaccard": (0.64, "lists"),
        "matched_category_agreement": (None, "matched patterns"),
    }
    return [
        {
            "model": "m", "measure": name, "value": value, "low": None, "high": None, "n": 30,
            "unit": unit, "lists": lists, "warning": "", "undefined": "undefined, because x.",
        }
        for name, (value, unit) in names.items()
    ]  # fmt: skip


def test_agreement_is_three_questions_and_one_list_shows_what_was_observed():
    rows = agreement(12)
    measures = {row["measure"]: {"title": row["measure"]} for row in rows}
    asked = questions(rows, measures, nouns_of(Study.ListSource.TOP_TOKENS))
    assert [(one.heading, one.text, one.measure, one.basis) for one in asked] == [
        (
            "Do they mark the same tokens?", "0.71", "krippendorff_alpha_concept",
            "30 tokens of 12 lists",
        ),
        ("Do their patterns hold the same tokens?", "0.64", "mean_matched_jaccard", "12 lists"),
        (
            "Do they give them the same category?", "–", "matched_category_agreement",
            "30 matched patterns of 12 lists",
        ),
    ]  # fmt: skip
    assert "two people judge 0.90 of the tokens alike" in asked[0].meaning
    alone = questions(agreement(1), measures, nouns_of(Study.ListSource.TOP_TOKENS))[0]
    assert (alone.text, alone.measure) == ("0.90", "percent_agreement_concept")
    assert "one list is too few to take chance out" in alone.meaning
    assert questions([], {}, nouns_of(Study.ListSource.TOP_TOKENS)) == []


def test_one_annotator_has_coverage_and_no_agreement():
    study = make_study(
        extraction=make_extraction(layers=1, per_layer=1, kinds=("value",)), lists_per_layer=1,
        annotators=1, kinds=("value",),
    )  # fmt: skip
    submit(
        Assignment.objects.filter(item__study=study, purpose="annotation").first(),
        answer(pattern(1, [1, 2, 3])),
    )
    computed(study)
    shown = page(study)
    assert "no agreement: it needs two people" in line(shown)
    assert [one.text for one in shown.context["questions"]] == ["–", "–", "–"]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({}, "All annotations"),
        ({"kinds": ("random", "value")}, "Value vectors and random vectors"),
        ({"layer_from": 6, "layer_to": 11}, "Layers 6 to 11"),
        ({"layer_from": 6}, "Layers from 6"),
        ({"layer_to": 3}, "Layers 0 to 3"),
        ({"layer_from": 2, "layer_to": 2, "kinds": ("value",)}, "Value vectors, layer 2"),
        ({"categories": ("semantic",)}, "Patterns of semantic"),
        ({"day_from": "2026-11-01"}, "Submitted from 1 Nov 2026"),
        (
            {"min_tokens": 3, "adjudicated": "only"},
            "Adjudicated lists only, patterns from 3 tokens",
        ),
    ],
)
def test_a_filter_has_a_name_in_words(chosen, said):
    study = make_study()
    filters = Filters(**{"min_tokens": 4, **chosen})
    assert filter_words(filters, study=study, people={}) == said


def test_a_filter_names_people(study):
    computed(study)
    people = people_of(study)
    (first, one), _ = people.items()
    filters = Filters(min_tokens=4, people=(first,))
    assert filter_words(filters, study=study, people=people) == (
        one.name[:1].upper() + one.name[1:]
    )


def test_names_of_more_than_eight_people_become_a_menu(study, monkeypatch):
    computed(study)
    assert '<details class="menu"><summary class="button">People' not in (
        page(study).content.decode()
    )
    (code, person), *_ = people_of(study).items()
    many = {f"{code}{n}": person for n in range(9)} | people_of(study)
    monkeypatch.setattr("annotation_site.results.views.results.selectors.people_of", lambda _: many)
    assert '<details class="menu"><summary class="button">People' in page(study).content.decode()


def test_rows_lead_to_the_lists_behind_them(study):
    computed(study)
    content = page(study).content.decode()
    lists = f"/studies/{study.slug}/run/lists/"
    for query in ("kind=value", "kind=random&amp;layer_from=1&amp;layer_to=1", "order=overlap"):
        assert f'href="{lists}?{query}"' in content
