"""*Lists*: search, filters and order; and the page of one list."""

import uuid

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation_site.annotation.models import Assignment, Study
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.annotation.review.looks import look_record
from annotation_site.annotation.work import submissions
from annotation_site.corpus.models import Token, Vector
from annotation_site.results.pages.disagreement import Ranking
from annotation_site.results.pages.list_search import ListFilters, lists_found, lists_url
from annotation_site.results.pages.one_list import list_of
from annotation_site.results.pseudonyms import pseudonyms_ensure
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.factories import (
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
NONE = Ranking({}, timezone.now())


def give(item, name, content):
    return submit(item.assignments.get(membership__user__username=name), content)


def make() -> int:
    """Twelve lists of two layers and two kinds for three people; list n has words n to n+29."""
    people = [UserFactory(username=name) for name in ("ana", "ben", "cleo")]
    extraction = make_extraction(layers=2, per_layer=3, kinds=("value", "random"))
    return make_study(
        people=people, extraction=extraction, annotators_per_list=3, lists_per_layer=3
    ).pk


@pytest.fixture(scope="module")
def stored(store):
    return store(make)


@pytest.fixture
def study(stored, db):
    return Study.objects.get(pk=stored)


def lists_of(study):
    return {item.vector.token_ids[0]: item for item in study.items.select_related("vector")}


def found(study, **filters):
    """The first words of the lists that a filter finds, by number."""
    ids = lists_found(study, ListFilters(**{"order": "number", **filters}), NONE)
    first = {item.pk: n for n, item in lists_of(study).items()}
    return sorted(first[pk] for pk in ids)


def test_lists_are_found_by_all_words_of_their_entries(study):
    assert found(study) == list(range(12))
    assert found(study, entries="word3") == [0, 1, 2, 3]
    assert found(study, entries="WORD3 word32") == [3]  # list 3 has words 3 to 32
    assert found(study, entries="word3*") == list(range(12))  # word30 to word39 as well
    assert found(study, entries="word4*") == [0, 1, 2, 3, 4, 11]  # the last has words to word40
    assert found(study, entries="nowhere") == []
    assert found(study, entries="word0 nowhere") == []
    Token.objects.filter(token_id=40).update(display="⋯ing")
    assert found(study, entries="ing") == [11]  # a piece within a word
    assert found(study, entries="in*") == [11]
    assert found(study, entries="*") == []  # no words but the sign itself


def test_lists_are_filtered_by_where_they_come_from(study):
    lists = lists_of(study)
    values = [n for n, item in lists.items() if item.vector.kind == "value"]
    assert found(study, kind="value") == sorted(values)
    assert found(study, layer_from=1) == sorted(
        n for n, item in lists.items() if item.vector.layer == 1
    )
    assert found(study, layer_to=0, kind="random") == sorted(
        n for n, i in lists.items() if (i.vector.layer, i.vector.kind) == (0, "random")
    )
    (model,) = {item.vector.extraction.model.name for item in lists.values()}
    assert found(study, model=model) == list(range(12))
    assert found(study, model="another") == []


def test_lists_are_filtered_by_state_person_and_descriptions(study):
    lists = lists_of(study)
    ben = study.memberships.get(user__username="ben").user
    for name in ("ana", "ben", "cleo"):
        give(lists[0], name, answer(pattern(1, [1, 2, 3, 4], description="Birds that sing")))
    give(lists[1], "ana", answer())
    row = lists[2].assignments.get(membership__user=ben)
    submissions.assignment_skip(
        user=ben, public_id=row.public_id, base_version=0, key=uuid.uuid4(), reason="odd"
    )
    submissions.assignment_open(lists[3].assignments.get(membership__user=ben))
    assert found(study, state="none") == list(range(2, 12))
    assert found(study, state="some") == [1]
    assert found(study, state="complete") == [0]
    assert found(study, state="working") == [3]
    assert found(study, state="skipped") == [2]
    assert found(study, state="to_adjudicate") == [0]
    assert found(study, person=ben.public_id) == [0]
    assert found(study, person=uuid.uuid4()) == []
    assert found(study, said="birds THAT") == [0]
    assert found(study, said="fish") == []
    submit(adjudicated_annotation_open(item=lists[0], by=researcher_of(study)), answer())
    assert (found(study, state="to_adjudicate"), found(study, state="adjudicated")) == ([], [0])
    assert found(study, state="not_blind") == []
    Assignment.objects.filter(item=lists[0], purpose="annotation").update(unblinded=True)
    assert found(study, state="none") == [0, *range(2, 12)]


def test_lists_are_filtered_by_agreement_and_ordered_by_it(study):
    lists = lists_of(study)
    overlap = {lists[4].pk: 0.1, lists[2].pk: 0.5, lists[7].pk: 0.9, lists[8].pk: None}
    ranking = Ranking(overlap, timezone.now())

    def numbers(**filters):
        first = {item.pk: n for n, item in lists.items()}
        return [first[pk] for pk in lists_found(study, ListFilters(**filters), ranking)]

    assert numbers(agreement_below=0.5, order="overlap") == [4]
    assert numbers(agreement_from=0.5, order="overlap") == [2, 7]
    assert numbers(agreement_from=0.1, agreement_below=0.9, order="overlap") == [4, 2]
    assert numbers(order="overlap")[:4] == [4, 2, 7, 8]
    assert lists_found(study, ListFilters(agreement_below=0.5), None) == []


def test_the_page_shows_first_entries_found_ones_and_the_count(study):
    client = client_of(researcher_of(study))
    url = reverse("results:lists", args=[study.slug])
    page = text_of(client.get(url, {"entries": "word3 word31", "order": "number"}))
    assert "2 lists" in page  # lists 2 (words 2 to 31) and 3
    lists = lists_of(study)
    at = reverse("results:list", args=[study.slug, lists[2].pk])
    assert f'href="{at}?entries=word3+word31&amp;order=number"' in page
    first = page[page.index(at) :]
    shown = first[: first.index("</tr>")]
    assert [f">word{n}<" in shown for n in (2, 9, 10, 31)] == [True, True, False, True]
    assert "(30)" in shown  # word31 stands at rank 30
    nothing = text_of(client.get(url, {"entries": "nowhere"}))
    assert "No list matches" in nothing
    assert "Leave a field empty" in nothing
    swapped = text_of(client.get(url, {"layer_from": "2", "layer_to": "1"}))
    assert "The first layer comes after the last one. Swap them." in swapped
    assert "<table" not in swapped
    wrong = client.get(url, {"person": "x", "entries": "w" * 201, "agreement_below": "2"})
    assert wrong.status_code == 200
    assert "<table" not in text_of(wrong)


def test_a_link_to_lists_says_no_more_than_its_filter(study):
    url = lists_url(study, kind="value", layer=3)
    assert url == (f"/studies/{study.slug}/run/lists/?kind=value&layer_from=3&layer_to=3")


def test_the_api_filters_as_the_page_does(study):
    script = bearer(researcher_of(study))
    url = f"/api/studies/{study.slug}/lists"
    rows = script.get(url, {"entries": "word3 word31", "order": "number"}).json()
    lists = lists_of(study)
    assert {row["id"] for row in rows["results"]} == {lists[2].pk, lists[3].pk}
    (first,) = [row for row in rows["results"] if row["id"] == lists[2].pk]
    assert first["entries"] == [f"word{n}" for n in range(2, 10)]
    assert (first["adjudicated"], first["looked_before"]) == (False, False)
    assert script.get(url, {"agreement_below": "2"}).status_code == 400
    assert script.get(url, {"state": "odd"}).status_code == 400


def three_people(study):
    """A list on which three people differ, two of them with a pattern too small to count."""
    item = lists_of(study)[5]
    give(
        item, "ana",
        answer(pattern(1, [1, 2, 3, 4], description="birds"), pattern(2, [9, 10, 11, 12])),
    )  # fmt: skip
    give(
        item, "ben",
        answer(pattern(1, [9, 10, 11], description="few", category="syntactic"),
               pattern(2, [1, 2, 3, 5], description="owls"), comment="Two ideas."),
    )  # fmt: skip
    give(item, "cleo", answer(pattern(1, [1, 2, 3, 4], description="hens")))
    pseudonyms_ensure(study=study)
    item.study = study
    return item


def marks(page, rank):
    """Of each person by name the mark at a rank, hollow ones in brackets."""
    entry = page.top[rank - 1]
    return {
        column.name: "".join(
            str(mark.number) if mark.counts else f"({mark.number})" for mark in said or ()
        )
        for column, said in zip(page.columns, entry.marks, strict=True)
    }


def test_marks_follow_the_matched_pattern_and_hollow_ones_are_too_small(study):
    page = list_of(three_people(study), None)
    assert marks(page, 1) == {"ana": "1", "ben": "1", "cleo": "1"}
    assert marks(page, 4) == {"ana": "1", "ben": "", "cleo": "1"}
    assert marks(page, 9) == {"ana": "2", "ben": "(2)", "cleo": ""}
    entries = {entry.token.rank: (entry.alike, entry.people) for entry in page.top if entry.differs}
    # A mark that does not count is none: at 9 two people say nothing and one says 2.
    assert entries == {4: (2, 3), 5: (2, 3), 9: (2, 3), 10: (2, 3), 11: (2, 3), 12: (2, 3)}
    by_name = {column.name: column for column in page.columns}
    assert by_name["ben"].comment == "Two ideas."
    assert [(p.mark.number, p.description, p.size) for p in by_name["ben"].patterns] == [
        (2, "few", 3),
        (1, "owls", 4),
    ]
    assert [mark.number for mark in page.legend] == [1, 2]
    # ana–ben: 3/5 of 3 patterns with one pair; ana–cleo: 1 of 2; ben–cleo: 3/5 of 1.
    assert page.agreement.patterns == pytest.approx((0.6 / 2 + 1 / 2 + 0.6) / 3)
    assert page.free == 0


def test_the_page_of_a_list_shows_everything_about_it(study):
    item = three_people(study)
    low = [90, 91, 92]
    Vector.objects.filter(pk=item.vector_id).update(
        bottom_token_ids=low, bottom_scores=[-2.0, -1.5, -1.0], context="on the bank of a river",
        context_position=2, context_token="bank",
    )  # fmt: skip
    give(item, "ben", answer())  # a second version
    boss = researcher_of(study)
    look_record(item=item, by=boss)
    submit(adjudicated_annotation_open(item=item, by=boss), answer(pattern(1, [1, 2, 3, 4])))
    client = client_of(boss)
    page = text_of(client.get(reverse("results:list", args=[study.slug, item.pk])))
    kind = f"{item.vector.kind} vector {item.vector.index}, layer {item.vector.layer}"
    codes = study.pseudonyms.values_list("name", flat=True)
    for shown in (
        kind, item.vector.extraction.model.name, "3 of 3 annotations", "adjudicated by", "ana",
        "hens", "version 1", "owls", "no pattern", *codes, "<mark>bank</mark>", "word90", "−2.00",
        "the meaning of 5", "Change the adjudication", "Agreement on this list",
    ):  # fmt: skip
        assert shown in page, shown
    assert page.count("button-primary") == 1


def test_columns_of_those_whose_annotations_do_not_count_are_marked(study):
    item = three_people(study)
    Assignment.objects.filter(item=item, membership__user__username="ben").update(unblinded=True)
    row = lists_of(study)[6].assignments.get(membership__user__username="ana")
    submissions.assignment_skip(
        user=row.membership.user, public_id=row.public_id, base_version=0, key=uuid.uuid4(),
        reason="cannot read it",
    )  # fmt: skip
    # Not before: with the next sharing she would take the slot that is free then.
    Assignment.objects.filter(item=item, membership__user__username="ana").update(surplus=True)
    page = list_of(item, None)
    assert {c.name: c.state for c in page.columns} == {
        "ana": "surplus", "ben": "unblinded", "cleo": "counted",
    }  # fmt: skip
    assert {entry.people for entry in page.top} == {1}
    assert page.free == 1  # a surplus annotation holds no slot
    other = lists_of(study)[6]
    other.study = study
    skipped = list_of(other, None)
    assert [(c.name, c.state, c.skip_reason) for c in skipped.columns] == [
        ("ana", "skipped", "cannot read it")
    ]
    assert skipped.top[0].marks == [None]
    assert {(slot.name, slot.state) for slot in skipped.slots} == {
        ("ben", "not opened yet"),
        ("cleo", "not opened yet"),
    }


def test_neighbours_are_those_of_the_order_and_the_filter(study):
    lists = lists_of(study)
    boss = researcher_of(study)
    for item in lists.values():
        look_record(item=item, by=boss)
    client = client_of(boss)
    ids = lists_found(study, ListFilters(entries="word3", order="origin"), None)
    url = reverse("results:list", args=[study.slug, ids[1]])
    query = "entries=word3&amp;order=origin"
    page = text_of(client.get(url, {"entries": "word3", "order": "origin"}))
    assert "2 of 4" in page
    for rel, pk in (("prev", ids[0]), ("next", ids[2])):
        other = reverse("results:list", args=[study.slug, pk])
        assert f'rel="{rel}" href="{other}?{query}"' in page
    url = reverse("results:list", args=[study.slug, lists[9].pk])
    outside = text_of(client.get(url, {"entries": "word3"}))
    assert "not among the lists of this filter" in outside
    assert 'rel="next"' not in outside


def test_the_page_of_a_list_takes_as_many_queries_for_many_people(study, django_assert_num_queries):
    item = three_people(study)
    boss = researcher_of(study)
    look_record(item=item, by=boss)
    client = client_of(boss)
    url = reverse("results:list", args=[study.slug, item.pk])
    client.get(url)
    # session, person, study, list with its origin, models, people, ranking, order; membership and
    # adjudicated annotation, look (twice: before and for the record, in a savepoint of two);
    # assignments, patterns, members, codes, tokens; runs of language models, their rules; whether
    # it is made up
    with django_assert_num_queries(23):
        client.get(url)
