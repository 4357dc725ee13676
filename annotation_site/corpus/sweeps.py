"""Sweep of extractions and layers: release the claims of dead workers."""

from django.db.models import Case, Exists, OuterRef, Value, When
from django.utils.translation import gettext_noop

from annotation_site.corpus.layers import layer_fail
from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import Extraction, ExtractionLayer
from annotation_site.corpus.receiving import old_files_remove
from annotation_site.corpus.services import INTERRUPTED, extraction_fail
from annotation_site.sentences import Sentence
from annotation_site.workers.claims import DEAD_AFTER, Failure, give_back
from annotation_site.workers.clocks import silent_for
from annotation_site.workers.identity import worker_label

State = Extraction.State
LayerState = ExtractionLayer.State
OF_LAYER = gettext_noop("Layer %(layer)s: %(reason)s")
GIVEN_BACK = "Worker {worker} sends no heartbeat any more; this waits for another."


def extractions_sweep() -> None:
    """Release extractions and layers of dead workers; safe in many workers at once."""
    running = Extraction.objects.filter(state__in=(State.RUNNING, State.LOADING))
    for extraction in running.filter(silent_for(DEAD_AFTER), imported=True):
        extraction_fail(extraction=extraction, reason=INTERRUPTED)
    cut = Exists(ExtractionLayer.objects.filter(extraction=OuterRef("pk")))
    begun = Case(When(cut, then=Value(State.LAYERS)), default=Value(State.QUEUED))
    # Only the state: rows that were loaded are removed by the run that takes over.
    for extraction in give_back(
        running.filter(imported=False), fail=extraction_fail, state=begun, bundle_digest=None
    ):
        log_add(extraction.pk, GIVEN_BACK.format(worker=worker_label(extraction.worker)))
    layers = ExtractionLayer.objects.filter(state=LayerState.RUNNING)
    for layer in give_back(layers, fail=_fail_layer, state=LayerState.WAITING, worker="", done=0):
        line = GIVEN_BACK.format(worker=worker_label(layer.worker))
        log_add(layer.extraction_id, f"Layer {layer.layer}: {line}")
    old_files_remove()


def _fail_layer(layer: ExtractionLayer, reason: Failure) -> None:
    layer_fail(layer=layer, reason=Sentence(OF_LAYER, layer=layer.layer, reason=reason))
    # A claim may cross the end of its extraction; nothing is left to be ended then.
    mine = ExtractionLayer.objects.filter(pk=layer.pk, claim=layer.claim, state=LayerState.RUNNING)
    mine.update(state=LayerState.WAITING, claim=None, worker="")
