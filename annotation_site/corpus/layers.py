"""Services for the layers of an extraction: one worker at a time claims each."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import Extraction, ExtractionLayer
from annotation_site.corpus.services import extraction_fail, extraction_report
from annotation_site.sentences import Sentence
from annotation_site.workers.claims import Failure, claim, has_work, report
from annotation_site.workers.identity import this_worker, worker_label
from annotation_site.workers.queues import EXTRACTION_QUEUE

TAKES_NO_PART = gettext_noop("Worker %(worker)s does not take part. %(reason)s")
State = ExtractionLayer.State


@transaction.atomic
def layers_plan(
    *,
    extraction: Extraction,
    sizes: Sequence[int],
    unfinished: Collection[int],
    inputs: Mapping[str, Any],
) -> None:
    """Create the layers of a claimed extraction, and release it to all workers.

    `sizes` are vectors per layer; `inputs` is what the lists depend on, as this worker found it.
    Raises ClaimLost when the run is no longer ours.
    """
    extraction_report(
        extraction=extraction,
        state=Extraction.State.LAYERS,
        plan=json.loads(json.dumps(inputs)),
        step="projection",
        step_done=0,
        step_total=0,
        claim=None,
        worker="",
        attempts=0,
    )
    extraction.layers.all().delete()
    ExtractionLayer.objects.bulk_create(
        ExtractionLayer(
            extraction=extraction,
            layer=layer,
            total=size,
            # What an earlier run did is there already; nobody knows how fast it was.
            state=State.WAITING if layer in unfinished else State.DONE,
            done=0 if layer in unfinished else size,
        )
        for layer, size in enumerate(sizes)
    )
    log_add(
        extraction.pk,
        f"Cut into {len(sizes)} layers for all workers; {len(unfinished)} are to be done.",
    )


def layer_claim(*, extraction: Extraction) -> ExtractionLayer | None:
    """Claim the first waiting layer; None if there is none, or this worker is busy.

    None of an extraction that has ended meanwhile, either.
    """
    if has_work(EXTRACTION_QUEUE):
        return None
    waiting = ExtractionLayer.waiting().filter(extraction=extraction)
    for pk in waiting.order_by("layer").values_list("pk", flat=True):
        layer = claim(waiting, pk, state=State.RUNNING, done=0, started_at=timezone.now())
        if layer is not None:
            again = f", attempt {layer.attempts}" if layer.attempts > 1 else ""
            who = worker_label(layer.worker)
            log_add(extraction.pk, f"Layer {layer.layer} taken by worker {who}{again}.")
            return layer
    return None


def layer_done(*, layer: ExtractionLayer) -> None:
    """Mark a layer whose rows are stored. Raises ClaimLost if the claim is lost."""
    report(layer, state=State.DONE, done=layer.total, claim=None, finished_at=timezone.now())
    log_add(layer.extraction_id, f"Layer {layer.layer} done: {layer.total:,} vectors.")


def layer_fail(layer: ExtractionLayer, reason: Failure) -> None:
    """End the whole extraction with a sentence, unless the claim is lost."""
    if layer.held().exists():
        extraction_fail(extraction=layer.extraction, reason=reason)


def worker_refuse(*, extraction: Extraction, reason: Failure) -> None:
    """Show on the extraction's page why this worker takes no layer."""
    notice = Sentence(TAKES_NO_PART, worker=worker_label(this_worker()), reason=reason)
    at_work = Extraction.objects.filter(pk=extraction.pk, state=Extraction.State.LAYERS)
    if at_work.exclude(notice=notice).update(notice=notice):
        log_add(extraction.pk, notice.english)
