"""A filter of results: what it takes, how it is written down, and how it is asked for."""

from datetime import UTC, datetime, timedelta

import pytest

from annotation_site.annotation.models import Assignment, Item
from annotation_site.corpus.models import Vector
from annotation_site.results.forms import FilterForm
from annotation_site.results.pseudonyms import pseudonyms_ensure
from annotation_site.results.snapshots.selectors import people_of
from annotation_site.results.tables.dataframes import (
    annotations_of,
    frames_with_adjudicated,
)
from annotation_site.results.tables.filters import Filters
from tests.annotation_site.annotation.answering import submit
from tests.annotation_site.factories import answer, make_extraction, make_study, pattern
from tests.annotation_site.results.by_hand import labelled_study
from tests.annotation_site.results.frames import token_judgements_frame

pytestmark = pytest.mark.django_db


def form(study, **chosen) -> FilterForm:
    from django.http import QueryDict

    data = QueryDict(mutable=True)
    for name, value in chosen.items():
        data.setlist(name, value if isinstance(value, list) else [str(value)])
    return FilterForm(data, study=study, people=people_of(study))


def counted(study, **chosen) -> set[tuple[str, int, str]]:
    """Kind, layer and person of what a filter takes."""
    filters = Filters(min_tokens=4, **chosen)
    answers = annotations_of(study)
    labels = answers.labels(answers.counted(filters), filters)
    rows = labels.annotations.merge(labels.lists, on="list_id")
    return set(zip(rows["kind"], rows["layer"], rows["annotator"], strict=True))


def test_everything_chosen_is_the_same_as_nothing_chosen():
    study = labelled_study()
    every = form(
        study, kinds=["value", "random", "update"], categories=["semantic", "syntactic"],
        people=list(people_of(study)),
    )  # fmt: skip
    assert every.is_valid()
    assert every.filters() == Filters.of(study)
    assert Filters.of(study).canonical() == {"min_tokens": 4}


def test_choices_survive_storing_and_do_not_depend_on_their_order():
    study = labelled_study()
    one = form(
        study, kinds=["random", "value"], layer_from=1, day_to="2026-01-31", machine_annotators="on"
    )
    other = form(
        study, kinds=["value", "random"], layer_from=1, day_to="2026-01-31", machine_annotators="on"
    )
    assert one.is_valid()
    assert other.is_valid()
    filters = one.filters()
    assert filters.canonical() == {
        "min_tokens": 4, "kinds": ["random", "value"], "layer_from": 1, "day_to": "2026-01-31",
        "machine_annotators": True,
    }  # fmt: skip
    assert Filters.read(filters.canonical()) == filters
    assert other.filters().key == filters.key != Filters.of(study).key


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"kinds": ["value", "nothing"]}, "nothing is not one of the available choices"),
        ({"categories": ["names"]}, "names is not one of the available choices"),
        ({"people": ["somebody"]}, "somebody is not one of the available choices"),
        ({"min_tokens": 0}, "greater than or equal to 1"),
        ({"layer_from": 3, "layer_to": 2}, "The first layer comes after the last one."),
        ({"day_from": "2026-02-01", "day_to": "2026-01-01"}, "The first day comes after"),
        ({"day_from": "soon"}, "Enter a valid date"),
        ({"adjudicated": "maybe"}, "maybe is not one of the available choices"),
    ],
)
def test_what_the_study_does_not_hold_is_refused_in_a_sentence(chosen, sentence):
    refused = form(labelled_study(), **chosen)
    assert not refused.is_valid()
    assert sentence in refused.sentence()


def test_kinds_layers_people_and_days_are_taken():
    study = labelled_study()
    every = counted(study)
    first = min(people_of(study))
    assert len(every) == 7
    assert counted(study, kinds=("random",)) == {one for one in every if one[0] == "random"}
    assert counted(study, layer_from=1) == {one for one in every if one[1] == 1}
    assert counted(study, layer_to=0) == {one for one in every if one[1] == 0}
    assert counted(study, people=(first,)) == {one for one in every if one[2] == first}
    early = datetime(2026, 1, 5, 23, 59, tzinfo=UTC)
    for number, row in enumerate(Assignment.objects.filter(state="submitted").order_by("pk")):
        Assignment.objects.filter(pk=row.pk).update(submitted_at=early + timedelta(days=number))
    # Both days are included, in UTC.
    assert len(counted(study, day_from="2026-01-05", day_to="2026-01-05")) == 1
    assert len(counted(study, day_from="2026-01-06")) == 6
    assert len(counted(study, day_to="2026-01-07")) == 3


def test_other_categories_are_as_if_they_were_not_there():
    study = labelled_study()
    filters = Filters(min_tokens=4, categories=("syntactic",))
    answers = annotations_of(study)
    labels = answers.labels(answers.counted(filters), filters)
    assert set(labels.members["category"]) == {"syntactic"}
    assert len(labels.annotations) == 7


def test_a_final_answer_stands_for_the_annotators_answers():
    study = labelled_study()
    item = Item.objects.get(vector__kind="value", vector__layer=0)
    researcher = study.memberships.get(role="researcher")
    final = Assignment.objects.create(
        item=item, membership=researcher, purpose="adjudication", position=1, state="submitted",
        submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    answers = annotations_of(study)
    whose = {}
    for choice in ("on", "only"):
        labels = frames_with_adjudicated(answers, Filters(min_tokens=4, adjudicated=choice))
        whose[choice] = labels.annotations.set_index("annotation_id")["annotator"]
        assert set(whose[choice][labels.annotations["list_id"].eq(item.pk).to_numpy()]) == {
            "adjudicated"
        }
    assert (len(whose["on"]), list(whose["only"].index)) == (6, [final.pk])
    assert len(counted(study)) == 7  # off: the annotators' own answers


def test_lists_for_training_stand_in_no_table():
    study = labelled_study()
    study.extractions.add(make_extraction())
    spare = Vector.objects.exclude(pk__in=study.items.values("vector")).first()
    Item.objects.create(study=study, vector=spare, use="training")
    answers = annotations_of(study)
    assert len(answers.lists) == 5
    assert len(answers.chosen_lists(Filters.of(study))) == 4


def test_every_label_is_a_row_with_all_about_it():
    study = make_study(annotators=1, extraction=make_extraction(layers=1, per_layer=1))
    for row, content in zip(
        Assignment.objects.order_by("position"),
        (answer(pattern(1, [2, 3]), pattern(2, [5])), answer(), answer()),
        strict=True,
    ):
        submit(row, content)
    frame = token_judgements_frame(annotations_of(study))
    first = Assignment.objects.order_by("position")[0]
    own = frame[frame["annotation_id"] == first.pk].sort_values("rank")
    assert own[["pattern", "rank", "category", "purpose", "kind"]].to_numpy().tolist() == [
        [1, 2, "semantic", "annotation", first.item.vector.kind],
        [1, 3, "semantic", "annotation", first.item.vector.kind],
        [2, 5, "semantic", "annotation", first.item.vector.kind],
    ]
    assert frame["rank"].isna().sum() == 2  # "no pattern here" keeps a row
    assert (frame["submitted_at"].notna()).all()


def test_loading_takes_eight_queries_however_many_answers(django_assert_num_queries):
    study = labelled_study()
    pseudonyms_ensure(study=study)
    # whether everybody has a code, whether silent reference lists have their scores; codes,
    # patterns, members, annotations, the models' names, lists
    with django_assert_num_queries(8):
        annotations_of(study)


@pytest.mark.django_db
@pytest.mark.parametrize(("number", "valid"), [(4, True), (30, True), (31, False), (99, False)])
def test_a_minimum_above_the_length_of_the_lists_is_refused(number, valid):
    study = labelled_study()
    for extraction in study.extractions.all():
        extraction.parameters = {**extraction.parameters, "top_k": 30}
        extraction.save()
    chosen = form(study, min_tokens=number)
    assert chosen.is_valid() == valid
    if not valid:
        assert "more than 30 tokens" in chosen.sentence()
