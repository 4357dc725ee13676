"""Services of traces: request, claim, report, keep, share, delete."""

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from annotation_site import bounds
from annotation_site.accounts import audit
from annotation_site.accounts.bounds import require_room
from annotation_site.accounts.models import AuditEntry, User
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.corpus.locations import local_folder, says_its_sizes
from annotation_site.corpus.models import Kind, LanguageModel
from annotation_site.corpus.services import model_forget
from annotation_site.errors import Invalid, NotAllowed, SiteError
from annotation_site.measurements.services import files_of
from annotation_site.sentences import Sentence
from annotation_site.traces.answers import require_answer
from annotation_site.traces.models import UNFINISHED, Trace, TraceContent
from annotation_site.workers import claims
from annotation_site.workers.claims import Failure, has_work, next_of, report, wake
from annotation_site.workers.queues import EXTRACTION_QUEUE
from ffn_extract.checkpoints.outline import outline_of_folder
from ffn_extract.errors import FFNExtractError
from ffn_extract.options import ExtractOptions
from ffn_extract.traceable import require_outline_traceable

State = Trace.State
MOST_WAITING = 10  # of one person
MOST_A_DAY = 100  # of one person
MOST_INTERVENTIONS = bounds.TRACE_CHANGES
MOST_NEW_TOKENS = 50
MOST_TOKENS = 256  # of a prompt
NEW_TOKENS = 14
MOST_VALUE = 1e6
IN_A_ROW = 8  # traces of one model that a worker takes before the turn decides again
ACTIONS = ("set", "scale", "zero")
MOST_BYTES = 16_000_000
TOO_LARGE = gettext_noop(
    "The trace has more than %(most)s MB, which the site keeps of one. Trace a shorter prompt."
)
OTHER_WEIGHTS = gettext_noop(
    "The model's files are not those of the extraction: their weights differ. Put the files back, "
    "or enqueue the model again, and then trace that."
)


@transaction.atomic
def trace_request(
    *,
    model: LanguageModel,
    prompt: str,
    position: int | None = None,
    token_id: int | None = None,
    new_tokens: int = NEW_TOKENS,
    interventions: Sequence[Mapping[str, Any]] = (),
    is_shared: bool = False,
    requested_by: User,
) -> Trace:
    """Enqueue a trace of a prompt through a model that was extracted here.

    `position` None means the last token, `token_id` None the model's own next token. Raises Invalid
    for an empty or too long prompt, numbers out of range, a model that clearly cannot be traced,
    and beyond MOST_WAITING and MOST_A_DAY of one person; NotAllowed for a person who is no
    researcher, and for vectors of an unfinished study in which the person annotates.
    """
    _require_turn(requested_by)
    _require_prompt(prompt)
    _require_within(new_tokens, MOST_NEW_TOKENS, gettext("the number of tokens to continue with"))
    if position is not None:
        _require_within(position, MOST_TOKENS - 1, gettext("the position"))
    if token_id is not None:
        _require_within(token_id, model.vocab_size - 1, gettext("the token"))
    changes = interventions_checked(interventions, model)
    _require_seen(changes, model, requested_by)
    if reason := trace_refusal(model):
        raise Invalid(reason)
    source, reading = files_of(model)
    trace = Trace.objects.create(
        model=model,
        model_source=source,
        reading=reading,
        prompt=prompt,
        request={
            "position": position,
            "token_id": token_id,
            "new_tokens": new_tokens,
            "interventions": changes,
        },
        is_shared=is_shared,
        requested_by=requested_by,
        expires_at=timezone.now() + timedelta(days=settings.TRACE_DAYS),
    )
    # Without the prompt: the log is kept longer.
    audit.record("trace_requested", target=trace, actor=requested_by, model=model.name)
    wake(EXTRACTION_QUEUE)
    return trace


def trace_refusal(model: LanguageModel) -> str:
    """Why a model clearly cannot be traced, in a sentence; empty if nothing here says so.

    What the hub has is known only when a worker asks it.
    """
    try:
        source, reading = files_of(model)
    except Invalid as error:
        return error.message
    folder = local_folder(source)
    if folder is None:
        if reading.get("revision"):  # of the hub
            return ""
        return gettext(
            "The files of %(model)s are not on this site anymore. Put “%(source)s” back into "
            "MODELS_DIR, or enqueue the model again."
        ) % {"model": model.name, "source": source}
    if not says_its_sizes(folder):
        return ""
    return _outline_refusal(folder, _stamp(folder), json.dumps(reading, sort_keys=True))


@lru_cache(maxsize=1_000)  # reading the header of a GGUF file takes 50 ms
def _outline_refusal(folder: Path, stamp: tuple[Any, ...], reading: str) -> str:
    try:
        options = ExtractOptions.from_json(json.loads(reading))
        require_outline_traceable(outline_of_folder(folder, options.gguf_file), options)
    except FFNExtractError as error:
        return str(error)
    return ""


def _stamp(folder: Path) -> tuple[Any, ...]:
    """Names, sizes and times of a model's files."""
    files = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    found = [(path.name, path.stat()) for path in files if path.exists()]
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in found)


def interventions_checked(
    interventions: Sequence[Mapping[str, Any]], model: LanguageModel
) -> list[dict[str, Any]]:
    """The interventions as the request has them. Raises Invalid, which names the vector."""
    if len(interventions) > MOST_INTERVENTIONS:
        raise Invalid(
            gettext("%(given)s vectors are chosen, and at most %(most)s can be changed in a trace.")
            % {"given": len(interventions), "most": MOST_INTERVENTIONS}
        )
    found = {}
    for one in interventions:
        layer, index = int(one["layer"]), int(one["index"])
        name = f"{layer}.{index}"
        if not (0 <= layer < model.n_layers and 0 <= index < model.d_ff):
            raise Invalid(
                gettext(
                    "The model has no vector %(vector)s. Choose a layer of 0 to %(layer)s and an "
                    "index of 0 to %(index)s."
                )
                % {"vector": name, "layer": model.n_layers - 1, "index": f"{model.d_ff - 1:,}"}
            )
        if (layer, index) in found:
            raise Invalid(
                gettext("The vector %(vector)s is chosen twice. Change it once.") % {"vector": name}
            )
        action, value = str(one["action"]), float(one.get("value") or 0)
        if action not in ACTIONS:
            raise Invalid(
                gettext("A vector can be set, scaled or zeroed; “%(action)s” is none of these.")
                % {"action": action[:40]}
            )
        if not math.isfinite(value) or abs(value) > MOST_VALUE:
            raise Invalid(
                gettext("Give a number between −1,000,000 and 1,000,000 for the vector %(vector)s.")
                % {"vector": name}
            )
        start = int(one.get("from_position") or 0)
        _require_within(start, MOST_TOKENS - 1, gettext("the position"))
        found[layer, index] = {
            "layer": layer,
            "index": index,
            "action": action,
            "value": 0.0 if action == "zero" else value,
            "from_position": start,
        }
    return list(found.values())


def _require_turn(person: User) -> None:
    if not person.is_researcher:
        raise NotAllowed(gettext("Only researchers and admins trace prompts."))
    User.objects.select_for_update().get(pk=person.pk)  # two at once wait for each other
    mine = Trace.objects.filter(requested_by=person)
    if mine.filter(state__in=UNFINISHED).count() >= MOST_WAITING:
        raise Invalid(
            gettext(
                "%(most)s of your traces are waiting, which is the limit for one person. Continue "
                "when some are ready, or delete some."
            )
            % {"most": MOST_WAITING}
        )
    # The log counts those that are deleted by now.
    require_room(
        AuditEntry.objects.filter(action="trace_requested", actor=person.public_id),
        most=MOST_A_DAY,
        sentence=gettext(
            "You requested %(most)s traces today, which is the limit for one person. Continue "
            "tomorrow."
        )
        % {"most": MOST_A_DAY},
        at="at",
    )


def _require_prompt(prompt: str) -> None:
    if not prompt.strip():
        raise Invalid(gettext("Type a prompt first, such as “The capital of France is”."))
    if len(prompt) > bounds.PROMPT:
        raise Invalid(
            gettext("The prompt has %(given)s letters, and at most %(most)s can be traced.")
            % {"given": f"{len(prompt):,}", "most": f"{bounds.PROMPT:,}"}
        )
    if "\0" in prompt:
        raise Invalid(gettext("The prompt has a character NUL, which cannot be stored."))


def _require_within(number: int, most: int, what: str) -> None:
    if not 0 <= number <= most:
        raise Invalid(
            gettext("Give a number of 0 to %(most)s for %(what)s; %(number)s is not one.")
            % {"most": f"{most:,}", "what": what, "number": number}
        )


def _require_seen(
    interventions: Iterable[Mapping[str, Any]], model: LanguageModel, person: User
) -> None:
    """Refuse to change hidden vectors: the change shows what they promote. One sentence for all."""
    hidden = hidden_from(person)
    if any(
        hidden.holds(
            weights=model.weights_digest,
            kind=Kind.VALUE,
            layer=one["layer"],
            index=one["index"],
        )
        for one in interventions
    ):
        raise NotAllowed(
            gettext(
                "A chosen vector belongs to an unfinished study in which you annotate. You can "
                "change it when the study is closed."
            )
        )


def may_change(trace: Trace, person: User) -> bool:
    """Whether the person may share and delete the trace."""
    return person.is_admin or (person.is_researcher and trace.requested_by_id == person.pk)


def _require_mine(trace: Trace, person: User) -> None:
    if not may_change(trace, person):
        raise NotAllowed(
            gettext("Only an admin, or the person who requested it, can change this trace.")
        )


@transaction.atomic
def trace_share(*, trace: Trace, is_shared: bool, by: User) -> None:
    """Show a trace to the team, or to its person and admins alone. Raises NotAllowed."""
    _require_mine(trace, by)
    if Trace.objects.filter(pk=trace.pk).exclude(is_shared=is_shared).update(is_shared=is_shared):
        audit.record("trace_shared", target=trace, actor=by, shared=is_shared)
    trace.is_shared = is_shared


@transaction.atomic
def trace_delete(*, trace: Trace, by: User) -> None:
    """Delete a trace with its prompt, also one that waits or runs. Raises NotAllowed."""
    _require_mine(trace, by)
    if traces_remove(Trace.objects.filter(pk=trace.pk)):
        audit.record("trace_deleted", target=trace, actor=by)


def traces_forget(*, person: User) -> None:
    """Delete all traces of a person, in the caller's transaction."""
    traces_remove(Trace.objects.filter(requested_by=person))


@transaction.atomic
def traces_remove(traces: QuerySet[Trace]) -> int:
    """Delete traces, and models of which nothing else is left. A worker at one of them stops."""
    models = set(traces.values_list("model", flat=True))
    if not models:
        return 0
    count = traces.count()
    traces.delete()
    for pk in models:
        model_forget(pk)
    return count


def trace_claim(*, trace_id: int) -> Trace | None:
    """Claim a waiting trace for this process; None if it is no longer waiting.

    None, too, while this worker extracts, measures or traces something in another child.
    """
    if has_work(EXTRACTION_QUEUE):
        return None
    return claims.claim(
        Trace.waiting(), trace_id, state=State.RUNNING, started_at=timezone.now(), error="", step=""
    )


def trace_claim_next(*, after: Trace, done: int) -> Trace | None:
    """Claim the next trace, where the turn is a trace's: one of the same model if there is one.

    After IN_A_ROW of a model the turn alone decides, so that no other model's waits for ever.
    """
    turns = next_of(Trace)
    if turns and done % IN_A_ROW:
        same = Trace.waiting().filter(model=after.model_id, model_source=after.model_source)
        if not same.filter(pk=turns[0]).exists():
            first = same.order_by("created_at", "pk").values_list("pk", flat=True).first()
            turns = [first, *turns] if first is not None else turns
    for pk in turns:
        found = trace_claim(trace_id=pk)
        if found is not None:
            return found
    return None


def trace_report(*, trace: Trace, step: str) -> None:
    """Write the step and a heartbeat. Raises ClaimLost if the claim is lost."""
    report(trace, step=step[:40])


def trace_keep(*, trace: Trace, answer: Mapping[str, Any]) -> None:
    """Keep the answer of a run, and mark the trace as ready, in one step.

    Raises SiteError for what is no trace, or too large; ClaimLost if the claim is lost.
    """
    answer = require_answer(answer, trace.model)
    given = answer.pop("fingerprint", "")
    if given and given != trace.model.weights_digest:
        raise SiteError(Sentence(OTHER_WEIGHTS))
    content = json.dumps(answer, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if len(content) > MOST_BYTES:
        raise SiteError(Sentence(TOO_LARGE, most=MOST_BYTES // 1_000_000))
    with transaction.atomic():
        report(trace, state=State.READY, step="", finished_at=timezone.now(), claim=None)
        TraceContent.objects.update_or_create(
            trace_id=trace.pk, defaults={"compressed": zlib.compress(content.encode())}
        )


def trace_content(trace: Trace) -> dict[str, Any]:
    """The answer of a ready trace, with what its reader may not see: see `page.trace_seen_by`."""
    return dict(json.loads(zlib.decompress(trace.content.compressed)))


def trace_fail(trace: Trace, reason: Failure) -> None:
    """End a trace with a sentence, unless the claim is lost."""
    claims.fail(trace, reason)
