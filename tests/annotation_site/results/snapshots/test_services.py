"""Submitted labels become the coverage table that a calculation by hand gives."""

import csv
import io
import uuid
from dataclasses import replace
from fractions import Fraction

import pytest
from django.core.management import CommandError, call_command

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Membership, Revision
from annotation_site.annotation.studies.plans import plan_of
from annotation_site.annotation.studies.rules import study_change, study_extend
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots import services
from annotation_site.results.snapshots.selectors import results_state
from annotation_site.results.snapshots.versions import data_version
from tests.annotation_site.annotation.work.test_submissions import skip, submit
from tests.annotation_site.factories import (
    answer,
    client_of,
    make_extraction,
    make_study,
    pattern,
)

pytestmark = pytest.mark.django_db


def labelled_study():
    """Lists V0, V1, R0, R1 (kind and layer), judged by A and B; B has not judged R1."""
    study = make_study(
        extraction=make_extraction(layers=2, per_layer=1, kinds=("value", "random")),
        lists_per_layer=1,
        categories=("semantic", "syntactic"),
        title="By hand",
    )
    first, second = (m.pk for m in study.memberships.filter(role="annotator").order_by("pk"))
    answers = {
        (first, "value", 0): answer(
            pattern(1, [1, 2, 3, 4, 5, 6]), pattern(2, [7, 8, 9, 10], category="syntactic")
        ),
        (second, "value", 0): answer(pattern(1, list(range(1, 9))), pattern(2, [20, 21, 22])),
        (first, "value", 1): answer(),
        (second, "value", 1): answer(
            pattern(1, list(range(1, 13)), category="syntactic", stopwords=True)
        ),
        (first, "random", 0): answer(pattern(1, [1, 2, 3])),
        (second, "random", 0): answer(),
        (first, "random", 1): answer(
            pattern(1, [1, 2, 3, 4]), pattern(2, [5, 6, 7, 8, 9], category="syntactic")
        ),
    }
    for (person, kind, layer), content in answers.items():
        submit(
            Assignment.objects.get(
                membership=person, item__vector__kind=kind, item__vector__layer=layer
            ),
            content,
        )
    return study


# coverage, with stopwords, semantic, syntactic: of 30 tokens, mean over people, then over lists.
# V0: A covers 6 + 4 tokens, B covers 8 (its second pattern has 3 tokens, below the minimum of 4)
# V1: A says no pattern; B's only pattern is flagged: 12 tokens count with stopwords only
# R0: A's only pattern is below the minimum; B says no pattern
# R1: A alone covers 4 + 5
BY_HAND = {
    ("value", "0"): (Fraction(9, 30), Fraction(9, 30), Fraction(7, 30), Fraction(2, 30)),
    ("value", "1"): (0, Fraction(6, 30), 0, 0),
    ("value", ""): (Fraction(9, 60), Fraction(15, 60), Fraction(7, 60), Fraction(2, 60)),
    ("random", "0"): (0, 0, 0, 0),
    ("random", "1"): (Fraction(9, 30), Fraction(9, 30), Fraction(4, 30), Fraction(5, 30)),
    ("random", ""): (Fraction(9, 60), Fraction(9, 60), Fraction(4, 60), Fraction(5, 60)),
}
COUNTS = {  # lists in all, judged, annotations, "no pattern" answers; concepts per list
    ("value", "0"): (1, 1, 2, 0, 1.5, 1.5),
    ("value", "1"): (1, 1, 2, 1, 0, 0.5),
    ("value", ""): (2, 2, 4, 1, 0.75, 1),
    ("random", "0"): (1, 1, 2, 1, 0, 0),
    ("random", "1"): (1, 1, 1, 0, 2, 2),
    ("random", ""): (2, 2, 3, 1, 1, 1),
}


def assert_is_the_calculation_by_hand(content: bytes) -> None:
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [(row["kind"], row["layer"]) for row in rows] == [
        ("value", ""), ("random", ""),
        ("value", "0"), ("value", "1"), ("random", "0"), ("random", "1"),
    ]  # fmt: skip
    for row in rows:
        key = (row["kind"], row["layer"])
        shares = ("coverage", "coverage_with_stopwords", "semantic", "syntactic")
        assert [float(row[name]) for name in shares] == pytest.approx(
            [float(share) for share in BY_HAND[key]], abs=1e-12
        ), key
        counts = (
            "lists_total", "lists", "annotations", "no_pattern",
            "concepts_per_list", "concepts_per_list_with_stopwords",
        )  # fmt: skip
        assert tuple(float(row[name]) for name in counts) == COUNTS[key], key


def researcher_client(study):
    return client_of(study.memberships.get(role=Membership.Role.RESEARCHER).user)


def test_the_coverage_table_is_the_calculation_by_hand(tmp_path):
    study = labelled_study()
    out = tmp_path / "coverage.csv"
    call_command("export", study.slug, "coverage", "--out", str(out), verbosity=0)
    assert_is_the_calculation_by_hand(out.read_bytes())
    response = researcher_client(study).get(f"/studies/{study.slug}/results/coverage.csv")
    assert b"".join(response.streaming_content) == out.read_bytes()
    assert response["Content-Disposition"] == 'attachment; filename="by-hand-coverage.csv"'


def measured(snapshot):
    """The tables but the one that counts what stays out."""
    return {name: table for name, table in snapshot.tables.items() if name != "missing"}


def test_what_does_not_count_stays_out(tmp_path):
    study = labelled_study()
    before = measured(services.snapshot_refresh_now(study=study))
    last = Assignment.objects.get(state__in=Assignment.UNFINISHED)
    submit(last, answer(pattern(1, list(range(1, 31)))))
    Assignment.objects.filter(pk=last.pk).update(surplus=True)
    snapshot = services.snapshot_refresh_now(study=study)
    assert measured(snapshot) == before
    assert (snapshot.counts["surplus"], snapshot.counts["annotations"]) == (1, 7)
    Assignment.objects.filter(pk=last.pk).update(surplus=False, unblinded=True)
    Snapshot.objects.all().delete()
    assert measured(services.snapshot_refresh_now(study=study)) == before
    last.membership.user.role = Role.ADMIN  # what was judged blind goes on counting
    last.membership.user.save()
    Snapshot.objects.all().delete()
    assert measured(services.snapshot_refresh_now(study=study)) == before


def test_a_skip_is_no_annotation_and_is_counted():
    study = labelled_study()
    skip(Assignment.objects.get(state__in=Assignment.UNFINISHED))
    counts = services.snapshot_refresh_now(study=study).counts
    said = ("lists", "annotations", "annotators", "skipped", "surplus", "unblinded")
    assert [counts[name] for name in said] == [4, 7, 2, 1, 0, 0]


def test_a_snapshot_is_computed_once_and_goes_stale_with_the_next_submission():
    study = labelled_study()
    first = services.snapshot_refresh_now(study=study)
    assert services.snapshot_refresh_now(study=study).finished_at == first.finished_at
    assert results_state(study).is_current
    submit(Assignment.objects.get(state__in=Assignment.UNFINISHED), answer())
    state = results_state(study)
    assert (state.is_current, state.snapshot) == (False, first)


def test_the_version_counts_what_has_committed_whatever_its_id():
    study = labelled_study()
    newest = Revision.objects.order_by("-pk").first()
    before = data_version(study.pk)
    # A submission that took a lower id and commits later: the newest id would not change.
    Revision.objects.create(
        pk=newest.pk - 100_000, assignment=newest.assignment, version=99, key=uuid.uuid4(),
        snapshot={},
    )  # fmt: skip
    assert data_version(study.pk) == before + 1


def test_the_sweep_makes_due_what_nobody_asked_for_and_once(messages):
    study = labelled_study()
    for _ in range(2):
        services.snapshots_sweep()
    (due,) = Snapshot.waiting()
    assert (due.study, messages) == (study, [("snapshot_compute_due", due.pk)])
    services.snapshot_refresh_now(study=study)
    services.snapshots_sweep()
    assert (Snapshot.waiting().count(), len(messages)) == (0, 1)


def test_a_computation_that_breaks_is_said_on_the_page(monkeypatch):
    from annotation_site.results.snapshots import computation

    study = labelled_study()
    monkeypatch.setattr(computation, "annotations_of", lambda study: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        services.snapshot_refresh_now(study=study)
    page = researcher_client(study).get(f"/studies/{study.slug}/results/").content.decode()
    assert "A bug stopped this (ZeroDivisionError)" in page


def test_an_export_names_the_studies_there_are():
    labelled_study()
    with pytest.raises(CommandError, match="There are: by-hand"):
        call_command("export", "nothing", "coverage", "--out", "x.csv")


def test_the_results_page_shows_the_table_and_the_figure_in_words():
    study = labelled_study()
    services.snapshot_refresh_now(study=study)
    page = researcher_client(study).get(f"/studies/{study.slug}/results/").content.decode()
    assert "<strong>15.0%</strong>" in page
    assert "7 annotations by 2 people" in page
    assert 'alt="' in page
    address = f"/studies/{study.slug}/figures/coverage-across-layers-0.svg"
    assert address in page
    figure = researcher_client(study).get(address)
    assert figure["Content-Type"] == "image/svg+xml"
    assert b"<svg" in figure.getvalue()


def test_the_status_part_is_empty_while_nothing_is_new():
    study = labelled_study()
    services.snapshot_refresh_now(study=study)
    client = researcher_client(study)
    shown = client.get(f"/studies/{study.slug}/results/").context["shown"]
    assert client.get(f"/studies/{study.slug}/results/status/?have={shown}").status_code == 204
    submit(Assignment.objects.get(state__in=Assignment.UNFINISHED), answer())
    assert client.get(f"/studies/{study.slug}/results/status/?have={shown}").status_code == 200


def test_more_lists_and_other_rules_make_tables_stale_and_remove_no_file():
    study = labelled_study_that_can_grow()
    snapshot = services.snapshot_refresh_now(study=study)
    study_extend(study=study, lists_per_layer=2)
    study.refresh_from_db()
    assert not results_state(study).is_current
    after = services.snapshot_refresh_now(study=study)
    assert after.counts["lists"] == 2 * snapshot.counts["lists"]
    assert results_state(study).is_current
    assert study.removals == 0  # which would take the written files away


def labelled_study_that_can_grow():
    study = make_study(
        extraction=make_extraction(layers=2, per_layer=2, kinds=("value",)), lists_per_layer=1
    )
    submit(Assignment.objects.filter(state__in=Assignment.UNFINISHED).first(), answer())
    return study


def test_other_categories_make_tables_stale():
    study = make_study(lists_per_layer=1, training_lists=1)
    snapshot = services.snapshot_refresh_now(study=study)
    study_change(study=study, plan=replace(plan_of(study), categories=["semantic"]))
    study.refresh_from_db()
    assert results_state(study).snapshot == snapshot
    assert not results_state(study).is_current


def test_an_extended_study_without_answers_has_none():
    study = make_study(lists_per_layer=1)
    study_extend(study=study, lists_per_layer=2)
    study.refresh_from_db()
    assert not results_state(study).has_annotations
