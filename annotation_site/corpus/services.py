"""What changes the corpus: enqueueing, running and loading extractions."""

import logging
import re
import shutil
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from annotation_site.accounts.models import User
from annotation_site.corpus import loading
from annotation_site.corpus.models import Extraction
from annotation_site.errors import Invalid, SiteError
from annotation_site.workers.selectors import workers_alive
from annotation_site.workers.services import nudge
from ffn_extract.bundle import Bundle, open_bundle
from ffn_extract.errors import FFNExtractError
from ffn_extract.options import ExtractOptions

log = logging.getLogger(__name__)
MODEL_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")  # of the hub, or a folder
# A run renews its heartbeat every second or two; one that missed many is taken for dead.
STALE_AFTER = timedelta(seconds=15)
MOST_ATTEMPTS = 3
INTERRUPTED = "The import was interrupted. Run `manage.py import_bundle` again."
State = Extraction.State


class ClaimLost(Exception):
    """Another worker took this extraction over, or it was deleted: stop without a trace."""


@transaction.atomic
def extraction_enqueue(
    *, model_source: str, options: ExtractOptions, requested_by: User | None = None
) -> Extraction:
    """Queue an extraction of a hub model or of a folder below MODELS_DIR.

    Raises Invalid for a name that is neither.
    """
    model_source = model_source.strip()
    if not model_source:
        raise Invalid("Name a model: a hub id such as gpt2, or a folder in the models folder.")
    if not MODEL_NAME.fullmatch(model_source):
        raise Invalid(
            f"“{model_source}” is no model's name. Give a hub id such as gpt2, or put the model's "
            f"folder into {settings.MODELS_DIR} and give its name."
        )
    extraction = Extraction.objects.create(
        model_source=model_source, parameters=options.to_json(), requested_by=requested_by
    )
    _nudge_run(extraction.pk)
    return extraction


@transaction.atomic
def extraction_retry(*, extraction: Extraction) -> None:
    """Queue a failed extraction again, from its start."""
    failed = Extraction.objects.filter(pk=extraction.pk, state=State.FAILED, imported=False)
    retried = failed.update(
        state=State.QUEUED, error="", attempts=0, step="", step_done=0, step_total=0
    )
    if not retried:
        raise Invalid("Only a failed extraction can be tried again.")
    _nudge_run(extraction.pk)


def extraction_claim(*, extraction_id: int) -> Extraction | None:
    """Take a queued extraction for this process; None when another has it or it is done.

    A conditional UPDATE decides, so a message that is delivered twice runs once. Each worker
    extracts one model at a time, so that its other places stay free for results; what has to wait
    is found by the sweep.
    """
    busy = Extraction.objects.filter(state__in=(State.RUNNING, State.LOADING), imported=False)
    if busy.count() >= max(1, workers_alive().count()):
        return None
    claimed = Extraction.objects.filter(pk=extraction_id, state=State.QUEUED).update(
        state=State.RUNNING,
        claim=uuid.uuid4(),
        attempts=F("attempts") + 1,
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
        error="",
    )
    return Extraction.objects.get(pk=extraction_id) if claimed else None


def extraction_report(*, extraction: Extraction, **changes: Any) -> None:
    """Write progress and a heartbeat. Raises ClaimLost when the run is no longer ours."""
    held = Extraction.objects.filter(pk=extraction.pk, claim=extraction.claim)
    if not held.update(heartbeat_at=timezone.now(), **changes):
        raise ClaimLost


def extraction_fail(*, extraction: Extraction, reason: str) -> None:
    """End a run with a sentence for the admin; nothing half-loaded stays.

    A run that lost its claim ends nothing: the rows are another's by then.
    """
    held = Extraction.objects.filter(pk=extraction.pk, claim=extraction.claim).update(
        state=State.FAILED,
        error=reason,
        bundle_digest=None,
        claim=None,
        finished_at=timezone.now(),
    )
    if held:
        loading.rows_delete(extraction.pk)


def bundle_path(extraction: Extraction) -> Path:
    """Where this site keeps the bundle of an extraction that it ran."""
    return Path(settings.BUNDLES_DIR) / str(extraction.public_id)


def bundle_import(
    *, path: Path, report: Callable[[str, int, int], None] = lambda *_: None
) -> tuple[Extraction, bool]:
    """Load a bundle made elsewhere; returns the extraction and whether it is new.

    Idempotent by the bundle's digest. The bundle is validated before anything is written, and
    what is loaded becomes visible at the end, in one step. Raises FFNExtractError for a bundle
    that is damaged or foreign, SiteError when the same one is being loaded at this moment.
    """
    bundle = _open_storable(path)
    _release_stale_imports()
    existing = Extraction.objects.filter(bundle_digest=bundle.manifest.digest).first()
    if existing is not None:
        if existing.state == State.READY:
            return existing, False
        raise SiteError("This bundle is being loaded at this moment. Wait until that has ended.")
    extraction = Extraction.objects.create(
        model_source=bundle.manifest.model.name,
        parameters=bundle.manifest.parameters,
        state=State.RUNNING,
        claim=uuid.uuid4(),
        imported=True,
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
    )
    try:
        with _heartbeat(extraction):
            bundle_load(extraction=extraction, bundle=bundle, report=report)
    except BaseException:
        loading.rows_delete(extraction.pk)
        extraction.delete()
        raise
    extraction.refresh_from_db()
    return extraction, True


def bundle_load(
    *,
    extraction: Extraction,
    bundle: Bundle,
    report: Callable[[str, int, int], None] = lambda *_: None,
) -> None:
    """Load a validated bundle's rows in chunks, then make them visible in one step.

    Chunks are short transactions, so annotators never wait for an import. Two extractions
    cannot hold the same digest: the second points at the first.
    """
    digest = bundle.manifest.digest
    twin = Extraction.objects.filter(bundle_digest=digest).exclude(pk=extraction.pk).first()
    if twin is None:
        try:
            extraction_report(extraction=extraction, state=State.LOADING, bundle_digest=digest)
        except IntegrityError:
            twin = Extraction.objects.filter(bundle_digest=digest).first()
    if twin is not None and twin.state != State.READY:
        raise SiteError("These very lists are being loaded at this moment. Try again in a minute.")
    model = loading.model_get_or_create(bundle.manifest.model)
    if twin is None:

        def progress(step: str, done: int, total: int) -> None:
            extraction_report(extraction=extraction, step=step, step_done=done, step_total=total)

        loading.rows_load(extraction.pk, bundle, progress, report)
    extraction_report(
        extraction=extraction,
        state=State.READY,
        model=model,
        same_as=twin,
        parameters=bundle.manifest.parameters,
        counts=asdict(bundle.manifest.counts),
        environment=bundle.manifest.environment,
        finished_at=timezone.now(),
        claim=None,
    )


def extractions_sweep() -> None:
    """Queue again what a dead worker left, and nudge what waits; safe in many workers at once."""
    stale = Extraction.objects.filter(
        state__in=(State.RUNNING, State.LOADING),
        heartbeat_at__lt=timezone.now() - STALE_AFTER,
    )
    for extraction in stale:
        if extraction.imported:
            extraction_fail(extraction=extraction, reason=INTERRUPTED)
            continue
        if extraction.attempts >= MOST_ATTEMPTS:
            extraction_fail(
                extraction=extraction,
                reason="The process that ran this stopped without a word, "
                f"{extraction.attempts} times in a row. The machine may lack memory: look into "
                "the worker's log, then try again.",
            )
            continue
        # Only the state: rows that were loaded are removed by the run that takes over. A run that
        # gave a sign of life since it was read here is left alone.
        stale.filter(pk=extraction.pk, claim=extraction.claim).update(
            state=State.QUEUED, claim=None, bundle_digest=None
        )
    waiting = Extraction.objects.filter(
        state=State.QUEUED, created_at__lt=timezone.now() - timedelta(seconds=5)
    )
    for pk in waiting.values_list("pk", flat=True):
        _nudge_run(pk)


def _open_storable(path: Path) -> Bundle:
    """A validated bundle that the database can hold, before anything is written."""
    bundle = open_bundle(path)
    loading.require_storable(bundle.manifest)
    return bundle


def _release_stale_imports() -> None:
    """Give up imports whose process died, so that the same bundle can be loaded again."""
    stale = Extraction.objects.filter(
        imported=True,
        state__in=(State.RUNNING, State.LOADING),
        heartbeat_at__lt=timezone.now() - STALE_AFTER,
    )
    for extraction in stale:
        extraction_fail(extraction=extraction, reason=INTERRUPTED)


def _nudge_run(extraction_id: int) -> None:
    from annotation_site.corpus.tasks import extraction_run

    nudge(extraction_run, extraction_id)


def extraction_run_here(*, extraction: Extraction) -> None:
    """Extract and load in this process; the row says how it ended.

    An error with a sentence ends the run as failed, with that sentence. A bug is recorded too,
    so that no page waits for ever, and then propagates.
    """
    reporter = loading.ProgressReporter(
        lambda step, done, total: extraction_report(
            extraction=extraction, step=step, step_done=done, step_total=total
        )
    )
    try:
        extract = _extract_function()
        out = bundle_path(extraction)
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        with _heartbeat(extraction):
            extract(
                model_location(extraction.model_source),
                out,
                replace(
                    ExtractOptions.from_json(extraction.parameters), name=extraction.model_source
                ),
                report=lambda p: reporter(p.step, p.done, p.total),
            )
            bundle_load(extraction=extraction, bundle=_open_storable(out))
    except ClaimLost:
        log.info("Extraction %s was taken over", extraction.pk)
    except (FFNExtractError, SiteError) as error:
        extraction_fail(extraction=extraction, reason=str(error))
    except Exception as error:
        extraction_fail(
            extraction=extraction,
            reason=f"A bug stopped this run ({type(error).__name__}). "
            "The worker's log has the details.",
        )
        raise


def _heartbeat(extraction: Extraction) -> AbstractContextManager[None]:
    return loading.heartbeat(lambda: extraction_report(extraction=extraction), stop_at=(ClaimLost,))


def _extract_function() -> Callable[..., object]:
    """`ffn_extract.pipeline.extract`, imported late: it loads torch, which only workers have."""
    try:
        from ffn_extract.pipeline import extract
    except ModuleNotFoundError as error:
        raise SiteError(
            f"The worker that took this lacks the package {error.name}. Install "
            "requirements/extract.txt there, then try again."
        ) from error
    return extract


def model_location(source: str) -> str:
    """A folder below MODELS_DIR where there is one of that name, else the hub id itself."""
    folder = Path(settings.MODELS_DIR) / source
    if (folder / "config.json").exists():
        return str(folder)
    if Path(source).exists():
        raise SiteError(
            f"There is a file or folder {source} where the worker runs, but none in "
            f"{settings.MODELS_DIR}. Put the model there."
        )
    return source
