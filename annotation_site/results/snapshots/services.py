"""Services of snapshots: request, compute, draw, sweep. Workers compute; pages only read."""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from annotation_site.analysis import MEASURES_VERSION
from annotation_site.annotation.models import Assignment, Study
from annotation_site.errors import Invalid, NotFound
from annotation_site.results.figures.files import (
    PRINTED,
    TYPES,
    figure_path,
    figures_write,
)
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.versions import data_version
from annotation_site.results.tables.filters import Filters
from annotation_site.workers.claims import (
    DEAD_AFTER,
    MOST_ATTEMPTS,
    Failure,
    claim,
    give_back,
    report,
    send,
    wake,
    working,
)
from annotation_site.workers.clocks import silent_for
from annotation_site.workers.queues import RESULTS_QUEUE

if TYPE_CHECKING:
    from annotation_site.results.snapshots.computation import Result

log = logging.getLogger(__name__)
State = Snapshot.State
READING = gettext_noop("Reading the annotations")
RETRY_AFTER = timedelta(minutes=5)  # what a bug stopped; after MOST_ATTEMPTS a person decides
MOST_DUE = 10  # results of one study that wait to be computed
DRAW = "annotation_site.results.tasks.snapshot_draw"
DRAW_AGAIN_AFTER = timedelta(minutes=1)
KEEP = 20  # versions of a study's own results
KEEP_FILTERED = 20  # snapshots of other filters, all of a study's together
# Fresh tables after submissions take a worker's time at most one part in so many; somebody who
# looks at the page does not wait for that.
REST = 5


@transaction.atomic
def snapshot_request(*, study: Study, filters: Filters | None = None) -> Snapshot:
    """The snapshot of the study's newest data and a filter, due if it is not computed.

    Without a filter, of the study's own results. Asks a worker for one that is due, and for one
    that an earlier version of the product computed without what a methods paragraph says. Raises
    Invalid where `MOST_DUE` filters of the study wait already.
    """
    wanted = filters or Filters.of(study)
    snapshot, made = _snapshot_row(study, wanted)
    if made:
        others = Snapshot.waiting().filter(study=study).exclude(pk=snapshot.pk)
        # Of older data nobody asks any more.
        others.filter(filter_key=snapshot.filter_key).delete()
        own = Filters.of(study).key
        if wanted.key != own and others.exclude(filter_key=own).count() >= MOST_DUE:
            raise Invalid(
                gettext(
                    "%(most)s filters of this study are waiting to be computed, which is the "
                    "limit. Look at one of those, or ask again in some minutes."
                )
                % {"most": MOST_DUE}
            )
        wake(RESULTS_QUEUE)
    elif snapshot.lacks_methods:
        again = Snapshot.objects.filter(pk=snapshot.pk, state=State.READY)
        if again.update(state=State.DUE, attempts=0):
            wake(RESULTS_QUEUE)
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
    """Compute a failed snapshot again, with all its attempts.

    Raises Invalid when it has not failed.
    """
    snapshot, _ = _snapshot_row(study, filters)
    again = Snapshot.objects.filter(pk=snapshot.pk, state=State.FAILED).update(
        state=State.DUE, attempts=0, error=""
    )
    if not again:
        raise Invalid(gettext("These results have not failed. Reload the page to see them."))
    wake(RESULTS_QUEUE)
    return snapshot


def snapshot_refresh_now(*, study: Study, filters: Filters | None = None) -> Snapshot:
    """Compute the newest snapshot in this process, unless it is ready or in progress."""
    snapshot, _ = _snapshot_row(study, filters or Filters.of(study))
    snapshot_compute(snapshot_id=snapshot.pk)
    snapshot.refresh_from_db()
    return snapshot


def snapshot_compute(*, snapshot_id: int) -> None:
    """Claim and compute a due snapshot; does nothing if there is no need.

    All of its tables are stored together, or its failure is: a reader sees all of them or none.
    The figures are drawn after that, so that nobody waits for them to see a number. Raises what
    stopped the computation, after noting it.
    """
    from annotation_site.results.snapshots.computation import compute

    snapshot = claim(
        Snapshot.waiting().select_related("study"), snapshot_id, state=State.RUNNING,
        started_at=timezone.now(), step=READING, step_done=0, step_total=0, error="",
    )  # fmt: skip
    if snapshot is None:
        return

    def progress(step: str, done: int, total: int) -> None:
        report(snapshot, step=step, step_done=done, step_total=total)

    with working(snapshot):
        result = compute(snapshot.study, Filters.read(snapshot.filters), progress=progress)
        snapshot.finished_at = timezone.now()
        _store(snapshot, result)
    figures_draw(snapshot_id=snapshot.pk, for_print=False)


@transaction.atomic
def _store(snapshot: Snapshot, result: "Result") -> None:
    """Make a computed snapshot visible, unless the claim on it was lost. Raises ClaimLost then."""
    report(
        snapshot,
        state=State.READY,
        claim=None,
        finished_at=snapshot.finished_at,
        tables=result.tables,
        figures=result.figures,
        counts=result.counts,
        measures=result.measures,
    )
    _forget_old(snapshot)


class BeingDrawn(Invalid):
    """A worker draws the file that was asked for."""


def figures_draw(*, snapshot_id: int, for_print: bool) -> None:
    """Claim a ready snapshot and draw its figures, for the page or for print.

    From its stored tables, so that a file is never of other data than the page. Does nothing for a
    snapshot that another worker draws, that is gone, or that could not be drawn
    just now.
    """
    from annotation_site.results.snapshots.computation import figures_again

    snapshot = claim(_can_be_drawn(), snapshot_id, error="")
    if snapshot is None:
        return
    with working(snapshot, fail=_not_drawn):
        extensions = PRINTED if for_print else ("svg",)
        figures, files = figures_again(snapshot.study, snapshot.tables, extensions)
        figures_write(snapshot, files)
        known = snapshot.figures if for_print else figures
        report(snapshot, claim=None, figures=known)


def _can_be_drawn() -> QuerySet[Snapshot]:
    return Snapshot.objects.filter(
        Q(claim=None) | Q(silent_for(DEAD_AFTER)),
        Q(error="") | Q(silent_for(RETRY_AFTER)),
        state=State.READY,
    )


def _not_drawn(snapshot: Snapshot, reason: Failure) -> None:
    """Keep the tables and record the reason; a later view of the page asks a worker again."""
    log.error("The figures of snapshot %s cannot be drawn: %s", snapshot.pk, reason)
    snapshot.held().update(claim=None, error=reason)


def figures_draw_soon(*, snapshot: Snapshot, for_print: bool) -> None:
    """Ask a worker for figures that have no file; once a minute."""
    now = timezone.now()
    asked = _can_be_drawn().filter(
        Q(enqueued_at=None) | Q(silent_for(DRAW_AGAIN_AFTER, "enqueued_at")), pk=snapshot.pk
    )
    if asked.update(enqueued_at=now):
        transaction.on_commit(lambda: send(DRAW, snapshot.pk, for_print))


def figure_file(*, snapshot: Snapshot, name: str, extension: str) -> bytes:
    """A figure as a file.

    Where it is not drawn yet, a worker is asked for it. Raises BeingDrawn then, and NotFound for a
    figure that there is not.
    """
    if name not in snapshot.figures or extension not in TYPES:
        raise NotFound(gettext("There is no such figure."))
    try:
        return figure_path(snapshot, name, extension).read_bytes()
    except FileNotFoundError:
        pass
    if is_undrawable(snapshot):
        raise Invalid(
            gettext("This figure cannot be drawn now. %(reason)s") % {"reason": snapshot.error}
        )
    figures_draw_soon(snapshot=snapshot, for_print=extension != "svg")
    raise BeingDrawn(gettext("This file is being drawn. Try again in a few seconds."))


def is_undrawable(snapshot: Snapshot) -> bool:
    """Whether drawing the figures of a ready snapshot failed just now."""
    return bool(snapshot.error)


def figures_ready(*, snapshot: Snapshot) -> bool:
    """Whether all figures of the page are there; where not, a worker is asked for them."""
    there = all(
        "sizes" in about and figure_path(snapshot, name, "svg").is_file()
        for name, about in snapshot.figures.items()
    )
    if not there:
        figures_draw_soon(snapshot=snapshot, for_print=False)
    return there


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
    """Make stale snapshots due, release those of dead workers, and retry failed ones after a while,
    a few times.
    """
    answered = (
        Study.objects.filter(
            Q(items__assignments__state__in=(Assignment.State.SUBMITTED, Assignment.State.SKIPPED))
            | Q(removals__gt=0)
        )
        .exclude(state=Study.State.DELETING)
        .distinct()
    )
    for study in answered:
        filters = Filters.of(study)
        newest = Snapshot.objects.filter(
            study=study,
            data_version=data_version(study.pk),
            filter_key=filters.key,
            measures_version=MEASURES_VERSION,
        )
        if not newest.exists() and _rested(study, filters):
            snapshot_request(study=study)
    Snapshot.waiting().exclude(measures_version=MEASURES_VERSION).delete()
    snapshots_give_back()
    failed = Snapshot.objects.filter(state=State.FAILED, measures_version=MEASURES_VERSION)
    before = timezone.now() - RETRY_AFTER
    failed.filter(attempts__lt=MOST_ATTEMPTS, finished_at__lt=before).update(state=State.DUE)


def snapshots_give_back() -> None:
    """Release snapshots of dead workers."""
    for snapshot in give_back(Snapshot.objects.filter(state=State.RUNNING), state=State.DUE):
        log.warning("Snapshot %s waits again: its worker sends no heartbeat", snapshot.pk)


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
