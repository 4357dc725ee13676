"""Services of measurements: enqueue, claim, report, keep, end, delete."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from annotation_site import bounds
from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.corpus.corpora import corpus_label, corpus_taken
from annotation_site.corpus.locations import local_folder, says_its_sizes
from annotation_site.corpus.log import line_add
from annotation_site.corpus.models import Corpus, Extraction, LanguageModel
from annotation_site.corpus.selectors import gguf_files
from annotation_site.corpus.services import model_forget
from annotation_site.errors import Invalid, NotAllowed, SiteError
from annotation_site.measurements.files import (
    ReadFile,
    files_store,
    folder_read,
    work_remove,
)
from annotation_site.measurements.forecasts import expected_seconds
from annotation_site.measurements.models import (
    UNFINISHED,
    Measurement,
    MeasurementContent,
    MeasurementLine,
)
from annotation_site.measurements.options import options_checked
from annotation_site.measurements.selectors import require_shown
from annotation_site.notices.services import circle, notice_send, notices_drop
from annotation_site.sentences import Sentence, english
from annotation_site.workers.claims import Failure, claim, has_work, next_of, report, wake
from annotation_site.workers.identity import worker_label
from annotation_site.workers.queues import EXTRACTION_QUEUE
from ffn_extract.bundle.manifest import MANIFEST_FILE
from ffn_extract.checkpoints.outline import outline_of_folder
from ffn_extract.errors import FFNExtractError
from ffn_extract.measurements import MEASUREMENTS, RUN_NO_MODEL
from ffn_extract.options import OPTIONS, WORDNET_CORPUS, ExtractOptions
from ffn_extract.progress import MEASUREMENT_STEPS, STEPS
from ffn_extract.traceable import require_outline_traceable

State = Measurement.State
MOST_UNFINISHED = 20  # of one person
MOST_KEPT = 500  # of one person, of any state
READY = gettext_noop("The measurement “%(title)s” is ready.")
FAILED = gettext_noop("The measurement “%(title)s” failed. %(reason)s")
OTHER_WEIGHTS = gettext_noop(
    "The model's files are not those of the extraction: their weights differ. Put the files back, "
    "or enqueue the model again, and then measure that."
)
DAMAGED = gettext_noop("The measurement's folder is not whole: %(reason)s. Try again.")
STEP_TITLES = dict((*STEPS, *MEASUREMENT_STEPS))


@transaction.atomic
def measurement_enqueue(
    *,
    name: str,
    model: LanguageModel,
    options: Mapping[str, Any] | None = None,
    corpus: str = WORDNET_CORPUS,
    title: str = "",
    requested_by: User | None = None,
) -> Measurement:
    """Enqueue a measurement of a model that was extracted here.

    `name` is a key of MEASUREMENTS, `options` values of `options.OFFERED`, `corpus` the word
    wordnet, an uploaded corpus' reference or the name of a file in CORPORA_DIR. Raises Invalid for
    what is none of these, for a value that cannot be used, a corpus with too few sentences, a model
    that clearly cannot be run, or has no files here, and beyond MOST_UNFINISHED and MOST_KEPT of
    one person; NotAllowed for a person who is no researcher, or annotates lists of the model.
    """
    _require_researcher(requested_by)
    _require_turn(requested_by)
    if requested_by is not None:
        require_shown(model, requested_by)
    if name not in MEASUREMENTS:
        raise Invalid(
            gettext("There is no measurement “%(name)s”. There are: %(names)s.")
            % {"name": name, "names": ", ".join(MEASUREMENTS)}
        )
    parameters = options_checked(options or {})
    source, reading = files_of(model)
    _require_runnable(name, source, reading)
    uploaded = _corpus_for(name, corpus, parameters)
    measurement = Measurement.objects.create(
        name=name,
        title=_title(title) or title_of(name, model, parameters),
        model=model,
        model_source=source,
        reading=reading,
        corpus_source=corpus,
        corpus_name=corpus_label(corpus, uploaded),
        corpus=uploaded,
        parameters=parameters,
        requested_by=requested_by,
        expected_seconds=expected_seconds(name, model, parameters, uploaded),
    )
    _log(measurement, "Queued.", person=requested_by)
    audit.record(
        "measurement_enqueued",
        target=measurement,
        actor=requested_by,
        measurement=name,
        model_source=source,
    )
    wake(EXTRACTION_QUEUE)
    return measurement


@transaction.atomic
def measurements_enqueue(
    *,
    names: Sequence[str],
    model: LanguageModel,
    corpus: str,
    options: Mapping[str, Any],
    requested_by: User,
) -> list[Measurement]:
    """Enqueue several measurements of a model alike, or none of them; raises as one does."""
    return [
        measurement_enqueue(
            name=name, model=model, corpus=corpus, options=options, requested_by=requested_by
        )
        for name in names
    ]


def refusals(
    *, names: Sequence[str], model: LanguageModel, corpus: str, options: Mapping[str, Any]
) -> dict[str, str]:
    """Why enqueueing would refuse, a sentence each, by "model" and "corpus"; empty if it would not.

    For options that `options_checked` takes.
    """
    found = {}
    try:
        source, reading = files_of(model)
        for name in names:
            _require_runnable(name, source, reading)
    except Invalid as error:
        found["model"] = error.message
    try:
        with transaction.atomic():
            for name in names:
                _corpus_for(name, corpus, options_checked(options))
    except Invalid as error:
        found["corpus"] = error.message
    return found


def files_of(model: LanguageModel) -> tuple[str, dict[str, Any]]:
    """Where a model's files are, and the options that read them, by its latest ready extraction.

    One that ran here comes before one that was imported. Raises Invalid where there is none.
    """
    ready = Extraction.objects.filter(model=model, state=Extraction.State.READY)
    found = (
        ready.defer("plan")
        .order_by(
            "imported",
            "uploaded",
            F("restored").desc(nulls_first=True),
            F("finished_at").desc(nulls_last=True),
        )
        .first()
    )
    if found is None:
        raise Invalid(
            gettext("%(model)s has no ready extraction here. Enqueue the model first.")
            % {"model": model.name}
        )
    tensors = found.parameters.get("tensors")
    reading: dict[str, Any] = {**tensors} if isinstance(tensors, dict) else {}
    reading = {name: value for name, value in reading.items() if name in OPTIONS}
    if _reads_fewer_layers(found):
        reading["allow_fewer_layers"] = True
    if model.revision and local_folder(found.model_source) is None:
        reading["revision"] = model.revision
    if (names := gguf_files(found)) and not found.imported and not found.uploaded:
        reading["gguf_file"] = names[0]  # of several in a folder, the one that was read
    return found.model_source, reading | {"name": model.name}


def _reads_fewer_layers(extraction: Extraction) -> bool:
    try:
        return "layers_read" in json.loads(extraction.manifest or "{}").get("model", {})
    except (ValueError, AttributeError):
        return False


def title_of(name: str, model: LanguageModel, parameters: Mapping[str, Any]) -> str:
    """The title by default: "Saturation of gpt2, 2,000 examples, seed 7". English, as data is."""
    parts = [f"{name.replace('-', ' ').capitalize()} of {model.name.rpartition('/')[2][:80]}"]
    if name not in RUN_NO_MODEL:
        parts.append(f"{parameters['examples']:,} examples")
    if parameters.get("seed"):
        parts.append(f"seed {parameters['seed']}")
    return ", ".join(parts)[: bounds.TITLE]


def _title(title: str) -> str:
    return " ".join(title.split())[: bounds.TITLE]


def _require_researcher(person: User | None) -> None:
    if person is not None and not person.is_researcher:
        raise NotAllowed(gettext("Only researchers and admins measure models."))


def _require_turn(person: User | None) -> None:
    if person is None:
        return
    mine = Measurement.objects.filter(requested_by=person)
    if mine.filter(state__in=UNFINISHED).count() >= MOST_UNFINISHED:
        raise Invalid(
            gettext(
                "%(most)s of your measurements are waiting or running, which is the limit for one "
                "person. Continue when some are ready, or cancel some."
            )
            % {"most": MOST_UNFINISHED}
        )
    if mine.count() >= MOST_KEPT:
        raise Invalid(
            gettext("You have %(most)s measurements, which is the limit. Delete some first.")
            % {"most": MOST_KEPT}
        )


def _require_runnable(name: str, source: str, reading: Mapping[str, Any]) -> None:
    """Refuse a model whose files here say already that it cannot be run. Raises Invalid."""
    folder = local_folder(source)
    if name in RUN_NO_MODEL or folder is None or not says_its_sizes(folder):
        return
    try:
        options = ExtractOptions.from_json(dict(reading))
        require_outline_traceable(outline_of_folder(folder, options.gguf_file), options)
    except FFNExtractError as error:
        raise Invalid(str(error)) from error


def _corpus_for(name: str, corpus: str, parameters: Mapping[str, Any]) -> Corpus | None:
    """The uploaded corpus, kept until the transaction ends; None for others. Raises Invalid."""
    if name in RUN_NO_MODEL:
        return None
    found = corpus_taken(corpus)
    needed = parameters["examples"]
    # Texts that are split into sentences are more than were counted.
    split = parameters.get("split_sentences")
    if found is not None and found.sentences < needed and not split:
        raise Invalid(
            gettext(
                "“%(name)s” has %(found)s sentences, and %(needed)s examples need as many: each "
                "comes from its own sentence. Choose a larger corpus or fewer examples."
            )
            % {"name": found.name, "found": f"{found.sentences:,}", "needed": f"{needed:,}"}
        )
    return found


def _require_mine(measurement: Measurement, person: User | None) -> None:
    """Raises NotAllowed unless the person is an admin or asked for the measurement."""
    if person is not None and not may_change(measurement, person):
        raise NotAllowed(
            gettext("Only an admin, or the person who enqueued it, can change this measurement.")
        )


def may_change(measurement: Measurement, person: User) -> bool:
    """Whether the person may cancel, retry, rename and delete the measurement."""
    return person.is_admin or (person.is_researcher and measurement.requested_by_id == person.pk)


@transaction.atomic
def measurement_retry(*, measurement: Measurement, by: User | None = None) -> None:
    """Enqueue a failed or cancelled measurement again; its finished batches are kept.

    Raises Invalid for any other and where the corpus is gone, NotAllowed for another's.
    """
    _require_mine(measurement, by)
    _require_turn(by)
    ended = Measurement.objects.filter(pk=measurement.pk, state__in=(State.FAILED, State.CANCELLED))
    corpus = None
    if ended.exists():
        corpus = _corpus_for(measurement.name, measurement.corpus_source, measurement.parameters)
    retried = ended.update(
        state=State.QUEUED, error="", attempts=0, step="", step_done=0, step_total=0, corpus=corpus
    )
    if not retried:
        raise Invalid(
            gettext("Only a measurement that failed or was cancelled can be tried again.")
        )
    _log(measurement, "Queued again.", person=by)
    audit.record("measurement_retried", target=measurement, actor=by)
    wake(EXTRACTION_QUEUE)


@transaction.atomic
def measurement_cancel(*, measurement: Measurement, by: User | None = None) -> None:
    """Cancel an unfinished measurement; its worker stops at its next report, within seconds.

    Finished batches stay for another try. Raises Invalid for one that has ended, NotAllowed for
    another's.
    """
    _require_mine(measurement, by)
    unfinished = Measurement.objects.filter(pk=measurement.pk, state__in=UNFINISHED)
    if not _end(unfinished, "Cancelled.", person=by, state=State.CANCELLED):
        raise Invalid(gettext("Only a measurement that is waiting or running can be cancelled."))
    audit.record("measurement_cancelled", target=measurement, actor=by)


@transaction.atomic
def measurement_rename(*, measurement: Measurement, title: str, by: User | None = None) -> None:
    """Give a measurement another title. Raises Invalid for an empty one, NotAllowed for another's.

    Titles need not differ: pages show the date beside them.
    """
    _require_mine(measurement, by)
    title = _title(title)
    if not title:
        raise Invalid(gettext("Give the measurement a name."))
    if title == measurement.title:
        return
    Measurement.objects.filter(pk=measurement.pk).update(title=title)
    _log(measurement, f"Renamed to “{title}”.", person=by)
    audit.record("measurement_renamed", target=measurement, actor=by, title=title)
    measurement.title = title


def measurement_delete(*, measurement: Measurement, by: User | None = None) -> None:
    """Delete a measurement with its files, and its model where nothing else is left of that.

    From the first step on it is out of use; what is cut short is taken up by another call. Raises
    Invalid while it is at work, NotAllowed for another's: then nothing has changed.
    """
    _require_mine(measurement, by)
    _delete_begin(measurement, by)
    work_remove(measurement)
    # Each content by itself, so that nobody waits for a hundred megabytes.
    for pk in measurement.files.values_list("pk", flat=True):
        MeasurementContent.objects.filter(pk=pk).delete()
    with transaction.atomic():
        Measurement.objects.filter(pk=measurement.pk).delete()
        notices_drop(path=_page(measurement))
        model_forget(measurement.model_id)


@transaction.atomic
def _delete_begin(measurement: Measurement, by: User | None) -> None:
    locked = Measurement.objects.select_for_update().filter(pk=measurement.pk).first()
    if locked is None:
        return  # somebody else has finished it
    if locked.is_unfinished:
        raise Invalid(gettext("This measurement is running. Cancel it first, then delete it."))
    if locked.state != State.DELETING:
        audit.record("measurement_deleted", target=measurement, actor=by, measurement=locked.name)
    locked.state = State.DELETING
    locked.heartbeat_at = timezone.now()
    locked.save(update_fields=["state", "heartbeat_at"])


def measurement_claim(*, measurement_id: int) -> Measurement | None:
    """Claim an enqueued measurement for this process; None if it is no longer waiting.

    None, too, while this worker extracts or measures something in another child.
    """
    if has_work(EXTRACTION_QUEUE):
        return None
    queued = Measurement.objects.filter(state=State.QUEUED)
    found = claim(queued, measurement_id, state=State.RUNNING, started_at=timezone.now(), error="")
    if found is not None:
        again = f", attempt {found.attempts}" if found.attempts > 1 else ""
        _log(found, f"Taken by worker {worker_label(found.worker)}{again}.")
    return found


def measurement_claim_next(*, after: Measurement) -> Measurement | None:
    """Claim a waiting measurement of the same model whose turn it is; None where there is none."""
    turns = next_of(Measurement)
    same = Measurement.objects.filter(
        pk__in=turns, model=after.model_id, model_source=after.model_source
    ).values_list("pk", flat=True)
    for pk in sorted(same, key=turns.index):
        found = measurement_claim(measurement_id=pk)
        if found is not None:
            return found
    return None


def measurement_report(*, measurement: Measurement, **changes: Any) -> None:
    """Write progress and a heartbeat. Raises ClaimLost if the claim is lost."""
    report(measurement, **changes)
    step = changes.get("step", measurement.step)
    if step != measurement.step:
        measurement.step = step
        _log(measurement, f"Step: {STEP_TITLES.get(step, step)}.")


def measurement_keep(*, measurement: Measurement, folder: Path, about: Mapping[str, Any]) -> None:
    """Keep the folder that a run wrote, and mark the measurement as ready, in one step.

    `about` is what the run said of itself. Raises SiteError for files that cannot be kept and for
    other weights than the model's, ClaimLost if the claim is lost.
    """
    files = folder_read(folder)
    manifest, about = _storable(_manifest_of(files)), _storable(dict(about))
    if manifest["model"].get("fingerprint") != measurement.model.weights_digest:
        raise SiteError(Sentence(OTHER_WEIGHTS))
    with transaction.atomic():
        measurement_report(
            measurement=measurement,
            state=State.READY,
            corpus=None,
            about={name: about[name] for name in about if name != "words"},
            words="\n".join(map(str, about.get("words", []))),
            counts=manifest["counts"],
            environment=manifest["environment"],
            manifest=json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True),
            digest=manifest["digest"],
            finished_at=timezone.now(),
            claim=None,
        )
        measurement.files.all().delete()
        files_store(measurement, files)
        _log(measurement, "Ready.")
        _tell(measurement, "measurement_ready", READY)


def _manifest_of(files: list[ReadFile]) -> dict[str, Any]:
    content = next((one.content for one in files if one.name == MANIFEST_FILE), b"")
    try:
        found = json.loads(content)
        wanted = {"model": dict, "counts": dict, "environment": dict, "digest": str}
        if not all(isinstance(found[name], kind) for name, kind in wanted.items()):
            raise ValueError(MANIFEST_FILE)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SiteError(Sentence(DAMAGED, reason=MANIFEST_FILE)) from error
    return dict(found)


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    """The value without NUL, which is a token of some models and which PostgreSQL does not store.

    The measurement's own files have it.
    """
    stored: dict[str, Any] = json.loads(json.dumps(value).replace("\\u0000", "\\ufffd"))
    return stored


def measurement_fail(measurement: Measurement, reason: Failure) -> None:
    """End a measurement with a sentence; finished batches stay for another try.

    A run that lost its claim ends nothing.
    """
    _end(
        measurement.held().filter(state__in=UNFINISHED),
        f"Failed: {english(reason)}",
        state=State.FAILED,
        error=reason,
    )


@transaction.atomic
def _end(
    which: QuerySet[Measurement], line: str, *, person: User | None = None, **changes: Any
) -> bool:
    """End the measurement in `which`, if it is still one: its claim is lost from then on."""
    found = which.select_for_update().first()
    if found is None:
        return False
    Measurement.objects.filter(pk=found.pk).update(
        claim=None, corpus=None, finished_at=timezone.now(), **changes
    )
    _log(found, line, person=person)
    if changes["state"] == State.FAILED:
        _tell(found, "measurement_failed", FAILED, reason=changes["error"])
    return True


def log_line(measurement: Measurement, line: str) -> None:
    """Add a line to a measurement's log."""
    _log(measurement, line)


def _log(measurement: Measurement, text: str, *, person: User | None = None) -> None:
    line_add(
        MeasurementLine.objects.filter(measurement=measurement.pk),
        MeasurementLine(measurement_id=measurement.pk, text=text, person=person),
    )


def _tell(measurement: Measurement, kind: str, message: str, **values: Any) -> None:
    """Tell its requester of the end of a measurement, and every admin of a failure."""
    begun = measurement.started_at or measurement.created_at
    people = [measurement.requested_by_id or 0]
    if kind == "measurement_failed":
        people += circle(kind).filter(role="admin").values_list("pk", flat=True)
    notice_send(
        kind=kind,
        event=f"{kind} {measurement.pk} {begun:%Y%m%d%H%M%S%f}",
        people=people,
        text=Sentence(message, title=measurement.title, **values),
        path=_page(measurement),
    )


def _page(measurement: Measurement) -> str:
    return reverse("measurements:measurement", args=[measurement.public_id])
