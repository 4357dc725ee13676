"""Extraction in a worker: a whole sampled extraction, or one piece of an extraction by layer.

An extraction of every value vector is cut: one worker prepares it, any number do its layers, one
makes the bundle of them. Each piece is a message of its own; what has to be done next stands in
the database. What strangers wrote is read in a process of its own (`ffn_extract.apart`), which is
kept between the layers of an extraction.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.translation import gettext_noop

from annotation_site.corpus import layers, services
from annotation_site.corpus.corpora import corpus_location
from annotation_site.corpus.importing import most_unpacked
from annotation_site.corpus.locations import model_location
from annotation_site.corpus.models import UNFINISHED, Extraction, ExtractionLayer
from annotation_site.corpus.selectors import unfinished_layers
from annotation_site.corpus.services import bundle_path
from annotation_site.errors import SiteError
from annotation_site.sentences import Sentence
from annotation_site.workers.claims import Failure, ProgressReporter, report, wake, working
from annotation_site.workers.queues import EXTRACTION_QUEUE
from ffn_extract import apart
from ffn_extract.apart import LAYER, LayersApart
from ffn_extract.errors import BundleError, FFNExtractError, ProcessEnded
from ffn_extract.options import ALL, ExtractOptions
from ffn_extract.progress import Report, Steps

if TYPE_CHECKING:
    from ffn_extract.bundle import Bundle

State = Extraction.State
RunKey = tuple[int, datetime | None]  # an extraction, and when this try of it started
NOT_UPLOADED = gettext_noop(
    "The uploaded files are not in %(folder)s on the worker's machine. Let the web process and all "
    "workers share that folder, then upload the files again."
)
DIFFERENT = gettext_noop("%(name)s is %(here)s there, and %(planned)s where the extraction began.")
NOT_SHARED = gettext_noop(
    "It does not find the finished layers in %(folder)s. Let all workers share one BUNDLES_DIR."
)
PACKAGE_MISSING = gettext_noop(
    "The worker that took this lacks the package %(package)s. Install requirements/extract.txt "
    "there, then try again."
)
TRY_AGAIN_SECONDS = 60  # until a worker that could not take part looks whether it can now


def extraction_work(*, extraction_id: int) -> None:
    """Do the next piece of an extraction, if there is one for this worker."""
    try:
        _next_piece(extraction_id)
    finally:
        _kept.forget_ended()


def _next_piece(extraction_id: int) -> None:
    extraction = Extraction.objects.filter(pk=extraction_id).first()
    if extraction is None:
        return
    if extraction.state == State.QUEUED:
        claimed = services.extraction_claim(extraction_id=extraction_id)
        if claimed is not None:
            _work_of(claimed)(extraction=claimed)
    elif extraction.state == State.LAYERS:
        _work_on_layers(extraction)
    elif extraction.state == State.DELETING:
        services.extraction_delete(extraction=extraction)


def _work_of(claimed: Extraction) -> Callable[..., None]:
    if claimed.uploaded:
        return load_upload
    return prepare if claimed.parameters.get("per_layer") == ALL else run_whole


def load_upload(*, extraction: Extraction) -> None:
    """Check an uploaded bundle to the last byte and load it; a refused one is removed."""
    with working(extraction, fail=services.extraction_fail):
        services.extraction_report(extraction=extraction, step="check")
        path = bundle_path(extraction)
        if not path.is_dir():
            raise SiteError(Sentence(NOT_UPLOADED, folder=str(settings.BUNDLES_DIR)))
        bundle = services.open_storable(path, most_unpacked())
        services.bundle_load(extraction=extraction, bundle=bundle)


def run_whole(*, extraction: Extraction) -> None:
    """Extract and load in this process; the row stores the outcome."""
    with working(extraction, fail=services.extraction_fail):
        shutil.rmtree(bundle_path(extraction), ignore_errors=True)
        services.partial_remove(extraction)
        with packages_needed():
            apart.extract(*_arguments(extraction), _reporter(extraction))
        bundle = services.open_storable(bundle_path(extraction))
        services.bundle_load(extraction=extraction, bundle=bundle)


def prepare(*, extraction: Extraction) -> None:
    """Open an extraction of every value vector, create its layers, and wake the workers."""
    with working(extraction, fail=services.extraction_fail):
        shutil.rmtree(bundle_path(extraction), ignore_errors=True)
        services.partial_remove(extraction)
        opened = _kept.open(extraction, _reporter(extraction))
        opened.begin()
        unfinished = opened.unfinished()
        layers.layers_plan(
            extraction=extraction,
            sizes=opened.sizes,
            unfinished=unfinished,
            inputs=opened.inputs,
        )
        wake(EXTRACTION_QUEUE)


def _work_on_layers(extraction: Extraction) -> None:
    unfinished = unfinished_layers(extraction.pk)
    if unfinished.exists() and not _waiting(extraction):
        _kept.rest(extraction)  # the last layers are others'
        return
    opened = _kept.taking_part(extraction)
    if opened is None:
        return
    layer = layers.layer_claim(extraction=extraction)
    if layer is not None:
        do_layer(layer=layer, opened=opened)
        if unfinished.exists() and not _waiting(extraction):
            _kept.rest(extraction)
        return
    claimed = services.extraction_claim_finish(extraction_id=extraction.pk)
    if claimed is not None:
        finish(extraction=claimed, opened=opened)


def _waiting(extraction: Extraction) -> bool:
    waiting = ExtractionLayer.State.WAITING
    return unfinished_layers(extraction.pk).filter(state=waiting).exists()


def do_layer(*, layer: ExtractionLayer, opened: LayersApart) -> None:
    """Do a claimed layer; an error ends the whole extraction, with its sentence."""

    def write(step: str, done: int, total: int) -> None:
        report(layer, **({"done": done} if step == LAYER else {}))

    reporter = ProgressReporter(write)
    steps = Steps(lambda p: reporter(p.step, p.done, p.total))
    is_done = False
    try:
        with working(layer, fail=layers.layer_fail):
            # A worker that died between storing the rows and saying so has left nothing to do.
            if layer.layer in opened.unfinished():
                opened.layer(layer.layer, steps, lambda done: reporter(LAYER, done, layer.total))
            layers.layer_done(layer=layer)
            is_done = True
    finally:
        if not is_done:
            _kept.rest(layer.extraction)


def finish(*, extraction: Extraction, opened: LayersApart) -> None:
    """Make the bundle of all layers and load it."""
    with working(extraction, fail=services.extraction_fail):
        bundle = _bundle_of_before(extraction)
        if bundle is None:
            services.partial_remove(extraction)
            opened.finish(Steps(_reporter(extraction)), keep_parts=True)
            bundle = services.open_storable(bundle_path(extraction))
        services.bundle_load(extraction=extraction, bundle=bundle)
        # Not before: a load that fails or is cancelled would leave the next try nothing to go on.
        opened.forget_parts()
    _kept.forget()


def _bundle_of_before(extraction: Extraction) -> "Bundle | None":
    """The bundle of a worker that died while it loaded; its layers' files are gone by then."""
    try:
        return services.open_storable(bundle_path(extraction))
    except BundleError:
        return None


def _reporter(extraction: Extraction) -> Report:
    write = ProgressReporter(
        lambda step, done, total: services.extraction_report(
            extraction=extraction, step=step, step_done=done, step_total=total
        )
    )
    return lambda p: write(p.step, p.done, p.total)


class _Kept:
    """The one extraction that this process holds open between its layers."""

    def __init__(self) -> None:
        self._key: RunKey | None = None
        self._opened: LayersApart | None = None
        self._refused: dict[RunKey, float] = {}

    def open(self, extraction: Extraction, report: Report) -> LayersApart:
        """Open an extraction in place of the one before. Raises FFNExtractError, SiteError."""
        self.forget()
        with packages_needed():
            self._opened = apart.LayersApart(*_arguments(extraction), report)
        self._key = _key(extraction)
        return self._opened

    def taking_part(self, extraction: Extraction) -> LayersApart | None:
        """The extraction, open here; None, with a notice on its page, where that cannot be."""
        key = _key(extraction)
        if self._opened is not None and self._key == key:
            return self._opened
        if time.monotonic() - self._refused.get(key, -TRY_AGAIN_SECONDS) < TRY_AGAIN_SECONDS:
            return None
        try:
            opened = self.open(extraction, lambda _: None)
            reason: Failure = _difference(extraction.plan, opened.inputs) or _not_shared(opened)
        except SiteError as error:
            reason = error.sentence
        except (FFNExtractError, ProcessEnded) as error:
            reason = str(error)
        if not reason:
            return self._opened
        self.forget()
        self._refused = {key: time.monotonic()}
        layers.worker_refuse(extraction=extraction, reason=reason)
        return None

    def rest(self, extraction: Extraction) -> None:
        """Give back the memory that only layers need."""
        if self._opened is not None and self._key == _key(extraction):
            try:
                self._opened.rest()
            except ProcessEnded:
                self.forget()

    def forget_ended(self) -> None:
        """Close the open run if it has ended; another run opens it again."""
        if self._key is None:
            return
        pk, started_at = self._key
        run = Extraction.objects.filter(pk=pk, started_at=started_at, state__in=UNFINISHED)
        if not run.exists():
            self.forget()

    def forget(self) -> None:
        """Close what is open."""
        if self._opened is not None:
            self._opened.close()
        self._opened, self._key = None, None


_kept = _Kept()


def _key(extraction: Extraction) -> RunKey:
    return extraction.pk, extraction.started_at


def _difference(plan: Any, inputs: Any, name: str = "") -> Failure:
    """A sentence about the first thing in which this worker's inputs differ from the plan's."""
    if plan == inputs:
        return ""
    if isinstance(plan, dict) and isinstance(inputs, dict):
        for key in sorted({*plan, *inputs}):
            if plan.get(key) != inputs.get(key):
                return _difference(plan.get(key), inputs.get(key), f"{name}.{key}".strip("."))
    return Sentence(DIFFERENT, name=name, here=str(inputs), planned=str(plan))


def _not_shared(opened: LayersApart) -> Failure:
    return "" if opened.begun else Sentence(NOT_SHARED, folder=str(settings.BUNDLES_DIR))


def _arguments(extraction: Extraction) -> tuple[str, Path, ExtractOptions]:
    """Arguments of the pipeline's functions."""
    path = bundle_path(extraction)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = ExtractOptions.from_json(extraction.parameters)
    source = extraction.model_source
    here = replace(options, name=options.name or source, corpus=corpus_location(options.corpus))
    return model_location(source), path, here


@contextmanager
def packages_needed() -> Iterator[None]:
    """Say in a sentence what the process lacks that only workers need."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SiteError(Sentence(PACKAGE_MISSING, package=error.name)) from error
