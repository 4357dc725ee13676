"""Submitted labels become the coverage table that a calculation by hand gives."""

import uuid
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Revision
from annotation_site.annotation.studies.plans import plan_of
from annotation_site.annotation.studies.rules import study_change, study_extend
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots import services
from annotation_site.results.snapshots.selectors import results_state
from annotation_site.results.snapshots.versions import data_version
from tests.annotation_site.annotation.answering import skip, submit
from tests.annotation_site.factories import (
    answer,
    make_extraction,
    make_study,
    pattern,
)
from tests.annotation_site.results.by_hand import (
    assert_is_the_calculation_by_hand,
    labelled_study,
    researcher_client,
)

pytestmark = pytest.mark.django_db


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
    assert "A bug stopped this work (ZeroDivisionError)" in page


def test_an_export_names_the_studies_there_are():
    labelled_study()
    with pytest.raises(CommandError, match="There are: by-hand"):
        call_command("export", "nothing", "coverage", "--out", "x.csv")


def test_the_results_page_shows_the_table_and_the_figure_in_words():
    study = labelled_study()
    services.snapshot_refresh_now(study=study)
    page = researcher_client(study).get(f"/studies/{study.slug}/results/").content.decode()
    assert "<strong>15.0%</strong>" in page
    assert "7 annotations<span" in page
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
    context = client.get(f"/studies/{study.slug}/results/").context
    shown = f"{context['tables_key']}~{context['line_key']}"
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
