"""Snapshots: messages for by a page, computed by a worker, kept for a while, tried again."""

import errno
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.annotation.models import Assignment, Item
from annotation_site.results.figures.files import figure_path, figures_remove
from annotation_site.results.files import archive
from annotation_site.results.files.jobs import exports_sweep
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots import computation, services
from annotation_site.results.snapshots.selectors import results_state
from annotation_site.results.tables.filters import Filters
from annotation_site.workers import claims
from annotation_site.workers.queues import RESULTS_QUEUE
from tests.annotation_site.annotation.answering import submit
from tests.annotation_site.factories import answer, make_study, pattern
from tests.annotation_site.results.by_hand import labelled_study, researcher_client

pytestmark = pytest.mark.django_db
State = Snapshot.State


@pytest.fixture
def quick(monkeypatch):
    """A computation that takes no time."""
    result = computation.Result({}, {}, {"methods": {}}, {})
    monkeypatch.setattr(computation, "compute", lambda *_, **__: result)
    monkeypatch.setattr(computation, "figures_again", lambda *_: ({}, {}))


@pytest.fixture
def drawings(monkeypatch):
    """What workers are asked to draw: the snapshot, and whether for print."""
    sent = []
    monkeypatch.setattr(services, "send", lambda task, *which: sent.append(which))
    # Sent at once: tests end before their transaction commits.
    monkeypatch.setattr(services.transaction, "on_commit", lambda send, **_: send())
    return sent


def page(study, query=""):
    return researcher_client(study).get(f"/studies/{study.slug}/results/{query}")


def test_a_page_asks_for_its_choice_once_and_says_so(messages):
    study = labelled_study()
    for _ in range(2):
        response = page(study, "?kinds=value&min_tokens=3")
        assert response.status_code == 200
    snapshot = Snapshot.objects.get()
    assert (snapshot.state, snapshot.filters) == (State.DUE, {"min_tokens": 3, "kinds": ["value"]})
    assert messages == [("snapshot_compute_due", snapshot.pk)]
    services.snapshot_compute(snapshot_id=snapshot.pk)
    text = page(study, "?kinds=value&min_tokens=3").content.decode()
    # V0: (6 + 4 + 0) / 2 people … with patterns of 3: A 10, B 8 + 3 of 30; V1: 0 of 30
    assert "<strong>17.5%</strong>" in text
    assert "Value vectors, patterns from 3 tokens</strong>" in text  # the filter, in words
    assert "random vectors</bdi>" not in text
    assert "the paper’s GPT2" in text


def test_a_page_without_an_answer_that_counts_says_so_instead_of_empty_tables(messages):
    study = make_study(training_lists=1, lists_per_layer=1)
    first = Assignment.objects.filter(item__study=study, item__use=Item.Use.TRAINING).first()
    submit(first, answer(pattern(1, [1, 2, 3, 4])))
    snapshot = services.snapshot_refresh_now(study=study)
    assert snapshot.counts["annotations"] == 0
    assert snapshot.counts["adjudicated"] == 0  # the reference answer is not one
    for query, title in (
        ("", "No annotations that count yet"),
        ("?kinds=value", "No annotations match this"),
    ):
        page(study, query)
        for due in Snapshot.objects.filter(state=State.DUE):
            services.snapshot_compute(snapshot_id=due.pk)
        text = page(study, query).content.decode()
        assert title in text
        assert "Methods paragraph" not in text


def test_a_choice_that_makes_no_sense_is_refused_in_a_sentence(messages):
    study = labelled_study()
    response = page(study, "?layer_from=3&layer_to=1")
    assert response.status_code == 422
    assert "The first layer comes after the last one. Swap them." in response.content.decode()
    client = researcher_client(study)
    assert client.get(f"/studies/{study.slug}/results/status/?kinds=all").status_code == 422
    assert (Snapshot.objects.count(), messages) == (0, [])


def test_a_failure_is_tried_again_three_times_and_then_left_to_people(monkeypatch, messages):
    study = labelled_study()
    monkeypatch.setattr(computation, "annotations_of", lambda study: 1 / 0)
    for attempt in range(claims.MOST_ATTEMPTS):
        with pytest.raises(ZeroDivisionError):
            services.snapshot_refresh_now(study=study)
        assert Snapshot.objects.get().attempts == attempt + 1
        long_ago = timezone.now() - 2 * services.RETRY_AFTER
        Snapshot.objects.update(finished_at=long_ago)
        services.snapshots_sweep()
    claims.wake(RESULTS_QUEUE)
    assert messages == []
    assert services.snapshot_refresh_now(study=study).state == State.FAILED
    response = researcher_client(study).post(f"/studies/{study.slug}/results/retry/")
    assert response.status_code == 302
    snapshot = Snapshot.objects.get()
    assert (snapshot.state, snapshot.attempts, snapshot.error) == (State.DUE, 0, "")
    assert messages == [("snapshot_compute_due", snapshot.pk)]


def test_a_worker_that_died_is_followed_by_another_but_not_for_ever(messages):
    study = labelled_study()
    snapshot = services.snapshot_request(study=study)
    messages.clear()
    silent = timezone.now() - 2 * claims.DEAD_AFTER
    Snapshot.objects.update(state=State.RUNNING, heartbeat_at=silent, attempts=1)

    def sweep():
        services.snapshots_sweep()
        claims.wake(RESULTS_QUEUE)

    sweep()
    assert messages == [("snapshot_compute_due", snapshot.pk)]
    Snapshot.objects.update(state=State.RUNNING, heartbeat_at=timezone.now())
    sweep()
    assert len(messages) == 1  # it is alive
    Snapshot.objects.update(heartbeat_at=silent, attempts=claims.MOST_ATTEMPTS)
    sweep()
    snapshot.refresh_from_db()
    assert (snapshot.state, len(messages)) == (State.FAILED, 1)
    assert "stopped without an error message. Attempts: 3." in snapshot.error


def test_results_of_other_measures_are_shown_as_stale_and_computed_again(
    quick, monkeypatch, messages
):
    study = labelled_study()
    first = services.snapshot_refresh_now(study=study)
    assert results_state(study).is_current
    monkeypatch.setattr(services, "MEASURES_VERSION", 1_000)
    monkeypatch.setattr("annotation_site.results.snapshots.selectors.MEASURES_VERSION", 1_000)
    state = results_state(study)
    assert (state.snapshot, state.is_current, state.measures_changed) == (first, False, True)
    Snapshot.objects.update(started_at=timezone.now() - timedelta(hours=1))  # it took so long
    services.snapshots_sweep()
    assert messages == []  # the first one has just been computed: the worker rests
    Snapshot.objects.update(started_at=timezone.now() - timedelta(hours=2),
                            finished_at=timezone.now() - timedelta(hours=2))  # fmt: skip
    services.snapshots_sweep()
    due = Snapshot.objects.get(measures_version=1_000)
    assert messages == [("snapshot_compute_due", due.pk)]
    assert services.snapshot_refresh_now(study=study).state == State.READY


def test_old_filtered_snapshots_are_forgotten_and_the_studys_own_kept(quick, monkeypatch):
    monkeypatch.setattr(services, "KEEP_FILTERED", 2)
    study = labelled_study()
    own = services.snapshot_refresh_now(study=study)
    for tokens in (1, 2, 3, 5):
        services.snapshot_refresh_now(study=study, filters=Filters(min_tokens=tokens))
    kept = Snapshot.objects.order_by("pk").values_list("filters__min_tokens", flat=True)
    assert list(kept) == [own.filters["min_tokens"], 3, 5]


def test_answers_that_come_fast_do_not_keep_a_worker_busy(quick, monkeypatch):
    study = labelled_study()
    snapshot = services.snapshot_refresh_now(study=study)
    last = Assignment.objects.get(state__in=Assignment.UNFINISHED)
    submit(last, answer(pattern(1, [1, 2, 3, 4])))
    now = timezone.now()
    Snapshot.objects.filter(pk=snapshot.pk).update(
        started_at=now - timedelta(seconds=61), finished_at=now - timedelta(seconds=1)
    )
    services.snapshots_sweep()
    assert Snapshot.objects.count() == 1
    services.snapshot_request(study=study)  # somebody looks at the page
    assert Snapshot.waiting().count() == 1


def test_figures_and_tables_stand_in_their_order_on_any_database():
    study = labelled_study()
    result = computation.compute(study, Filters.of(study))
    planned, computed = list(result.figures), list(result.tables)
    assert len(planned) > 2
    snapshot = services.snapshot_refresh_now(study=study)
    for name in ("figures", "tables"):  # as PostgreSQL returns the keys of an object
        stored = sorted(getattr(snapshot, name).items(), key=lambda pair: (len(pair[0]), pair[0]))
        setattr(snapshot, name, dict(stored))
    snapshot.save()
    assert list(snapshot.figures) != planned
    client, url = researcher_client(study), f"/studies/{study.slug}/results/"
    context = client.get(url).context
    assert [figure["name"] for figure in context["figures"]] == planned
    assert list(context["table_names"]) == computed
    reply = client.get(f"/api/studies/{study.slug}/figures").json()
    assert [figure["name"] for figure in reply["results"]] == planned
    reply = client.get(f"/api/studies/{study.slug}/snapshots/{snapshot.pk}").json()
    assert [table["name"] for table in reply["tables"]] == computed
    packed = [name for name, _ in archive._figures(study)]
    wanted = [name for name in planned if name != "agreement-matrix"]
    assert packed == [f"{name}.{extension}" for name in wanted for extension in ("pdf", "svg")]


def test_figures_are_drawn_with_the_tables_and_for_print_when_asked(drawings):
    study = labelled_study()
    client = researcher_client(study)
    snapshot = services.snapshot_refresh_now(study=study)
    address = f"/studies/{study.slug}/figures/coverage-by-kind"
    folder = figure_path(snapshot, "coverage-by-kind", "svg").parent
    assert {path.name for path in folder.iterdir()} == {f"{name}.svg" for name in snapshot.figures}
    assert folder.stat().st_mode & 0o077 == 0
    page = client.get(f"{address}.svg")
    assert page.getvalue() == (folder / "coverage-by-kind.svg").read_bytes()
    assert page["Cache-Control"] == "private, no-store"
    for _ in range(2):
        waits = client.get(f"{address}.pdf")
        assert (waits.status_code, waits["Refresh"]) == (202, "2")
        assert "being drawn" in waits.content.decode()
    assert drawings == [(snapshot.pk, True)]  # once a minute
    services.figures_draw(snapshot_id=snapshot.pk, for_print=True)
    assert len(list(folder.iterdir())) == 3 * len(snapshot.figures)
    response = client.get(f"{address}.pdf")
    assert response["Content-Disposition"] == 'attachment; filename="by-hand-coverage-by-kind.pdf"'
    assert response.getvalue().startswith(b"%PDF")


def test_the_tables_are_there_before_the_figures_are_drawn(monkeypatch):
    study = labelled_study()
    client = researcher_client(study)
    seen = []

    def draw(*, snapshot_id, for_print):
        assert Snapshot.objects.get(pk=snapshot_id).state == State.READY
        page = client.get(f"/studies/{study.slug}/results/").content.decode()
        seen.append(("<strong>15.0%</strong>" in page, "This figure is being drawn." in page))

    monkeypatch.setattr(services, "figures_draw", draw)
    services.snapshot_refresh_now(study=study)
    assert seen == [(True, True)]


def test_figures_whose_files_are_gone_are_drawn_by_a_worker(drawings):
    """As for a snapshot of an older version, or of a database that was restored."""
    study = labelled_study()
    client = researcher_client(study)
    snapshot = services.snapshot_refresh_now(study=study)
    path = figure_path(snapshot, "coverage-by-kind", "svg")
    before = path.read_bytes()
    figures_remove(snapshot)
    for about in snapshot.figures.values():
        del about["sizes"]
    snapshot.save()
    results = f"/studies/{study.slug}/results/"
    page = client.get(results)
    assert "This figure is being drawn." in page.content.decode()
    assert "<picture>" not in page.content.decode()
    assert drawings == [(snapshot.pk, False)]
    shown = f"{page.context['tables_key']}~{page.context['line_key']}"
    assert client.get(f"{results}status/?have={shown}").status_code == 204
    services.figures_draw(snapshot_id=snapshot.pk, for_print=False)
    renewed = client.get(f"{results}status/?have={shown}").content.decode()
    assert "<picture>" in renewed
    assert "being drawn" not in renewed
    assert path.read_bytes() == before
    assert Snapshot.objects.get().claim is None


def test_two_workers_do_not_draw_at_once_and_a_dead_one_is_replaced():
    snapshot = services.snapshot_refresh_now(study=labelled_study())
    figures_remove(snapshot)
    own = Snapshot.objects.filter(pk=snapshot.pk)
    own.update(claim=uuid.uuid4(), heartbeat_at=timezone.now())
    services.figures_draw(snapshot_id=snapshot.pk, for_print=False)
    assert not services.figures_ready(snapshot=own.get())
    own.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    services.figures_draw(snapshot_id=snapshot.pk, for_print=False)
    assert services.figures_ready(snapshot=own.get())


def test_a_figure_that_cannot_be_drawn_says_so_and_is_tried_again_later(monkeypatch):
    study = labelled_study()
    client = researcher_client(study)
    snapshot = services.snapshot_refresh_now(study=study)
    figures_remove(snapshot)

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(services, "figures_write", fail)
    with pytest.raises(OSError, match="No space left"):
        services.figures_draw(snapshot_id=snapshot.pk, for_print=False)
    monkeypatch.undo()
    page = client.get(f"/studies/{study.slug}/results/").content.decode()
    assert "This figure cannot be drawn now." in page
    assert client.get(f"/studies/{study.slug}/figures/coverage-by-kind.svg").status_code == 422
    services.figures_draw(snapshot_id=snapshot.pk, for_print=False)  # too soon
    assert not services.figures_ready(snapshot=snapshot)
    own = Snapshot.objects.filter(pk=snapshot.pk, state="ready")
    own.update(heartbeat_at=timezone.now() - services.RETRY_AFTER - timedelta(seconds=1))
    services.figures_draw(snapshot_id=snapshot.pk, for_print=False)
    assert services.figures_ready(snapshot=own.get())
    assert own.get().error == ""


def test_figures_go_with_their_snapshot():
    study = labelled_study()
    kept, gone = (services.snapshot_refresh_now(study=study, filters=Filters(n)) for n in (2, 3))
    folders = [figure_path(one, "x", "svg").parent for one in (kept, gone)]
    assert [folder.is_dir() for folder in folders] == [True, True]
    gone.delete()
    exports_sweep()
    assert [folder.is_dir() for folder in folders] == [True, False]


def test_files_of_another_studys_snapshot_are_not_found(quick):
    study, other = labelled_study(), make_study()
    snapshot = services.snapshot_refresh_now(study=other)
    client = researcher_client(study)
    for number in (snapshot.pk, 10**9, "x"):
        address = f"/studies/{study.slug}/results/coverage.csv?snapshot={number}"
        assert client.get(address).status_code == 404


def test_the_disagreement_table_names_lists_of_the_study():
    study = labelled_study()
    snapshot = services.snapshot_refresh_now(study=study)
    stored = snapshot.tables["disagreement"]
    names = [name for name, _ in stored["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in stored["rows"]]
    lists = {item.pk: (item.vector.kind, item.vector.layer) for item in Item.objects.all()}
    found = [(*lists[row["list_id"]], row["score"]) for row in rows]
    # V0: A {1–6} and {7–10}, B {1–8}: 6/8 and 2/10 matched once: J = 6/8 over 2 patterns.
    # V1: only B has a pattern; R0: nobody has.
    assert found == [("value", 1, 1.0), ("value", 0, 1 - 0.75 / 2), ("random", 0, None)]


def test_the_results_page_takes_few_queries(django_assert_max_num_queries):
    study = labelled_study()
    services.snapshot_refresh_now(study=study)
    client = researcher_client(study)
    # session, person, study, people and layers of the filter, the data's version, ready, pending,
    # workers, lists with vectors, tokens, codes and descriptions, the paragraph's extractions,
    # whether it is made up, whether people came by an open link, unread notices
    with django_assert_max_num_queries(17):
        client.get(f"/studies/{study.slug}/results/")
