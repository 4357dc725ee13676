"""The search over all lists: what it finds, in which order, for whom, and what it refuses."""

import csv
import io
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, ListLook, Membership, Study
from annotation_site.corpus.models import Extraction, Token, Vector
from annotation_site.corpus.postings import postings_sweep
from annotation_site.explorer.said import said_of
from annotation_site.explorer.search import finding as searching
from annotation_site.explorer.search.finding import VectorSearch, found_page, vectors_found
from annotation_site.explorer.search.labels import still_blind
from tests.annotation_site.factories import (
    LanguageModelFactory,
    UserFactory,
    answer,
    client_of,
    make_extraction,
    make_study,
    pattern,
    researcher_of,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db
URL = "/explore/search/"


@pytest.fixture(params=["with the index", "before there is one"])
def indexed(request):
    """What writes the index, or leaves it out: the search finds the same."""
    return postings_sweep if request.param == "with the index" else lambda: None


@pytest.fixture
def person():
    return UserFactory(role=Role.RESEARCHER)


@pytest.fixture
def reader(person):
    return client_of(person)


def found(user, **asked):
    """Places of what a search finds, in its order."""
    page = found_page(VectorSearch(**asked), user)
    return [(row.vector.kind, row.vector.layer, row.vector.index) for row in page.rows]


def annotated(study, *, said="runs of words", category="semantic", ranks=(1, 2, 3, 4)):
    """Every annotation of the study's lists."""
    for item in study.items.filter(use="study"):
        for row in item.assignments.filter(purpose="annotation").order_by("pk"):
            given = pattern(1, list(ranks), description=said) | {"category": category}
            submit(row, answer(given))


def closed(study):
    Study.objects.filter(pk=study.pk).update(state=Study.State.CLOSED)


def test_all_tokens_any_token_and_the_best_score_first(indexed, person):
    make_extraction(layers=1, per_layer=3, kinds=("value",))  # lists 0-29, 1-30, 2-31
    indexed()
    assert found(person, tokens="word1 word0") == [("value", 0, 0)]
    assert found(person, tokens="word1") == [("value", 0, 1), ("value", 0, 0)]
    assert found(person, tokens="word0 word31", match="any") == [("value", 0, 0), ("value", 0, 2)]
    assert found(person, tokens="word0 word31") == []
    page = found_page(VectorSearch(tokens="word1 word2"), person)
    assert [(row.rank, row.score) for row in page.rows] == [
        (1, 1.0),
        (2, pytest.approx(0.99)),
    ]


def test_a_token_is_found_in_any_case_as_a_piece_and_by_its_beginning(indexed, person):
    extraction = make_extraction(layers=1, per_layer=2, kinds=("value",))
    Token.objects.filter(token_id=0).update(display="KING")
    Token.objects.filter(token_id=30).update(display="⋯kingdom")
    Token.objects.filter(token_id=29).update(display="100%_x")
    indexed()
    assert found(person, tokens="king") == [("value", 0, 0)]
    assert found(person, tokens="king*") == [("value", 0, 0), ("value", 0, 1)]
    assert found(person, tokens="100%_*") == [("value", 0, 0), ("value", 0, 1)][::-1]
    assert found(person, tokens="%*") == found(person, tokens="_*") == []
    assert found(person, tokens="1%*") == []
    assert extraction.tokens.count() == 100


def test_kinds_layers_and_models_narrow_it(indexed, person):
    first = make_extraction(layers=3, per_layer=1)
    other = make_extraction(layers=1, per_layer=1, kinds=("value",))
    indexed()
    indexed()
    assert found(person, kind="value", layer_from=1, layer_to=2) == [
        ("value", 1, 0),
        ("value", 2, 0),
    ]
    chosen = VectorSearch(extractions=(other.public_id,))
    page = found_page(chosen, person)
    assert [row.extraction for row in page.rows] == [other]
    assert len(vectors_found(VectorSearch(kind="value"), person)) == 4
    both = vectors_found(VectorSearch(tokens="word0", kind="value"), person)
    assert [both.extractions[n] for n in both.of] == [first, other]


def test_lists_without_scores_come_last(indexed, person):
    extraction = make_extraction(layers=1, per_layer=1, kinds=("shuffled", "value"))
    extraction.vectors.filter(kind="shuffled").update(scores=None)
    indexed()
    page = found_page(VectorSearch(tokens="word5"), person)
    assert [(row.vector.kind, row.score) for row in page.rows] == [
        ("value", pytest.approx(0.96)),
        ("shuffled", None),
    ]


def test_descriptions_categories_and_shares_of_closed_studies(indexed, person):
    extraction = make_extraction(layers=2, per_layer=1, kinds=("value",))
    indexed()
    study = make_study(extraction=extraction, kinds=("value",), annotators=2, annotators_per_list=2)
    annotated(study, said="Words with ÄRGER and counting", ranks=(1, 2, 3, 4, 5, 6))
    assert found(person, said="counting") == []
    closed(study)
    both = [("value", 0, 0), ("value", 1, 0)]
    for asked in (
        {"said": "COUNTING words"},
        {"said": "ärger"},
        {"category": "semantic"},
        {"labelled": True},
        {"percent_from": 20},
        {"percent_from": 20, "percent_to": 20},
        {"percent_to": 20.0, "said": "counting", "category": "semantic"},
        {"order": "share", "labelled": True},
    ):
        assert found(person, **asked) == both, asked
    for asked in (
        {"said": "counting sheep"},
        {"said": "%"},
        {"said": "_"},
        {"category": "syntactic"},
        {"percent_from": 20.1},
        {"percent_to": 19.9},
    ):
        assert found(person, **asked) == [], asked
    row = found_page(VectorSearch(tokens="word0"), person).rows[0]
    assert (row.labels.people, row.labels.share) == (2, pytest.approx(0.2))
    assert [(one.text, one.people) for one in row.labels.descriptions] == [
        ("Words with ÄRGER and counting", 2)
    ]


def test_small_and_stopword_patterns_do_not_count_in_the_share(person):
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value",))
    study = make_study(extraction=extraction, kinds=("value",), annotators=1, annotators_per_list=1)
    row = study.items.get().assignments.get(purpose="annotation")
    flagged = pattern(3, [11, 12, 13, 14, 15]) | {"stopwords": True}
    submit(row, answer(pattern(1, [1, 2, 3, 4, 5, 6]), pattern(2, [7, 8]), flagged))
    closed(study)
    shown = found_page(VectorSearch(labelled=True), person).rows[0]
    assert shown.labels.share == pytest.approx(6 / 30)


def test_by_share_in_concepts_the_highest_first(indexed, person):
    extraction = make_extraction(layers=1, per_layer=3, kinds=("value",))
    indexed()
    study = make_study(
        extraction=extraction, kinds=("value",), lists_per_layer=2, annotators=1,
        annotators_per_list=1,
    )  # fmt: skip
    lists = list(study.items.select_related("vector").order_by("vector__index"))
    for ranks, item in zip((range(1, 7), range(1, 11)), lists, strict=True):
        row = item.assignments.get(purpose="annotation")
        submit(row, answer(pattern(1, list(ranks))))
    closed(study)
    by_share = [("value", 0, item.vector.index) for item in reversed(lists)]
    ordered = found(person, order="share", kind="value")
    assert ordered[:2] == by_share
    assert len(ordered) == 3


def bodies(client, extraction):
    """Everything that a reader gets of searches: pages, counts, files, API."""
    urls = [
        f"{URL}?tokens=word1",
        f"{URL}?tokens=word1&labelled=on",
        f"{URL}?said=secret",
        f"{URL}?said=secret&match=any",
        f"{URL}?category=semantic",
        f"{URL}?percent_from=1",
        f"{URL}?order=share&kind=value",
        f"{URL}lists.csv?tokens=word1",
        f"{URL}lists.json?order=share&kind=value",
        f"{URL}lists.csv?said=secret",
        "/api/vectors?tokens=word1",
        "/api/vectors?said=secret",
        "/api/vectors?order=share&kind=value",
        f"/api/vectors?labelled=true&extractions={extraction.public_id}",
    ]
    found = []
    for url in urls:
        response = client.get(url)
        assert response.status_code == 200, (url, text_of(response))
        content = b"".join(response) if response.streaming else response.content
        found.append((url, content))
    return [(url, without_token(content)) for url, content in found]


def without_token(content):
    import re

    return re.sub(rb'name="csrfmiddlewaretoken" value="\w+"', b"", content)


@pytest.mark.parametrize("state", ["draft", "pilot", "open", "paused"])
def test_annotations_of_anothers_unfinished_study_change_no_byte(reader, state):
    extraction = make_extraction(layers=2, per_layer=2, kinds=("value", "key"))
    postings_sweep()
    study = make_study(extraction=extraction, kinds=("value",), annotators=2)
    Study.objects.filter(pk=study.pk).update(state=state)
    before = bodies(reader, extraction)
    Study.objects.filter(pk=study.pk).update(state="open")
    annotated(study, said="a secret")
    Study.objects.filter(pk=study.pk).update(state=state)
    assert bodies(reader, extraction) == before
    own = researcher_of(study)
    assert bodies(client_of(own), extraction) != before
    closed(study)
    assert bodies(reader, extraction) != before


def test_those_who_could_still_adjudicate_blind_are_not_shown_the_annotations():
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value",))
    study = make_study(extraction=extraction, kinds=("value",), annotators=2, annotators_per_list=2)
    own = researcher_of(study)
    annotated(study, said="counting")
    item = study.items.get()
    row = found_page(VectorSearch(tokens="word1"), own).rows[0]
    assert (row.labels.is_withheld, row.labels.people, row.labels.descriptions) == (True, 0, [])
    assert row.labels.share is None
    asked = said_of(item.vector, source=Study.ListSource.TOP_TOKENS, user=own).ask_first
    assert list(still_blind(study.items.all(), own)) == asked == [item]
    ListLook.objects.create(item=item, user=own)
    row = found_page(VectorSearch(tokens="word1"), own).rows[0]
    assert (row.labels.is_withheld, row.labels.people) == (False, 2)
    assert not still_blind(study.items.all(), own).exists()


@pytest.mark.parametrize(
    "asked",
    [{"said": "counting"}, {"category": "semantic"}, {"percent_from": 1}, {"percent_to": 99}],
)
def test_no_condition_tells_of_a_list_that_can_still_be_adjudicated_blind(asked):
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value",))
    study = make_study(extraction=extraction, kinds=("value",), annotators=2, annotators_per_list=2)
    own, item = researcher_of(study), study.items.get()
    annotated(study, said="counting")
    search = VectorSearch(**asked)
    assert found_page(search, own).count == 0
    # A colleague's draft does not open it: they can leave, and nobody would know of the look.
    colleague = UserFactory(role=Role.RESEARCHER)
    row = Membership.objects.create(study=study, user=colleague, role=Membership.Role.RESEARCHER)
    Assignment.objects.create(
        item=item, membership=row, purpose="adjudication", position=1, draft={"annotation": {}}
    )
    assert found_page(search, own).count == 0
    ListLook.objects.create(item=item, user=own)
    assert found_page(search, own).count == 1


def test_whoever_annotates_finds_nothing_of_the_study_s_lists():
    extraction = make_extraction(layers=2, per_layer=2, kinds=("value", "key"))
    other = make_extraction(
        layers=2, per_layer=2, kinds=("value",), model=LanguageModelFactory(name="another")
    )
    for _ in range(2):
        postings_sweep()
    study = make_study(extraction=extraction, kinds=("value",), lists_per_layer=1, annotators=2)
    place = study.items.select_related("vector").first().vector
    blind = UserFactory(role=Role.RESEARCHER)
    study.memberships.create(user=blind, role="annotator", consent_version=0)
    for asked in ({"layer_from": 0}, {"tokens": "word*"}, {"tokens": "word5", "match": "any"}):
        search = VectorSearch(extractions=(extraction.public_id,), **asked)
        page = found_page(search, blind)
        places = {(row.vector.kind, row.vector.layer, row.vector.index) for row in page.rows}
        assert page.count == len(page.rows) == len(places)
        assert not places & {(kind, place.layer, place.index) for kind in ("value", "key")}
        assert page.found.is_partly_hidden
    client = client_of(blind)
    told = json.loads(b"".join(client.get(f"{URL}lists.json?tokens=word*")))["rows"]
    of_held = [
        row for row in told
        if row["extraction_id"] == str(extraction.public_id) and row["layer"] == place.layer
        and row["index"] == place.index
    ]  # fmt: skip
    assert not of_held
    assert any(row["extraction_id"] == str(other.public_id) for row in told)
    assert "in which you annotate are left out" in text_of(client.get(URL, {"tokens": "word1"}))


def test_the_file_has_the_rows_of_the_page(reader):
    make_extraction(layers=1, per_layer=2, kinds=("value",))
    response = reader.get(f"{URL}lists.csv", {"tokens": "word1"})
    assert response["Content-Disposition"] == 'attachment; filename="lists.csv"'
    rows = list(csv.DictReader(io.StringIO(b"".join(response).decode())))
    assert [(row["layer"], row["index"], row["rank"], row["score"]) for row in rows] == [
        ("0", "1", "1", "1.0"),
        ("0", "0", "2", "0.9900000095367432"),
    ]
    assert rows[0]["tokens"].split() == [f"word{n}" for n in range(1, 11)]
    assert rows[0]["found_tokens"] == "word1"


def test_files_are_bounded_and_say_so(monkeypatch, reader):
    monkeypatch.setattr(searching, "MOST_ROWS", 3)
    monkeypatch.setattr("annotation_site.explorer.search.files.MOST_ROWS", 3)
    make_extraction(layers=1, per_layer=5, kinds=("value",))
    response = reader.get(f"{URL}lists.json", {"kind": "value"})
    assert 'filename="lists-first-3-of-5.json"' in response["Content-Disposition"]
    assert len(json.loads(b"".join(response))["rows"]) == 3
    assert "pages and files have the first" in text_of(reader.get(URL, {"kind": "value"}))


def test_pages_follow_each_other(monkeypatch, reader):
    monkeypatch.setattr(searching, "PER_PAGE", 2)
    make_extraction(layers=1, per_layer=5, kinds=("value",))
    shown = [text_of(reader.get(URL, {"kind": "value", "page": n})) for n in (1, 2, 3, 4)]
    assert [page.count('<th scope="row">') for page in shown] == [2, 2, 1, 1]
    assert "5 lists" in shown[0]
    assert 'rel="next"' in shown[0]
    assert 'rel="next"' not in shown[2]


def test_the_page_marks_what_was_searched_and_links_to_the_neuron(reader):
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value", "random"))
    page = text_of(reader.get(URL, {"tokens": "word3 word25"}))
    assert '<bdi class="notranslate wanted" translate="no">word3</bdi>' in page
    assert "(26)" in page  # its rank in the value's list, behind the ten that are shown
    neuron = reverse("explorer:neuron", args=[extraction.public_id, 0, 0])
    assert page.count(f'href="{neuron}"') == 1


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"tokens": "xyzzy"}, "No token of these models reads"),
        ({"tokens": "word1 word99"}, "No list has all of these tokens"),
        ({"said": "xyzzy"}, "No list has such annotations"),
        ({"layer_from": "99"}, "Leave out a condition"),
        ({}, "What are you looking for?"),
    ],
)
def test_what_is_empty_says_what_to_do(reader, asked, sentence):
    make_extraction(layers=1, per_layer=1)
    response = reader.get(URL, asked)
    assert response.status_code == 200
    assert sentence in text_of(response)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"tokens": " ".join(f"w{n}" for n in range(11))}, "at most 10 tokens at once, not 11"),
        ({"tokens": " ".join(map(str, range(10_000)))}, "at most 500 characters"),
        ({"tokens": "x" * 100_000}, "at most 500 characters"),
        ({"said": " ".join(f"w{n}" for n in range(11))}, "at most 10 words in descriptions"),
        ({"layer_from": "-1"}, "greater than or equal to 0"),
        ({"layer_from": "1e9"}, "Enter a whole number"),
        ({"layer_to": "99999999999999999999"}, "less than or equal to 100000"),
        ({"layer_from": "3", "layer_to": "2"}, "The first layer comes after the last one"),
        ({"percent_from": "nan"}, "Enter a number"),
        ({"percent_from": "101"}, "less than or equal to 100"),
        ({"percent_from": "30", "percent_to": "20"}, "No share is at least"),
        ({"kind": "x"}, "Select a valid choice"),
        ({"category": "x"}, "Select a valid choice"),
        ({"order": "x"}, "Select a valid choice"),
        ({"match": "x"}, "Select a valid choice"),
        ({"order": "score", "kind": "value"}, "only where you search for tokens"),
        ({"extractions": "x"}, "Choose the models again"),
        ({"extractions": "0" * 8 + "-0000-0000-0000-" + "0" * 12}, "Choose the models again"),
        ({"page": "0"}, "greater than or equal to 1"),
        ({"page": "999999999"}, "less than or equal to 400"),
        ({"tokens": "a\x00b"}, "Null characters are not allowed"),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_a_sentence(reader, asked, sentence):
    make_extraction(layers=1, per_layer=1)
    response = reader.get(URL, asked)
    assert response.status_code == 422
    assert sentence in text_of(response)
    refused = reader.get(f"{URL}lists.csv", asked)
    assert refused.status_code == 422
    assert sentence in text_of(refused)


def test_hostile_words_find_nothing_and_break_nothing(indexed, person):
    make_extraction(layers=1, per_layer=1)
    indexed()
    for word in (
        "'",
        '"',
        "\\",
        "*",
        "**",
        "⋯",
        "%",
        "_",
        "🙂*",
        "\u202eabc",
        "ß*",
        "İ",
        "[1]",
        "$.a",
    ):
        assert found(person, tokens=word) == []
        assert found(person, said=word) == []


def test_a_word_that_begins_too_many_tokens_asks_for_more_letters(monkeypatch, reader):
    monkeypatch.setattr(searching, "MOST_TOKENS", 50)
    make_extraction(layers=1, per_layer=1)
    response = reader.get(URL, {"tokens": "word*"})
    assert response.status_code == 422
    assert "word* begins 100 tokens, and a search can take 50" in text_of(response)


def test_a_site_without_lists_says_what_to_do(reader):
    page = text_of(reader.get(URL, {"tokens": "king"}))
    assert "No model has lists yet" in page
    Extraction.objects.create(model_source="x", state=Extraction.State.QUEUED)
    assert "No model has lists yet" in text_of(reader.get(URL))


def test_the_address_of_a_search_is_the_search(reader):
    extraction = make_extraction(layers=1, per_layer=1)
    asked = VectorSearch(
        tokens="word1 word2*", match="any", said="a & b", layer_from=0,
        extractions=(extraction.public_id,), labelled=True, percent_to=99.5,
    )  # fmt: skip
    response = reader.get(f"{URL}?{asked.query}")
    assert response.context["search"] == asked


def test_the_queries_of_a_page_do_not_grow_with_its_rows(reader):
    extraction = make_extraction(layers=2, per_layer=20, kinds=("value",))
    postings_sweep()
    study = make_study(
        extraction=extraction, kinds=("value",), lists_per_layer=20, annotators=1,
        annotators_per_list=1,
    )  # fmt: skip
    closed(study)

    def queries(**asked):
        with CaptureQueriesContext(
            connection,
        ) as made:
            assert reader.get(URL, asked).status_code == 200
        return len(made)

    few = queries(tokens="word0")
    assert queries(tokens="word25") == few
    Study.objects.filter(pk=study.pk).update(state="open")
    annotated(study)
    closed(study)
    # Person, session, extractions, hidden, a token, whether there is an index, its two tables,
    # vectors, displays, and seven of annotations.
    assert few <= queries(tokens="word25") <= 22
    assert queries(tokens="word25 word26 word27") <= 24
    assert Vector.objects.count() == 40
