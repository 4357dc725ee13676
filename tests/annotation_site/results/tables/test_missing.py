"""What is missing, counted by hand: in tables, under filters, on the page, and after a lease."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from annotation_site.annotation.allocation import slots
from annotation_site.annotation.models import Assignment, Revision
from annotation_site.annotation.studies.plans import EVERY_CATEGORY
from annotation_site.annotation.work import submissions
from annotation_site.results.pages.missing import _reasons
from annotation_site.results.pseudonyms import pseudonyms_ensure, pseudonyms_of
from annotation_site.results.snapshots import services
from annotation_site.results.snapshots.computation import table_request
from annotation_site.results.snapshots.services import data_version
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.registry import TABLES
from tests.annotation_site.annotation.answering import skip
from tests.annotation_site.factories import assignment_of, make_study, submit
from tests.annotation_site.results.by_hand import labelled_study, researcher_client

pytestmark = pytest.mark.django_db
COLUMNS = ("lists", "slots", "annotations", "unblinded", "skipped", "expired", "withdrawn")
COLUMNS += ("not_given", "skip_reasons")


@pytest.fixture
def study():
    """A could see where V0 comes from; B let R0 expire (opened on the 5th) and skipped R1 on the
    6th. Two annotators per list."""
    study = labelled_study()
    _, second = study.memberships.filter(role="annotator").order_by("pk")
    skip(second.assignments.get(item__vector__kind="random", item__vector__layer=1), "too  hard")
    Revision.objects.filter(snapshot__state="skipped").update(
        created_at=datetime(2026, 3, 6, 12, tzinfo=UTC)
    )
    second.assignments.filter(item__vector__kind="random", item__vector__layer=0).update(
        state=Assignment.State.EXPIRED, opened_at=datetime(2026, 3, 5, 12, tzinfo=UTC)
    )
    Assignment.objects.filter(
        item__vector__kind="value", item__vector__layer=0
    ).exclude(membership=second).update(unblinded=True)  # fmt: skip
    return study


def rows_of(study, name="missing", **chosen):
    filters = replace(Filters.of(study), **chosen)
    request, _ = table_request(study, annotations_of(study), filters)
    table = TABLES[name](replace(request, resamples=20)).astype(object)
    return table.where(table.notna(), None).to_dict("records")


def counted(rows):
    return {(row["kind"], row["layer"]): tuple(row[name] for name in COLUMNS) for row in rows}


def test_missing_annotations_are_those_counted_by_hand(study):
    assert counted(rows_of(study)) == {
        ("value", None): (2, 4, 3, 1, 0, 0, 0, 0, ""),
        ("random", None): (2, 4, 2, 0, 1, 1, 0, 2, "1 × too hard"),
        ("value", 0): (1, 2, 1, 1, 0, 0, 0, 0, ""),
        ("value", 1): (1, 2, 2, 0, 0, 0, 0, 0, ""),
        ("random", 0): (1, 2, 1, 0, 0, 1, 0, 1, ""),
        ("random", 1): (1, 2, 1, 0, 1, 0, 0, 1, "1 × too hard"),
    }


def test_the_same_reasons_are_counted_together_most_frequent_first(study):
    said = {("random", 0): "too hard", ("random", 1): "too hard", ("value", 1): "a slur"}
    _, second = study.memberships.filter(role="annotator").order_by("pk")
    for (kind, layer), reason in said.items():
        own = second.assignments.filter(item__vector__kind=kind, item__vector__layer=layer)
        own.update(state=Assignment.State.SKIPPED, skip_reason=reason)
    assert counted(rows_of(study))["random", None][-1] == "2 × too hard"
    assert counted(rows_of(study))["value", None][-1] == "1 × a slur"


@pytest.mark.parametrize("name", ["coverage", "coverage_adjudicated", "table_2"])
def test_tables_of_coverage_count_skips_alone(study, name):
    found = {(row["kind"], row.get("layer")): row["skipped"] for row in rows_of(study, name)}
    layers = {("value", 0): 0, ("value", 1): 0, ("random", 0): 0, ("random", 1): 1}
    whole = {("value", None): 0, ("random", None): 1}
    assert found == (whole if name == "table_2" else whole | layers)


@pytest.mark.parametrize(
    ("day", "skipped", "expired"), [("2026-03-05", 0, 1), ("2026-03-06", 1, 0)]
)
def test_a_day_takes_what_was_skipped_or_opened_on_it(study, day, skipped, expired):
    """Slots have no day; so neither have those that are empty."""
    found = counted(rows_of(study, day_from=day, day_to=day))["random", None]
    assert found[:8] == (2, None, 0, 0, skipped, expired, 0, None)
    skips = {
        row["kind"]: row["skipped"] for row in rows_of(study, "coverage", day_from=day, day_to=day)
    }
    assert skips["random"] == skipped


def test_people_take_what_they_skipped_and_let_expire(study):
    pseudonyms_ensure(study=study)
    codes = pseudonyms_of(study)
    first, second = (
        codes[one.user_id] for one in study.memberships.filter(role="annotator").order_by("pk")
    )
    of_first = counted(rows_of(study, people=(first,)))
    of_second = counted(rows_of(study, people=(second,)))
    assert of_first["random", None][:8] == (2, None, 2, 0, 0, 0, 0, None)
    assert of_first["value", None][:8] == (2, None, 1, 1, 0, 0, 0, None)
    assert of_second["random", None][:8] == (2, None, 0, 0, 1, 1, 0, None)
    assert of_second["value", None][:8] == (2, None, 2, 0, 0, 0, 0, None)


def test_annotations_that_were_removed_have_neither_a_person_nor_a_day(study):
    own = Assignment.objects.filter(state=Assignment.State.EXPIRED)
    own.update(state=Assignment.State.WITHDRAWN)
    assert counted(rows_of(study))["random", None] == (2, 4, 2, 0, 1, 0, 1, 2, "1 × too hard")
    pseudonyms_ensure(study=study)
    everybody = tuple(pseudonyms_of(study).values())
    for chosen in ({"people": everybody}, {"day_from": "2026-03-01", "day_to": "2026-03-31"}):
        assert counted(rows_of(study, **chosen))["random", None][6] == 0


def test_a_lease_that_ends_makes_new_tables():
    study = make_study(annotators=3)
    assignment = assignment_of(study)
    submissions.assignment_open(assignment)
    before = data_version(study.pk)
    assert data_version(study.pk) == before
    Assignment.objects.filter(pk=assignment.pk).update(
        opened_at=timezone.now() - timedelta(hours=study.lease_hours, seconds=1)
    )
    slots.leases_sweep()
    assignment.refresh_from_db()
    assert assignment.state == Assignment.State.EXPIRED
    assert data_version(study.pk) == before + 1
    slots.leases_sweep()
    assert data_version(study.pk) == before + 1


def section_of(study, min_tokens=None):
    filters = Filters(min_tokens=min_tokens or study.min_tokens)
    services.snapshot_refresh_now(study=study, filters=filters)
    address = f"/studies/{study.slug}/results/?min_tokens={filters.min_tokens}"
    page = researcher_client(study).get(address).content.decode()
    return page.partition('<section class="card" id="missing"')[2].partition("</section>")[0]


def test_the_page_shows_what_is_missing_with_the_reasons(study):
    section = section_of(study)
    for words in ("Not given yet", "Skipped", "Not submitted in time", "Not blind", "1 × too hard"):
        assert words in section
    assert "Missing annotations by kind and layer" in section


def test_a_reason_is_told_once_with_its_count_over_all_kinds():
    assert _reasons(["2 × Too hard.; 1 × a; b", "3 × Too hard.; 1 × slow"]) == (
        "5 × Too hard; 1 × a; b; 1 × slow"
    )


def test_the_page_says_that_nothing_is_missing():
    study = labelled_study()
    second = study.memberships.filter(role="annotator").order_by("pk")[1]
    last = second.assignments.get(item__vector__kind="random", item__vector__layer=1)
    submit(last)
    section = section_of(study)
    assert re.findall(r'<th scope="row">(.*?)</th>', section) == [
        "Patterns of fewer than 4 tokens"  # 2 of 8, which files keep
    ]
    section = section_of(study, min_tokens=3)
    assert "Nothing is missing: nobody skipped a list." in section
    assert "<table" not in section


def test_no_category_is_called_as_a_column_of_the_tables(study):
    """Each category has a column of its own name."""
    names = [
        name for table in ("coverage", "table_2", "lists") for name in rows_of(study, table)[0]
    ]
    fixed = set(names) - set(study.categories)
    assert not fixed & set(EVERY_CATEGORY)
    assert {"skipped", "lists", "coverage"} <= fixed
