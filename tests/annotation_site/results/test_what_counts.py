"""Tables rest on annotations alone, whatever else people submit (METHOD section 4).

What else is submitted stands in the tables that name it, and in no other: repeats in those of test
and retest, training and reference lists in that of reference answers, final answers where a table
says "adjudicated", and the pilot's lists in rows of their own of the variance components.
"""

import csv
import io
from dataclasses import replace

import pytest
from django.utils import timezone

from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.exports import EXPORT_FORMATS
from annotation_site.results.files.archive import study_lists, study_skips
from annotation_site.results.files.archive_annotations import TableSettings, request_of
from annotation_site.results.files.labels_export import annotation_records
from annotation_site.results.snapshots import services
from annotation_site.results.snapshots.computation import (
    populations_of,
    table_json,
    table_request,
)
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.registry import TABLES, tables_of
from tests.annotation_site.factories import (
    answer,
    give_references,
    make_draft,
    make_extraction,
    pattern,
    submit,
)
from tests.annotation_site.results.frames import frames_of

pytestmark = pytest.mark.django_db
Purpose = Assignment.Purpose
ONE = answer(pattern(1, [1, 2, 3, 4]))
ALL = answer(pattern(1, list(range(1, 31))))


ARCHIVED = "archive: "
FEW = 20  # draws of an interval; here only what they rest on matters


def tables(study):
    """Every table: those of the results page, those of an archive, and what they rest on."""
    answers = annotations_of(study)
    request, _ = table_request(study, answers, Filters.of(study))
    request = replace(request, resamples=FEW)
    found = {name: table_json(table(request)) for name, table in TABLES.items()}
    labels = frames_of(study)
    for name in ("lists", "annotations", "members"):
        frame = getattr(labels, name)
        frame = frame.sort_values(list(frame.columns), ignore_index=True)
        found[f"labels: {name}"] = frame.to_dict()
    populations = populations_of(study)
    choices = TableSettings(tuple(study.categories), study.min_tokens, populations, resamples=FEW)
    archived = request_of(
        study_lists(study), (), annotation_records(study), choices,
        skips=study_skips(study), slots=study.annotators_per_list,
    )  # fmt: skip
    for name, table in tables_of(archived):
        found[ARCHIVED + name] = b"".join(EXPORT_FORMATS["csv"].write(table))
    return found


def changed(before, after):
    assert set(before) == set(after)
    return {name for name in before if before[name] != after[name]}


@pytest.fixture
def study():
    """A study after its pilot, in which everybody has judged all their lists alike."""
    made = make_draft(
        extraction=make_extraction(per_layer=6), annotators=3, lists_per_layer=2,
        training_lists=1, reference_lists=1, pilot_lists=1, repeat_percent=25,
    )  # fmt: skip
    give_references(made)
    study_state_change(study=made, state=Study.State.PILOT)
    Membership.objects.update(consent_version=0, consented_at=timezone.now())
    for pilot in Assignment.objects.filter(purpose=Purpose.PILOT)[:2]:
        submit(pilot, ONE)
    study_state_change(study=made, state=Study.State.OPEN)
    made.refresh_from_db()
    for own in Assignment.objects.filter(purpose=Purpose.ANNOTATION):
        submit(own, ONE)
    return made


def test_the_pilots_lists_and_answers_are_in_rows_of_their_own_of_one_table(study):
    found = tables(study)
    lists, annotations = found["labels: lists"], found["labels: annotations"]
    own = set(study.items.filter(use="study").values_list("pk", flat=True))
    assert set(lists["list_id"].values()) == own
    assert set(annotations["list_id"].values()) == own
    assert len(annotations["list_id"]) == 2 * len(own)


def test_answers_to_pilot_lists_change_the_pilots_rows_alone(study):
    before = tables(study)
    pilot = Assignment.objects.filter(purpose=Purpose.PILOT, state=Assignment.State.SUBMITTED)
    pilot.first().patterns.all().delete()
    after = tables(study)
    assert changed(before, after) == {"variance_components", ARCHIVED + "variance_components"}
    Assignment.objects.filter(purpose=Purpose.PILOT).update(unblinded=True)
    sources = {row["source"] for row in csv_rows(tables(study), ARCHIVED + "variance_components")}
    assert sources == {"annotation"}


def csv_rows(found, name):
    return list(csv.DictReader(io.StringIO(found[name].decode())))


@pytest.mark.parametrize(
    ("purpose", "names_it"),
    [
        (Purpose.TRAINING, {"reference"}),
        (Purpose.REFERENCE, {"reference"}),
        (Purpose.REPEAT, {"retest"}),
    ],
)
def test_what_stands_between_a_persons_lists_is_in_the_table_that_names_it(
    study, purpose, names_it
):
    before = tables(study)
    rows = Assignment.objects.filter(purpose=purpose, state=Assignment.State.WAITING)
    assert rows
    for row in rows:
        submit(row, ALL)
    assert changed(before, tables(study)) == names_it | {ARCHIVED + name for name in names_it}


def test_final_answers_change_no_table_of_what_people_said(study):
    before = tables(study)
    researcher = study.memberships.get(role=Membership.Role.RESEARCHER).user
    for item in study.items.filter(use__in=("study", "reference")):
        submit(adjudicated_annotation_open(item=item, by=researcher), ALL)
    assert changed(before, tables(study)) == {
        "coverage_adjudicated",
        ARCHIVED + "coverage_adjudicated",
    }


def test_surplus_answers_and_those_of_people_who_were_not_blind_change_no_table(study):
    own = Assignment.objects.filter(purpose=Purpose.ANNOTATION).order_by("pk")
    surplus, unblinded = own[0], own[1]
    Assignment.objects.filter(pk=surplus.pk).update(surplus=True)
    Assignment.objects.filter(pk=unblinded.pk).update(unblinded=True)
    before = tables(study)
    for row in (surplus, unblinded):
        row.patterns.all().delete()
    assert changed(before, tables(study)) == set()


def test_the_table_of_reference_lists_leaves_out_people_who_were_not_blind(study):
    rows = list(Assignment.objects.filter(purpose=Purpose.REFERENCE).order_by("pk"))
    for row in rows:
        submit(row, ONE)
    Assignment.objects.filter(pk=rows[0].pk).update(unblinded=True)
    snapshot = services.snapshot_refresh_now(study=study)
    codes = dict(study.pseudonyms.values_list("user", "name"))
    blind = {codes[row.membership.user_id] for row in rows[1:]}
    assert {person for person, *_ in snapshot.tables["reference"]["rows"]} == blind


def test_an_annotation_changes_them(study):
    before = tables(study)
    own = Assignment.objects.filter(purpose=Purpose.ANNOTATION, item__vector__kind="value")
    submit(own.first(), ALL)
    # Nothing was repeated, compared with a reference or timed anew, people share too few lists for
    # a latent majority and for the alternative annotator test, and there is no control but random
    # vectors.
    same = {
        "retest", "reference", "time_per_list", "machine_coverage", "missing", "competence",
        "other_controls", "alternative_annotators", "alternative_annotator_people",
    }  # fmt: skip
    assert set(before) - changed(before, tables(study)) == {
        *same, *(ARCHIVED + name for name in same), "labels: lists", "labels: annotations",
        ARCHIVED + "machine_agreement",  # this archive was given no machine's answers
    }  # fmt: skip
