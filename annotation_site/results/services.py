"""What computes and stores results. Pages only read snapshots; workers make them."""

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from annotation_site.analysis import MEASURES_VERSION
from annotation_site.annotation.models import Assignment, Study
from annotation_site.corpus.loading import heartbeat
from annotation_site.errors import DATABASE_AWAY, Invalid, NotFound
from annotation_site.results.filters import Filters
from annotation_site.results.models import Figure, Snapshot
from annotation_site.workers.clocks import silent_for
from annotation_site.workers.services import nudge

if TYPE_CHECKING:
    from annotation_site.results.computation import Result

log = logging.getLogger(__name__)
State = Snapshot.State
DEBOUNCE_SECONDS = 2
STALE_AFTER = timedelta(seconds=20)  # a computation gives a sign of life every two seconds
RETRY_AFTER = timedelta(minutes=5)
MOST_ATTEMPTS = 3  # then a person says "try again", or new answers come in
KEEP = 20  # versions of a study's own results
KEEP_FILTERED = 20  # snapshots of other filters, all of a study's together
# Fresh tables after submissions take a worker's time at most one part in so many; somebody who
# looks at the page does not wait for that.
REST = 5
_nudged_at: dict[int, float] = {}


class ClaimLost(Exception):
    """Another worker computes this snapshot now, or it is gone."""


def data_version(study_id: int) -> int:
    """A number that grows with whatever changes a study's tables, and never repeats.

    The number of revisions (submissions and skips), plus what removals add for those that they
    delete, plus the number of other changes: rules, lists, places. The newest id would not do: ids
    are given before a transaction commits, so a lower one can become visible later.
    """
    counted = (
        Study.objects.filter(pk=study_id)
        .values("removals", "other_changes")
        .annotate(revisions=Count("items__assignments__revisions"))
    )
    return sum(counted.values_list("removals", "other_changes", "revisions").get())


def snapshot_refresh_soon(*, study_id: int) -> None:
    """Ask a worker for fresh tables in a moment; many calls in that moment make one request.

    Debounced per process. What slips through (a submission that commits as the task reads) is
    found by the workers' sweep within seconds.
    """
    from annotation_site.results.tasks import snapshot_refresh

    now = time.monotonic()
    if now - _nudged_at.get(study_id, -DEBOUNCE_SECONDS) < DEBOUNCE_SECONDS:
        return
    _nudged_at[study_id] = now
    nudge(snapshot_refresh, study_id, countdown=DEBOUNCE_SECONDS)


@transaction.atomic
def snapshot_request(*, study: Study, filters: Filters | None = None) -> Snapshot:
    """The snapshot of the study's newest data and a filter, due when nobody has computed it.

    Without a filter, of the study's own results. Asks a worker for one that is due.
    """
    from annotation_site.results.tasks import snapshot_compute_due

    snapshot, made = _snapshot_row(study, filters or Filters.of(study))
    if made:  # the sweep finds it where the message is lost
        nudge(snapshot_compute_due, snapshot.pk)
    return snapshot


def _snapshot_row(study: Study, filters: Filters) -> tuple[Snapshot, bool]:
    return Snapshot.objects.get_or_create(
        study=study,
        data_version=data_version(study.pk),
        filter_key=filters.key,
        measures_version=MEASURES_VERSION,
        defaults={"filters": filters.canonical()},
    )


@transaction.atomic
def snapshot_retry(*, study: Study, filters: Filters) -> Snapshot:
    """Compute a snapshot again that failed, as often as a fresh one.

    Raises Invalid when it has not failed.
    """
    from annotation_site.results.tasks import snapshot_compute_due

    snapshot, _ = _snapshot_row(study, filters)
    again = Snapshot.objects.filter(pk=snapshot.pk, state=State.FAILED).update(
        state=State.DUE, attempts=0, error=""
    )
    if not again:
        raise Invalid("These results have not failed. Reload the page to see them.")
    nudge(snapshot_compute_due, snapshot.pk)
    return snapshot


def snapshot_refresh_now(*, study: Study, filters: Filters | None = None) -> Snapshot:
    """Compute the newest snapshot in this process, unless it is there or being made."""
    snapshot, _ = _snapshot_row(study, filters or Filters.of(study))
    snapshot_compute(snapshot_id=snapshot.pk)
    snapshot.refresh_from_db()
    return snapshot


def snapshot_compute(*, snapshot_id: int) -> bool:
    """Claim a snapshot that is to be computed, and compute it; False where there is no need.

    All of its tables and figures are stored together, or its failure is: a reader sees a whole
    snapshot or none. Raises what stopped the computation, after noting it.
    """
    from annotation_site.results.computation import compute

    now = timezone.now()
    claimed = Snapshot.objects.filter(_to_compute(), pk=snapshot_id).update(
        state=State.RUNNING, started_at=now, heartbeat_at=now, step="Reading the answers",
        step_done=0, step_total=0,
    )  # fmt: skip
    if not claimed:
        return False
    snapshot = Snapshot.objects.select_related("study").get(pk=snapshot_id)
    # The moment of the claim tells it from a later one.
    mine = Snapshot.objects.filter(pk=snapshot_id, state=State.RUNNING, started_at=now)
    mine.update(attempts=snapshot.attempts + 1)

    def report(**changes: Any) -> None:
        if not mine.update(heartbeat_at=timezone.now(), **changes):
            raise ClaimLost

    def progress(step: str, done: int, total: int) -> None:
        report(step=step, step_done=done, step_total=total)

    try:
        with heartbeat(report, stop_at=(ClaimLost,)):
            result = compute(snapshot.study, Filters.read(snapshot.filters), progress=progress)
            return _store(snapshot, result, mine)
    except ClaimLost:
        log.info("Snapshot %s was taken over", snapshot_id)
        return False
    except DATABASE_AWAY:
        log.exception("Snapshot %s waits for the sweep", snapshot_id)
        return False
    except Exception as error:
        mine.update(
            state=State.FAILED,
            finished_at=timezone.now(),
            error=f"A bug stopped the computation ({type(error).__name__}). "
            "The worker's log has the details.",
        )
        raise


@transaction.atomic
def _store(snapshot: Snapshot, result: "Result", mine: QuerySet[Snapshot]) -> bool:
    """Make a computed snapshot visible, unless the claim on it was lost. Raises ClaimLost then."""
    stored = mine.update(
        state=State.READY,
        finished_at=timezone.now(),
        tables=result.tables,
        figures=result.figures,
        counts=result.counts,
        measures=result.measures,
        error="",
    )
    if not stored:
        raise ClaimLost
    Figure.objects.filter(snapshot=snapshot).delete()
    Figure.objects.bulk_create(Figure(snapshot=snapshot, **file) for file in result.files)
    _forget_old(snapshot)
    return True


def figures_print(*, snapshot_id: int) -> None:
    """Draw a snapshot's figures as PDF and PNG, unless they are there or it is not ready.

    From its stored tables, so that a file is never of other data than the page. Two workers that
    do it at once store the same.
    """
    from annotation_site.results.computation import printed_figures

    snapshot = (
        Snapshot.objects.filter(pk=snapshot_id, state=State.READY)
        .exclude(figure_files__variant="print")
        .select_related("study")
        .first()
    )
    if snapshot is None:
        return
    files = printed_figures(snapshot.study, snapshot.tables)
    with transaction.atomic():
        if Snapshot.objects.select_for_update().filter(pk=snapshot_id).exists():
            Figure.objects.bulk_create(
                (Figure(snapshot=snapshot, **file) for file in files), ignore_conflicts=True
            )


def figures_print_soon(*, snapshot: Snapshot) -> None:
    """Ask a worker for the printed figures of a snapshot that has none."""
    from annotation_site.results.tasks import snapshot_print

    nudge(snapshot_print, snapshot.pk)


def figure_file(*, snapshot: Snapshot, name: str, variant: str, extension: str) -> Figure:
    """A figure as a file.

    Where those for print are not drawn yet, a worker is asked for them. Raises Invalid then, and
    NotFound for a figure or variant that there is not.
    """
    files = snapshot.figure_files
    if variant == "print" and not files.filter(variant=variant).exists():
        figures_print_soon(snapshot=snapshot)
        raise Invalid("This file is being drawn. Try again in a few seconds.")
    found = files.filter(name=name, variant=variant, extension=extension).first()
    if found is None:
        raise NotFound("There is no such figure.")
    return found


def snapshot_refresh_rested(*, study: Study) -> Snapshot | None:
    """Compute the study's own newest results, unless the last ones took long and are fresh.

    A snapshot that a page has asked for is computed in any case.
    """
    filters = Filters.of(study)
    same = Snapshot.objects.filter(study=study, filter_key=filters.key)
    asked = same.filter(_to_compute(), data_version=data_version(study.pk)).exists()
    if asked or _rested(study, filters):
        return snapshot_refresh_now(study=study)
    return None


def _rested(study: Study, filters: Filters) -> bool:
    last = (
        Snapshot.objects.filter(study=study, filter_key=filters.key, state=State.READY)
        .order_by("-finished_at")
        .values_list("started_at", "finished_at")
        .first()
    )
    started, finished = last or (None, None)
    if started is None or finished is None or finished > timezone.now():  # a clock was set back
        return True
    rests = REST * (finished - started)
    return (
        not timedelta() <= timezone.now() - finished <= rests
    )  # also where a clock was moved back


def snapshots_sweep() -> None:
    """Nudge the computation of every study whose newest data has no snapshot, and of every
    snapshot that was asked for and that nobody computes."""
    from annotation_site.results.tasks import snapshot_compute_due, snapshot_refresh

    answered = Study.objects.filter(
        Q(items__assignments__state__in=(Assignment.State.SUBMITTED, Assignment.State.SKIPPED))
        | Q(removals__gt=0)
    ).distinct()
    for study in answered:
        filters = Filters.of(study)
        newest = Snapshot.objects.filter(
            study=study,
            data_version=data_version(study.pk),
            filter_key=filters.key,
            measures_version=MEASURES_VERSION,
        )
        if not newest.exists() and _rested(study, filters):
            nudge(snapshot_refresh, study.pk)
    Snapshot.objects.filter(
        silent_for(STALE_AFTER), state=State.RUNNING, attempts__gte=MOST_ATTEMPTS
    ).update(
        state=State.FAILED,
        finished_at=timezone.now(),
        error="The worker died each time it computed these results, perhaps for want of memory.",
    )
    for pk, study_id, version in Snapshot.objects.filter(
        _to_compute(), measures_version=MEASURES_VERSION
    ).values_list("pk", "study_id", "data_version"):
        if data_version(study_id) == version:  # of older data nobody asks any more
            nudge(snapshot_compute_due, pk)


def _to_compute() -> Q:
    """Due, or left by a worker that died, or failed a while ago and not too often."""
    now = timezone.now()
    return Q(state=State.DUE) | Q(attempts__lt=MOST_ATTEMPTS) & (
        Q(silent_for(STALE_AFTER), state=State.RUNNING)
        | Q(state=State.FAILED, finished_at__lt=now - RETRY_AFTER)
    )


def _forget_old(snapshot: Snapshot) -> None:
    """Keep the newest versions of the study's own results, and the newest filtered ones."""
    own = Filters.of(snapshot.study).key
    of_study = Snapshot.objects.filter(study=snapshot.study)
    same = of_study.filter(filter_key=own)
    keep = same.order_by("-data_version", "-pk").values_list("pk", flat=True)[:KEEP]
    same.exclude(pk__in=list(keep)).exclude(pk=snapshot.pk).delete()
    filtered = of_study.exclude(filter_key=own)
    # One version per filter is enough: a page shows the newest.
    newest = filtered.filter(state=State.READY).values("filter_key").annotate(newest=Max("pk"))
    keep = newest.order_by("-newest").values_list("newest", flat=True)[:KEEP_FILTERED]
    old = Q(state=State.READY) | Q(state=State.FAILED, data_version__lt=snapshot.data_version)
    filtered.filter(old).exclude(pk__in=list(keep)).delete()
