"""Services of extractions: enqueue, claim, report, load, delete."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, ProtectedError, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.corpus import loading
from annotation_site.corpus.corpora import require_corpus
from annotation_site.corpus.forecasts import expected_seconds
from annotation_site.corpus.locations import local_folder, require_model
from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import UNFINISHED, Extraction, ExtractionLayer, LanguageModel
from annotation_site.corpus.selectors import (
    STEP_TITLES,
    judged_in,
    unfinished_layers,
)
from annotation_site.corpus.titles import extraction_create
from annotation_site.errors import Invalid, SiteError
from annotation_site.notices.services import circle, notice_send, notices_drop
from annotation_site.sentences import Sentence, english
from annotation_site.workers.claims import Failure, claim, has_work, report, wake
from annotation_site.workers.identity import worker_label
from annotation_site.workers.queues import EXTRACTION_QUEUE
from ffn_extract.options import ExtractOptions

if TYPE_CHECKING:
    from ffn_extract.bundle import Bundle

INTERRUPTED = gettext_noop("The import was interrupted. Run `manage.py import_bundle` again.")
BEING_LOADED = gettext_noop("The same lists are being loaded now. Try again in a minute.")
BEING_DELETED = gettext_noop("The same lists are being deleted now. Try again in a minute.")
READY = gettext_noop("The extraction “%(title)s” is ready: %(lists)s lists.")
FAILED = gettext_noop("The extraction “%(title)s” failed. %(reason)s")
MOST_UNFINISHED = 100  # extractions and uploads of one person
State = Extraction.State
LayerState = ExtractionLayer.State


@transaction.atomic
def extraction_enqueue(
    *,
    model_source: str,
    options: ExtractOptions,
    requested_by: User | None = None,
    title: str = "",
) -> Extraction:
    """Enqueue an extraction of a hub model or of a folder below MODELS_DIR.

    Without a title it gets a default one. Raises Invalid for a title that is taken, a name
    that is neither, a folder that holds no model that can be read, texts that are not here or too
    few, and beyond MOST_UNFINISHED of one person.
    """
    require_turn(requested_by)
    model_source = model_source.strip()
    require_model(model_source, options)
    require_corpus(options)
    notes = [str(note) for note in options.notes]
    if options.revision is not None and local_folder(model_source) is not None:
        options = replace(options, revision=None)
        notes.append(f"revision has no effect here: {model_source} is a folder.")
    extraction = extraction_create(
        title=title,
        model_source=model_source,
        parameters=options.to_json(),
        requested_by=requested_by,
        expected_seconds=expected_seconds(model_source, options),
    )
    log_add(extraction.pk, " ".join(["Queued.", *notes]), person=requested_by)
    audit.record("model_enqueued", target=extraction, actor=requested_by, model_source=model_source)
    wake(EXTRACTION_QUEUE)
    return extraction


def require_turn(person: User | None) -> None:
    """Raises Invalid where MOST_UNFINISHED of a person's extractions wait or are at work.

    Each may keep gigabytes and is looked at whenever a worker is free.
    """
    unfinished = Extraction.objects.filter(requested_by=person, state__in=UNFINISHED)
    if person is not None and unfinished.count() >= MOST_UNFINISHED:
        raise Invalid(
            gettext(
                "%(most)s of your models are waiting or running, which is the limit for one "
                "person. Continue when some are ready, or cancel some."
            )
            % {"most": MOST_UNFINISHED}
        )


@transaction.atomic
def extraction_retry(*, extraction: Extraction, by: User | None = None) -> None:
    """Enqueue a failed or cancelled extraction again; finished layers are kept.

    Raises Invalid for any other, for an upload, whose files are gone, and where the texts are gone.
    """
    if extraction.uploaded:
        raise Invalid(
            gettext("The uploaded files were removed when this ended. Upload the bundle again.")
        )
    ended = Extraction.objects.filter(
        pk=extraction.pk, state__in=(State.FAILED, State.CANCELLED), imported=False
    )
    if ended.exists():
        require_corpus(ExtractOptions.from_json(extraction.parameters))
    retried = ended.update(
        state=State.QUEUED, error="", notice="", attempts=0, step="", step_done=0, step_total=0
    )
    if not retried:
        raise Invalid(
            gettext("Only an extraction that failed or was cancelled can be tried again.")
        )
    extraction.layers.all().delete()
    log_add(extraction.pk, "Queued again.", person=by)
    audit.record("model_retried", target=extraction)
    wake(EXTRACTION_QUEUE)


def extraction_cancel(*, extraction: Extraction, by: User | None = None) -> None:
    """Cancel an unfinished extraction; its workers stop at their next report, within seconds.

    Nothing half-loaded stays. Raises Invalid for one that has ended, and for an import, which is
    stopped where it was started.
    """
    cancelled = _end(
        Extraction.objects.filter(pk=extraction.pk, state__in=UNFINISHED, imported=False),
        "Cancelled.",
        person=by,
        state=State.CANCELLED,
    )
    if not cancelled:
        raise Invalid(
            gettext("Only an extraction that is waiting or running here can be cancelled.")
        )
    audit.record("model_cancelled", target=extraction)


def extraction_delete(*, extraction: Extraction) -> None:
    """Delete an extraction with its lists and its files.

    Rows go in short transactions, so that nobody waits for them. From the first one on nothing can
    use the extraction; what is cut short is taken up by another call. Raises Invalid while it is at
    work, while a study uses its lists, and while other runs point at them because they gave the
    same ones: then nothing has changed.
    """
    model_id = _delete_begin(extraction)
    rows = Extraction.objects.filter(pk=extraction.pk)
    loading.rows_delete(extraction.pk, lambda: rows.update(heartbeat_at=timezone.now()))
    path = bundle_path(extraction)
    for folder in (path, *path.parent.glob(f".{path.name}.*")):
        shutil.rmtree(folder, ignore_errors=True)
    with transaction.atomic():
        rows.delete()
        notices_drop(path=_page(extraction))
        if model_id is not None:
            model_forget(model_id)


def model_forget(model_id: int) -> None:
    """Delete the row of a model of which nothing is left, in the caller's transaction."""
    with suppress(ProtectedError):  # something of a later stage has it
        LanguageModel.objects.filter(pk=model_id, extraction=None).delete()


@transaction.atomic
def _delete_begin(extraction: Extraction) -> int | None:
    """Put an extraction out of use, unless something holds it; returns its model's id."""
    locked = Extraction.objects.select_for_update().get(pk=extraction.pk)
    if locked.is_unfinished:
        raise Invalid(gettext("This extraction is running. Cancel it first, then delete it."))
    if Extraction.objects.filter(same_as=locked).exists():
        raise Invalid(
            gettext("Later extractions gave the same lists and use these. Delete those first.")
        )
    if studies := judged_in(locked):
        raise Invalid(
            gettext("These studies use its lists: %(studies)s. You cannot delete it while they do.")
            % {"studies": ", ".join(studies)}
        )
    if locked.state != State.DELETING:
        audit.record("model_deleted", target=extraction, model_source=locked.model_source)
    locked.state = State.DELETING
    locked.bundle_digest = None  # the same lists may be loaded again meanwhile
    locked.heartbeat_at = timezone.now()
    locked.save(update_fields=["state", "bundle_digest", "heartbeat_at"])
    return locked.model_id


def extraction_claim(*, extraction_id: int) -> Extraction | None:
    """Claim an enqueued extraction for this process; None if another has it or it is done.

    Each worker extracts one thing at a time, so that its other places stay free for results.
    """
    if has_work(EXTRACTION_QUEUE):
        return None
    queued = Extraction.objects.filter(state=State.QUEUED)
    return _claimed(queued, extraction_id, started_at=timezone.now(), error="", notice="")


def extraction_claim_finish(*, extraction_id: int) -> Extraction | None:
    """Claim an extraction with all layers done, to make its bundle; else None."""
    if has_work(EXTRACTION_QUEUE):
        return None
    whole = Extraction.objects.filter(state=State.LAYERS).exclude(
        Exists(unfinished_layers(OuterRef("pk")))
    )
    return _claimed(whole, extraction_id, notice="")


def _claimed(which: QuerySet[Extraction], extraction_id: int, **changes: Any) -> Extraction | None:
    extraction = claim(which, extraction_id, state=State.RUNNING, **changes)
    if extraction is None:
        return None
    again = f", attempt {extraction.attempts}" if extraction.attempts > 1 else ""
    log_add(extraction_id, f"Taken by worker {worker_label(extraction.worker)}{again}.")
    return extraction


def extraction_report(*, extraction: Extraction, **changes: Any) -> None:
    """Write progress and a heartbeat. Raises ClaimLost if the claim is lost."""
    report(extraction, **changes)
    step = changes.get("step", extraction.step)
    if step != extraction.step:
        extraction.step = step
        log_add(extraction.pk, f"Step: {STEP_TITLES.get(step, step)}.")


def extraction_fail(extraction: Extraction, reason: Failure) -> None:
    """End an extraction with a sentence for the admin; no partial rows stay.

    A run that lost its claim ends nothing: the rows are another's by then.
    """
    _end(
        extraction.held().filter(state__in=UNFINISHED),
        f"Failed: {english(reason)}",
        state=State.FAILED,
        error=reason,
    )


def _end(
    which: QuerySet[Extraction], line: str, *, person: User | None = None, **changes: Any
) -> bool:
    """End the extraction in `which`, if it is still one: every claim on it is lost from then on."""
    with transaction.atomic():
        found = which.select_for_update().first()
        if found is None:
            return False
        Extraction.objects.filter(pk=found.pk).update(
            bundle_digest=None, claim=None, finished_at=timezone.now(), **changes
        )
        found.layers.filter(state=LayerState.RUNNING).update(
            state=LayerState.WAITING, claim=None, worker=""
        )
        log_add(found.pk, line, person=person)
        if changes["state"] == State.FAILED:
            extraction_tell(found, "extraction_failed", FAILED, reason=changes["error"])
    loading.rows_delete(found.pk)
    partial_remove(found)
    if found.uploaded:
        shutil.rmtree(bundle_path(found), ignore_errors=True)
    return True


def extraction_tell(extraction: Extraction, kind: str, message: str, **values: Any) -> None:
    """Tell its requester of the end of an extraction, and every admin of a failure.

    In the transaction that ends it; each try is an event of its own.
    """
    begun = extraction.started_at or extraction.created_at
    people = [extraction.requested_by_id or 0]
    if kind == "extraction_failed":
        people += circle(kind).values_list("pk", flat=True)
    notice_send(
        kind=kind,
        event=f"{kind} {extraction.pk} {begun:%Y%m%d%H%M%S%f}",
        people=people,
        text=Sentence(message, title=str(extraction), **values),
        path=_page(extraction),
    )


def _page(extraction: Extraction) -> str:
    return reverse("corpus:extraction", args=[extraction.public_id])


def bundle_path(extraction: Extraction) -> Path:
    """The path of the bundle of an extraction that ran on this site."""
    return Path(settings.BUNDLES_DIR) / str(extraction.public_id)


def partial_remove(extraction: Extraction) -> None:
    """Remove the partial bundle of a killed run; only the holder of the claim may call this."""
    for folder in Path(settings.BUNDLES_DIR).glob(f".{extraction.public_id}.*.partial"):
        shutil.rmtree(folder, ignore_errors=True)


def bundle_load(
    *,
    extraction: Extraction,
    bundle: "Bundle",
    show: Callable[[str, int, int], None] = lambda *_: None,
) -> None:
    """Load a validated bundle's rows in chunks, then make them visible in one step.

    Chunks are short transactions, so annotators never wait for an import. Two extractions
    cannot hold the same digest: the second points at the first.
    """
    digest = bundle.manifest.digest
    loaded = Extraction.objects.filter(bundle_digest=digest, restored__isnull=True)
    twin = loaded.exclude(pk=extraction.pk).first()
    if twin is None:
        try:
            extraction_report(extraction=extraction, state=State.LOADING, bundle_digest=digest)
        except IntegrityError:
            twin = loaded.first()
    if twin is not None and twin.state != State.READY:
        raise SiteError(Sentence(BEING_LOADED))
    model = loading.model_get_or_create(bundle.manifest.model)
    if twin is None:

        def progress(step: str, done: int, total: int) -> None:
            extraction_report(extraction=extraction, step=step, step_done=done, step_total=total)

        loading.rows_load(extraction.pk, bundle, progress, show)
    with transaction.atomic():
        if twin is not None and extraction_lock_ready(twin.pk) is None:
            raise SiteError(Sentence(BEING_DELETED))
        extraction_report(
            extraction=extraction,
            state=State.READY,
            model=model,
            same_as=twin,
            parameters=bundle.manifest.parameters,
            counts=bundle.manifest.counts.to_json(),
            environment=bundle.manifest.environment,
            manifest=bundle.manifest.to_bytes().decode(),
            finished_at=timezone.now(),
            claim=None,
        )
        count = bundle.manifest.counts.vectors
        same = "Ready: the very lists of an earlier extraction."
        log_add(extraction.pk, same if twin else f"Ready: {count:,} lists are loaded.")
        extraction_tell(extraction, "extraction_ready", READY, lists=f"{count:,}")


def extraction_lock_ready(extraction_id: int) -> Extraction | None:
    """Lock a ready extraction against deletion until the transaction ends."""
    ready = Extraction.objects.filter(pk=extraction_id, state=State.READY, same_as=None)
    return ready.select_for_update().first()


def open_storable(path: Path, max_bytes: int | None = None) -> "Bundle":
    """Open a validated bundle that the database can store, before anything is written."""
    # Here, because reading Parquet takes pyarrow: in a worker, or in a command.
    from ffn_extract.bundle.apart import open_bundle_apart

    bundle = open_bundle_apart(path, max_bytes)
    loading.require_storable(bundle.manifest)
    return bundle
