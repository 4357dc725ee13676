"""What computes and stores results. Pages only read snapshots; workers make them."""

import hashlib
import json
import logging
import time
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q
from django.utils import timezone

from annotation_site.annotation.models import Assignment, Study
from annotation_site.results.models import Snapshot
from annotation_site.workers.services import nudge

log = logging.getLogger(__name__)
State = Snapshot.State
DEBOUNCE_SECONDS = 2
STALE_AFTER = timedelta(minutes=10)
RETRY_AFTER = timedelta(minutes=5)
KEEP = 20  # snapshots per study and filter
_nudged_at: dict[int, float] = {}


def data_version(study_id: int) -> int:
    """A number that grows with each submission, skip and removal of a study, and never repeats.

    The number of revisions, plus what removals add for those that they delete. The newest id would
    not do: ids are given before a transaction commits, so a lower one can become visible later.
    """
    counted = (
        Study.objects.filter(pk=study_id)
        .values("removals")
        .annotate(revisions=Count("items__assignments__revisions"))
    )
    return sum(counted.values_list("removals", "revisions").get())


def filters_of(study: Study) -> dict[str, Any]:
    """The choices that a study's own results use."""
    return {"min_tokens": study.min_tokens}


def filter_key(filters: dict[str, Any]) -> str:
    """A digest of the filters: equal filters, equal key."""
    return hashlib.sha256(json.dumps(filters, sort_keys=True).encode()).hexdigest()


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


def snapshot_request(*, study: Study) -> Snapshot:
    """The snapshot of the study's newest data, due when nobody has computed it yet."""
    filters = filters_of(study)
    snapshot, _ = Snapshot.objects.get_or_create(
        study=study,
        data_version=data_version(study.pk),
        filter_key=filter_key(filters),
        defaults={"filters": filters},
    )
    return snapshot


def snapshot_refresh_now(*, study: Study) -> Snapshot:
    """Compute the newest snapshot in this process, unless it is there or being made."""
    snapshot = snapshot_request(study=study)
    claimed = Snapshot.objects.filter(_to_compute(), pk=snapshot.pk).update(
        state=State.RUNNING, started_at=timezone.now()
    )
    if claimed:
        snapshot_compute(snapshot=snapshot)
    snapshot.refresh_from_db()
    return snapshot


def snapshot_compute(*, snapshot: Snapshot) -> None:
    """Compute all tables and figures of a snapshot that this process has claimed."""
    from annotation_site.results.computation import compute

    try:
        result = compute(snapshot.study, snapshot.filters)
    except Exception as error:
        Snapshot.objects.filter(pk=snapshot.pk).update(
            state=State.FAILED,
            finished_at=timezone.now(),
            error=f"A bug stopped the computation ({type(error).__name__}). "
            "The worker's log has the details.",
        )
        raise
    Snapshot.objects.filter(pk=snapshot.pk).update(
        state=State.READY, finished_at=timezone.now(), **result
    )
    _forget_old(snapshot)


def snapshots_sweep() -> None:
    """Nudge the computation of every study whose newest data has no snapshot."""
    from annotation_site.results.tasks import snapshot_refresh

    answered = Study.objects.filter(
        Q(items__assignments__state__in=(Assignment.State.SUBMITTED, Assignment.State.SKIPPED))
        | Q(removals__gt=0)
    ).distinct()
    for study in answered:
        newest = Snapshot.objects.filter(
            study=study,
            data_version=data_version(study.pk),
            filter_key=filter_key(filters_of(study)),
        )
        if not newest.exists() or newest.filter(_to_compute()).exists():
            nudge(snapshot_refresh, study.pk)


def _to_compute() -> Q:
    """Due, or left by a worker that died, or failed a while ago."""
    return (
        Q(state=State.DUE)
        | Q(state=State.RUNNING, started_at__lt=timezone.now() - STALE_AFTER)
        | Q(state=State.FAILED, finished_at__lt=timezone.now() - RETRY_AFTER)
    )


def _forget_old(snapshot: Snapshot) -> None:
    same = Snapshot.objects.filter(study=snapshot.study, filter_key=snapshot.filter_key)
    keep = same.order_by("-data_version").values_list("pk", flat=True)[:KEEP]
    same.exclude(pk__in=list(keep)).delete()
