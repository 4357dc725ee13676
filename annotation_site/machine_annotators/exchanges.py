"""Services of a claimed run: what is counted before a request is sent, and what a reply changes.

Each is one transaction under the run's claim, so a worker that lost it writes nothing. A request is
counted with its upper bound before it is sent: a killed worker leaves it counted, and the list,
which has no annotation, is asked about again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from annotation_site.annotation.allocation.slots import study_locked, tables_touch
from annotation_site.annotation.lists.annotation_format import Annotation
from annotation_site.corpus.models import Vector
from annotation_site.machine_annotators.answerers import Reply
from annotation_site.machine_annotators.limits import cost_of, limit_reached
from annotation_site.machine_annotators.messages import storable
from annotation_site.machine_annotators.models import (
    MachineAnnotation,
    MachineExchange,
    MachineRun,
    MachineSpending,
)
from annotation_site.machine_annotators.replies import REPLY_MOST
from annotation_site.machine_annotators.selectors import vectors_left
from annotation_site.sentences import Sentence
from annotation_site.workers.claims import ClaimLost, report, wake
from annotation_site.workers.queues import EXTRACTION_QUEUE

State = MachineRun.State
Exchange = MachineExchange.State
MOST_COUNTED = 2**31 - 1  # tokens of one request that the database holds
FAILURE_LENGTH = 300


@dataclass(frozen=True)
class Planned:
    """A request about one list that is to be sent. `again` follows a malformed reply."""

    vector: int
    messages: list[dict[str, str]]
    input_tokens: int  # at most
    again: bool


@dataclass(frozen=True)
class Sent:
    """A request that is counted, and may be sent. Tokens and cost are upper bounds."""

    planned: Planned
    exchange: int
    input_tokens: int
    output_tokens: int
    cost: Decimal

    @property
    def vector(self) -> int:
        return self.planned.vector


@transaction.atomic
def requests_count(
    *, run: MachineRun, planned: Sequence[Planned]
) -> tuple[list[Sent], Sentence | None]:
    """Count requests with their upper bounds, as far as the run's limits allow.

    Returns those that may be sent now, the first ones, and the limit that the next could exceed.
    Raises ClaimLost if the claim is lost: then none is counted.
    """
    locked = _locked(run)
    numbers = dict(
        MachineExchange.objects.filter(run=run, vector__in=[one.vector for one in planned])
        .order_by()
        .values_list("vector")
        .annotate(last=Max("number"))
    )
    sent: list[Sent] = []
    limit, before = None, locked.cost
    most_reply = locked.most_reply_tokens
    for one in planned:
        limit = limit_reached(locked, one.input_tokens, most_reply)
        if limit is not None:
            break
        cost = cost_of(locked, one.input_tokens, most_reply)
        row = MachineExchange.objects.create(
            run=run,
            vector_id=one.vector,
            number=numbers.get(one.vector, 0) + 1,
            messages=one.messages,
            input_tokens=one.input_tokens,
            output_tokens=most_reply,
            cost=cost,
        )
        sent.append(Sent(one, row.pk, one.input_tokens, most_reply, cost))
        locked.requests += 1
        locked.input_tokens += one.input_tokens
        locked.output_tokens += most_reply
        locked.cost += cost
    if sent:
        names = ("requests", "input_tokens", "output_tokens", "cost")
        report(run, **{name: getattr(locked, name) for name in names})
        _spend(locked.currency, locked.cost - before)
    return sent, limit


@transaction.atomic
def reply_keep(
    *,
    run: MachineRun,
    sent: Sent,
    reply: Reply,
    annotation: Annotation | None,
    reason: str,
    is_last: bool,
) -> None:
    """Keep a reply, with what it used in place of its upper bound, and an annotation read from it.

    Without an annotation `reason` says why; where the request `is_last`, the list has failed then.
    What an endpoint does not say stays at its bound; more than the bound is counted as said. Raises
    ClaimLost if the claim is lost: then nothing is kept.
    """
    locked = _locked(run)
    used_input = _used(reply.input_tokens, sent.input_tokens)
    used_output = _used(reply.output_tokens, sent.output_tokens)
    cost = cost_of(locked, used_input, used_output)
    version = storable(reply.model_version)[:200]
    changes: dict[str, Any] = {
        "attempts": 0,  # a worker that gets replies is not one that dies of its work
        "input_tokens": locked.input_tokens + used_input - sent.input_tokens,
        "output_tokens": locked.output_tokens + used_output - sent.output_tokens,
        "cost": locked.cost + cost - sent.cost,
    }
    if not locked.model_version:
        changes["model_version"] = version
    elif version and version != locked.model_version:
        changes["versions_differ"] = True
    MachineExchange.objects.filter(pk=sent.exchange).update(  # it may have been deleted by its age
        state=Exchange.MALFORMED if annotation is None else Exchange.REPLIED,
        reply=storable(reply.text)[:REPLY_MOST],
        failure=storable(reason)[:FAILURE_LENGTH],
        model_version=version,
        input_tokens=used_input,
        output_tokens=used_output,
        cost=cost,
        seconds=reply.seconds,
    )
    report(run, **changes)
    if annotation is not None or is_last:
        _list_end(run, sent.vector, annotation, reason)
    _spend(locked.currency, cost - sent.cost)


@transaction.atomic
def no_reply_keep(*, run: MachineRun, sent: Sent, reason: str, is_last: bool) -> None:
    """Keep that a request got no reply; it stays counted.

    Where it `is_last`, as none would ever get one, the list has failed. Raises ClaimLost if the
    claim is lost.
    """
    report(run)
    MachineExchange.objects.filter(pk=sent.exchange).update(
        state=Exchange.NO_REPLY, failure=storable(reason)[:FAILURE_LENGTH]
    )
    if is_last:
        _list_end(run, sent.vector, None, reason)


@transaction.atomic
def list_fail(*, run: MachineRun, vector: int, reason: str) -> None:
    """Give up a list that gets no reply while others do. Raises ClaimLost if the claim is lost."""
    report(run)
    _list_end(run, vector, None, reason)


@transaction.atomic
def run_finish(*, run: MachineRun) -> bool:
    """Mark a run as ready, and have its study's tables computed again.

    Returns False, and changes nothing, where lists are left, as those that the study drew
    meanwhile. Raises ClaimLost if the claim is lost, and NotFound where the study is being deleted.
    """
    study_locked(run.study_id)  # before the run, as everywhere
    if vectors_left(run).exists():
        return False
    total = run.annotations.count()
    report(run, state=State.READY, claim=None, done=total, total=total, finished_at=timezone.now())
    tables_touch(run.study)
    return True


def run_stop(*, run: MachineRun, limit: Sentence) -> None:
    """End a run at a limit; it can be continued. Raises ClaimLost if the claim is lost."""
    report(run, state=State.STOPPED, claim=None, error=limit, finished_at=timezone.now())


def run_give_place(*, run: MachineRun) -> None:
    """Let a run wait again, behind other work. Raises ClaimLost if the claim is lost."""
    report(run, state=State.QUEUED, claim=None, attempts=0, queued_at=timezone.now())
    wake(EXTRACTION_QUEUE)


def _locked(run: MachineRun) -> MachineRun:
    """The row as it is now, locked until the transaction ends."""
    found = run.held().select_for_update().first()
    if found is None:
        raise ClaimLost
    return found


def _used(said: int | None, bound: int) -> int:
    return bound if said is None else min(max(said, 0), MOST_COUNTED)


def _list_end(run: MachineRun, vector: int, annotation: Annotation | None, reason: str) -> None:
    """Write a list's one row: its annotation, or that it failed, which every table's n counts."""
    # An extraction can be deleted of which a run alone covers lists.
    if not Vector.objects.filter(pk=vector).exists():
        return
    MachineAnnotation.objects.create(
        run=run,
        vector_id=vector,
        annotation=None if annotation is None else annotation.to_json(),
        failure="" if annotation is not None else storable(reason)[:FAILURE_LENGTH],
    )
    report(run, done=F("done") + 1, failed=F("failed") + int(annotation is None))


def _spend(currency: str, more: Decimal) -> None:
    """Add to the site's spending of today; negative where a bound was more than was used."""
    if not currency or not more:
        return
    today, _ = MachineSpending.objects.get_or_create(day=timezone.now().date(), currency=currency)
    MachineSpending.objects.filter(pk=today.pk).update(cost=F("cost") + more)
