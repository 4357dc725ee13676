"""What workers look for every few seconds: what a dead worker left, and what waits for one."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import Extraction, ExtractionLayer
from annotation_site.corpus.receiving import old_files_remove
from annotation_site.corpus.selectors import unfinished_layers, worker_is_extracting
from annotation_site.corpus.services import (
    INTERRUPTED,
    MOST_ATTEMPTS,
    STALE_AFTER,
    extraction_fail,
    nudge_workers,
)
from annotation_site.workers.clocks import just_now, silent_for
from annotation_site.workers.identity import worker_label

State = Extraction.State
LayerState = ExtractionLayer.State
STOPPED = (
    "The process that ran {what} stopped without a word, {attempts} times in a row. The machine "
    "may lack memory or disk space: look into the worker's log, then try again."
)
GIVEN_BACK = "Worker {worker} gave no sign of life any more; this waits for another."


def extractions_sweep() -> None:
    """Give back what a dead worker held; safe in many workers at once."""
    for extraction in _stale(Extraction, (State.RUNNING, State.LOADING)):
        if extraction.imported:
            extraction_fail(extraction=extraction, reason=INTERRUPTED)
        elif extraction.attempts >= MOST_ATTEMPTS:
            reason = STOPPED.format(what="this", attempts=extraction.attempts)
            extraction_fail(extraction=extraction, reason=reason)
        else:
            # Only the state: rows that were loaded are removed by the run that takes over. A run
            # that gave a sign of life since it was read here is left alone.
            stale = _stale(Extraction, (State.RUNNING, State.LOADING))
            given_back = stale.filter(pk=extraction.pk, claim=extraction.claim).update(
                state=State.LAYERS if extraction.layers.exists() else State.QUEUED,
                claim=None,
                bundle_digest=None,
            )
            if given_back:
                log_add(extraction.pk, GIVEN_BACK.format(worker=worker_label(extraction.worker)))
    for layer in _stale(ExtractionLayer, (LayerState.RUNNING,)).select_related("extraction"):
        # A claim may cross the end of its extraction: such a layer is given back like any other.
        if layer.attempts >= MOST_ATTEMPTS and layer.extraction.is_unfinished:
            reason = STOPPED.format(what=f"layer {layer.layer}", attempts=layer.attempts)
            extraction_fail(extraction=layer.extraction, reason=reason)
        else:
            stale = _stale(ExtractionLayer, (LayerState.RUNNING,))
            given_back = stale.filter(pk=layer.pk, claim=layer.claim).update(
                state=LayerState.WAITING, claim=None, worker="", done=0
            )
            if given_back:
                line = GIVEN_BACK.format(worker=worker_label(layer.worker))
                log_add(layer.extraction_id, f"Layer {layer.layer}: {line}")
    for extraction in _stale(Extraction, (State.DELETING,)):
        nudge_workers(extraction.pk)
    old_files_remove()


def extractions_take() -> None:
    """Find something to do for this worker, if it extracts nothing: its message may be lost."""
    if worker_is_extracting():
        return
    layers = unfinished_layers(OuterRef("pk"))
    waiting = Extraction.objects.filter(
        Q(state=State.QUEUED) & ~just_now("created_at")
        | Q(Exists(layers.filter(state=LayerState.WAITING)), state=State.LAYERS)
        | Q(~Exists(layers), state=State.LAYERS)
    )
    for pk in waiting.order_by("pk").values_list("pk", flat=True):
        nudge_workers(pk)


def _stale(model: Any, states: Sequence[str]) -> QuerySet[Any]:
    """Rows that somebody holds who gave no sign of life for a while."""
    return model.objects.filter(silent_for(STALE_AFTER), state__in=states)
