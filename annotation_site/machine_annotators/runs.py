"""A run in a worker: a language model annotates lists, some at once, until none is left.

Before a request is sent it is counted, and when a reply comes it is kept: see `exchanges`. A worker
that takes over continues with the lists that have no annotation.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_noop

from annotation_site.annotation.lists.annotation_format import Annotation, Rules
from annotation_site.annotation.lists.entries import entries_of_lists
from annotation_site.corpus.models import Vector
from annotation_site.errors import SiteError
from annotation_site.machine_annotators import exchanges
from annotation_site.machine_annotators.answerers import (
    Answerer,
    NoReply,
    Reply,
    Request,
    answerer_open,
    configured,
)
from annotation_site.machine_annotators.exchanges import Planned, Sent
from annotation_site.machine_annotators.messages import Task, asked_again, list_messages
from annotation_site.machine_annotators.models import MachineExchange, MachineRun
from annotation_site.machine_annotators.prompts import guidelines_text, prompt_text
from annotation_site.machine_annotators.replies import ReplyMalformed, reply_read
from annotation_site.machine_annotators.selectors import in_order, task_of, vectors_left
from annotation_site.sentences import Sentence
from annotation_site.workers import claims
from annotation_site.workers.claims import has_work, is_waited_for, report, working
from annotation_site.workers.queues import EXTRACTION_QUEUE

MOST_UNANSWERED = 4  # requests about one list, each in a round in which another list got a reply
MOST_SILENT_ROUNDS = 6  # in a row, with longer and longer pauses: a short outage ends no run
PAUSE, LONGEST_PAUSE, STEP = 1.0, 60.0, 0.5  # seconds
PLACE_SECONDS = 600  # of a worker's place, if other work waits
State = MachineRun.State
NO_REPLIES = gettext_noop(
    "%(n)s requests in a row got no reply. The last reason: %(reason)s Continue the run when the "
    "model can be reached again."
)
OTHER_MODEL = gettext_noop(
    "The worker’s settings name another language model than the run asks, “%(model)s”. Request a "
    "new run, or set LLM_MODEL and LLM_ENDPOINT back and continue the run."
)

OTHER_PRICES = gettext_noop(
    "The prices changed since the run was requested. Continue the run, which takes the new prices."
)


def machine_run_work(
    *, run_id: int, in_worker: bool = True, tell: Callable[[MachineRun], None] = lambda run: None
) -> None:
    """Do a waiting run; does nothing if it is no longer waiting.

    Nor while this worker does other work of the queue in another child. A command is no worker.
    `tell` is called after each round of requests.
    """
    if in_worker and has_work(EXTRACTION_QUEUE):
        return
    run = claims.claim(
        MachineRun.waiting(), run_id, state=State.RUNNING, started_at=timezone.now(), error=""
    )
    if run is not None:
        with working(run):
            annotate(run, in_worker=in_worker, tell=tell)


def annotate(run: MachineRun, *, in_worker: bool, tell: Callable[[MachineRun], None]) -> None:
    """Annotate what a claimed run lacks; it is ready, stopped at a limit or waits again then.

    Raises SiteError where the model cannot be asked, and ClaimLost if the claim is lost.
    """
    found = configured()
    if found is None or (found.model, found.endpoint_host) != (run.model, run.endpoint):
        raise SiteError(Sentence(OTHER_MODEL, model=run.model))
    priced = found.currency if found.price_input is not None else ""
    if (found.price_input, found.price_output, priced) != (
        run.price_input, run.price_output, run.currency,
    ):  # fmt: skip
        raise SiteError(Sentence(OTHER_PRICES))
    try:
        # A cancelled run ends in the middle of a local model's replies.
        answerer = answerer_open(lambda: report(run))
    except NoReply as error:
        raise SiteError(error.sentence) from error
    try:
        _Loop.of(run, answerer).go(in_worker=in_worker, tell=tell)
    finally:
        answerer.close()


@dataclass
class _Loop:
    """The lists that are left, in the order of asking, and what is known of each."""

    run: MachineRun
    answerer: Answerer
    task: Task
    order: deque[int]
    # Of lists: how often one got no reply while others did, and the malformed reply that comes back
    # with its reason. Each worker counts from zero.
    unanswered: Counter[int] = field(default_factory=Counter)
    malformed: dict[int, tuple[str, str]] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)  # entries of the lists of this round
    # The last rounds in which nothing replied, their requests, and whether one was busy.
    silent_rounds: int = 0
    silent_requests: int = 0
    was_busy: bool = False

    @classmethod
    def of(cls, run: MachineRun, answerer: Answerer) -> "_Loop":
        task = task_of(
            run.rules,
            prompt=prompt_text(run.study, run.prompt_version),
            guidelines=guidelines_text(run.study, run.guidelines_version),
        )
        loop = cls(run, answerer, task, deque())
        loop.look()
        return loop

    def look(self) -> None:
        """Find the lists that are left. A request that a killed worker left is none about them."""
        left = vectors_left(self.run).values_list("pk", flat=True)
        self.order = deque(in_order(self.run.study, str(self.run.public_id), left))
        self.malformed.clear()
        tried = MachineExchange.objects.filter(
            run=self.run, state=exchanges.Exchange.MALFORMED
        ).exclude(vector__in=self.run.annotations.values("vector"))
        for vector, reply, failure in tried.values_list("vector", "reply", "failure"):
            self.malformed[vector] = (reply, failure)

    def go(self, *, in_worker: bool, tell: Callable[[MachineRun], None]) -> None:
        began = time.monotonic()
        tell(self.run)
        report(self.run, total=self.run.annotations.count() + len(self.order))
        while True:
            while self.order:
                limit = self.round()
                tell(self.run)
                if limit is not None:
                    exchanges.run_stop(run=self.run, limit=limit)
                    return
                # In silence it stays: another worker would count the rounds from zero.
                over = time.monotonic() - began > PLACE_SECONDS and not self.silent_rounds
                if in_worker and over and is_waited_for(EXTRACTION_QUEUE):
                    exchanges.run_give_place(run=self.run)
                    return
            if exchanges.run_finish(run=self.run):
                return
            self.look()

    def round(self) -> Sentence | None:
        """Ask about some lists at once; returns the limit that allows not one request more.

        Raises SiteError where nothing could ask: a refusal for good, or too many rounds in a row
        without a reply.
        """
        taken = [self.order.popleft() for _ in range(min(len(self.order), self._at_once))]
        planned = self._planned(taken)
        sent, limit = exchanges.requests_count(run=self.run, planned=planned)
        self.order.extendleft(one.vector for one in reversed(planned[len(sent) :]))
        if not sent:
            return limit
        replies = self._replies(sent)
        refused = [one for one in replies.values() if one.is_final]
        if refused:
            raise SiteError(refused[0].sentence)
        hopeless = any(one.is_hopeless for one in replies.values())
        if hopeless or len(replies) < len(sent):  # it is there
            self.silent_rounds, self.silent_requests, self.was_busy = 0, 0, False
            self._count_against(replies)
        else:
            self._silence(replies)
        self._pause(list(replies.values()))
        return None

    def _count_against(self, replies: Mapping[int, NoReply]) -> None:
        """Count that lists got no reply in a round in which others did; too many fail a list.

        They go to the middle of what is left, so that there are others when they are asked again.
        """
        for vector, reply in replies.items():
            if reply.is_busy or reply.is_hopeless:
                continue
            self.unanswered[vector] += 1
            if self.unanswered[vector] >= MOST_UNANSWERED:
                self._give_up(vector, reply)
            else:
                self.order.remove(vector)
                self.order.insert(len(self.order) // 2, vector)

    def _silence(self, replies: Mapping[int, NoReply]) -> None:
        """Count a round in which nothing replied. Raises SiteError where it is one too many.

        That is no list's fault, unless it alone is left, and got none when others did, twice: once
        it may have been the moment in which the endpoint went away.
        """
        self.silent_rounds += 1
        self.silent_requests += len(replies)
        self.was_busy |= any(one.is_busy for one in replies.values())
        if self.silent_rounds < MOST_SILENT_ROUNDS:
            return
        vector, reply = list(replies.items())[-1]
        if self.was_busy or list(self.order) != [vector] or self.unanswered[vector] < 2:
            n = self.silent_requests
            raise SiteError(Sentence(NO_REPLIES, n=n, reason=reply.sentence))
        self._give_up(vector, reply)

    def _give_up(self, vector: int, reply: NoReply) -> None:
        exchanges.list_fail(run=self.run, vector=vector, reason=reply.sentence)
        self.order.remove(vector)

    @property
    def _at_once(self) -> int:
        """Lists of the next round: fewer in silence, to find one that ends a process."""
        return max(1, self.answerer.at_once >> self.silent_rounds)

    def _planned(self, vectors: Sequence[int]) -> list[Planned]:
        """Requests about lists; one that is gone is left out."""
        found = Vector.objects.in_bulk(list(vectors))
        self.lengths.clear()
        rules = self.run.rules
        entries = entries_of_lists(found.values(), rules["list_source"], rules["gloss_rule"])
        planned = []
        for pk in vectors:
            if pk not in found:
                continue
            self.lengths[pk] = len(entries[pk])
            messages = list_messages(self.task, entries[pk])
            again = self.malformed.get(pk)
            if again is not None:
                messages = asked_again(messages, *again)
            most = self.answerer.most_input_tokens(messages)
            planned.append(Planned(pk, messages, most, again is not None))
        return planned

    def _replies(self, sent: Sequence[Sent]) -> dict[int, NoReply]:
        """Send requests and keep each reply as it comes; returns why some lists got none."""
        run = self.run
        waiting = dict(enumerate(sent))
        none: dict[int, NoReply] = {}
        requests = [
            Request(one.planned.messages, run.temperature, run.seed, run.most_reply_tokens)
            for one in sent
        ]
        found = self.answerer.ask(requests)
        try:
            for number, reply in found:
                one = waiting.pop(number)
                if isinstance(reply, NoReply):
                    none[one.vector] = reply
                    self._none(one, reply)
                else:
                    self._reply(one, reply)
        finally:
            if isinstance(found, Generator):  # ends requests under way, as after a lost claim
                found.close()
        for one in waiting.values():
            none[one.vector] = NoReply("The request got no reply.")
            self._none(one, none[one.vector])
        return none

    def _reply(self, sent: Sent, reply: Reply) -> None:
        vector = sent.vector
        annotation: Annotation | None = None
        reason = ""
        try:
            annotation = reply_read(reply.text, self._rules(vector))
        except ReplyMalformed as error:
            reason = error.reason
        over = sent.planned.again
        exchanges.reply_keep(
            run=self.run,
            sent=sent,
            reply=reply,
            annotation=annotation,
            reason=reason,
            is_last=over,
        )
        if annotation is None and not over:
            self.malformed[vector] = (reply.text, reason)
            self.order.appendleft(vector)

    def _none(self, sent: Sent, reply: NoReply) -> None:
        vector = sent.vector
        over = reply.is_hopeless
        exchanges.no_reply_keep(run=self.run, sent=sent, reason=reply.sentence, is_last=over)
        if not over:
            self.order.append(vector)

    def _rules(self, vector: int) -> Rules:
        rules: dict[str, Any] = self.run.rules
        return Rules(
            list_length=self.lengths[vector],
            categories=rules["categories"],
            several_patterns_per_token=rules["several_patterns_per_token"],
            list_source=rules["list_source"],
        )

    def _pause(self, replies: Sequence[NoReply]) -> None:
        """Wait as long as the endpoint asks, and longer each round in which nothing replies.

        LONGEST_PAUSE is of the second; what an endpoint can ask for is bounded where it is read.
        """
        asked = max((one.retry_after or 0.0 for one in replies), default=0.0)
        backoff = 0.0
        if self.silent_rounds:
            backoff = PAUSE * 2 ** min(self.silent_rounds - 1, 10)
            backoff *= 0.5 + random.random()  # noqa: S311  # nosec B311  # so that workers do not ask in step
        end = time.monotonic() + max(asked, min(backoff, LONGEST_PAUSE))
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(STEP, left))
            report(self.run)
