"""Wait for results in a process that is no worker, such as a command."""

import time
from collections.abc import Callable

from annotation_site.annotation.models import Study
from annotation_site.errors import Invalid
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.services import (
    snapshot_compute,
    snapshot_refresh_now,
    snapshots_give_back,
)
from annotation_site.sentences import english

SECONDS = 0.5  # between two looks at what a worker computes
State = Snapshot.State
Report = Callable[[Snapshot], None]


def snapshot_finished(
    *,
    study: Study,
    wait: bool = True,
    report: Report = lambda snapshot: None,
    pause: Callable[[float], None] | None = None,
) -> Snapshot:
    """Wait for the ready snapshot of the current data, and return it.

    Computes it in this process, unless a worker does so already; then waits for the worker, and
    takes its place where it dies. `report` is called while it waits. Raises Invalid for results
    that failed, and without `wait` for those that a worker computes.
    """
    snapshot = snapshot_refresh_now(study=study)
    while snapshot.state not in (State.READY, State.FAILED):
        if not wait:
            raise Invalid("A worker computes these results. Run the command again in a minute.")
        report(snapshot)
        (pause or time.sleep)(SECONDS)
        found = Snapshot.objects.filter(pk=snapshot.pk)
        if not found.exists():  # newer data made it superfluous
            snapshot = snapshot_refresh_now(study=study)
            continue
        snapshots_give_back()  # there may be no worker that sweeps
        snapshot_compute(snapshot_id=snapshot.pk)  # does nothing while a worker is alive
        snapshot = found.get()
    if snapshot.state == State.FAILED:
        raise Invalid(f"These results could not be computed. {english(snapshot.error)}")
    return snapshot
