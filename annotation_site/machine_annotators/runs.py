"""A run in a worker: a language model annotates lists, some at once, until none is left.

Before a request is sent it is counted, and when a reply comes it is kept: see `exchanges`. A worker
that takes over continues with the lists that have no annotation.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
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

MOST_ASKED = 4  # requests about one list
# Requests in a row without a reply, and rounds of them: a short outage ends no run, however many
# requests are under way at once.
MOST_SILENT, MOST_SILENT_ROUNDS = 20, 6
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
    try:
        answerer = answerer_open()
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
    # Of lists that were asked about: how often without an annotation, and the malformed reply that
    # comes back with its reason.
    asked: Counter[int] = field(default_factory=Counter)
    malformed: dict[int, tuple[str, str]] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)  # entries of the lists of this round
    silent: list[int] = field(default_factory=list)  # lists of the last requests without a reply
    silent_rounds: int = 0

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
        self.asked.clear()
        self.malformed.clear()
        tried = MachineExchange.objects.filter(
            run=self.run, state__in=(exchanges.Exchange.MALFORMED, exchanges.Exchange.NO_REPLY)
        ).exclude(vector__in=self.run.annotations.values("vector"))
        for vector, state, reply, failure in tried.values_list(
            "vector", "state", "reply", "failure"
        ):
            self.asked[vector] += 1
            if state == exchanges.Exchange.MALFORMED:
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
                over = time.monotonic() - began > PLACE_SECONDS
                if in_worker and over and is_waited_for(EXTRACTION_QUEUE):
                    exchanges.run_give_place(run=self.run)
                    return
            if exchanges.run_finish(run=self.run):
                return
            self.look()

    def round(self) -> Sentence | None:
        """Ask about some lists at once; returns the limit that allows not one request more.

        Raises SiteError where nothing could ask: a refusal for good, or too many requests in a row
        without a reply.
        """
        taken = [self.order.popleft() for _ in range(min(len(self.order), self._at_once))]
        planned = self._planned(taken)
        sent, limit = exchanges.requests_count(run=self.run, planned=planned)
        self.order.extendleft(one.vector for one in reversed(planned[len(sent) :]))
        if not sent:
            return limit
        replies = self._replies(sent)
        refused = [one for one in replies if one.is_final]
        if refused:
            raise SiteError(refused[0].sentence)
        self.silent_rounds = self.silent_rounds + 1 if len(replies) == len(sent) else 0
        gone = len(self.silent) >= MOST_SILENT and self.silent_rounds >= MOST_SILENT_ROUNDS
        if gone and len(set(self.silent)) > 1:
            raise SiteError(Sentence(NO_REPLIES, n=len(self.silent), reason=replies[-1].sentence))
        self._pause(replies)
        return None

    @property
    def _at_once(self) -> int:
        return max(1, self.answerer.at_once)

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

    def _replies(self, sent: Sequence[Sent]) -> list[NoReply]:
        """Send requests and keep each reply as it comes; returns why some got none."""
        run = self.run
        waiting = dict(enumerate(sent))
        none: list[NoReply] = []
        requests = [
            Request(one.planned.messages, run.temperature, run.seed, run.most_reply_tokens)
            for one in sent
        ]
        found = self.answerer.ask(requests)
        try:
            for number, reply in found:
                one = waiting.pop(number)
                if isinstance(reply, NoReply):
                    none.append(reply)
                    self._none(one, reply)
                else:
                    self.silent.clear()
                    self._reply(one, reply)
        finally:
            if isinstance(found, Generator):  # ends requests under way, as after a lost claim
                found.close()
        for one in waiting.values():
            none.append(NoReply("The request got no reply."))
            self._none(one, none[-1])
        return none

    def _reply(self, sent: Sent, reply: Reply) -> None:
        vector = sent.vector
        annotation: Annotation | None = None
        reason = ""
        try:
            annotation = reply_read(reply.text, self._rules(vector))
        except ReplyMalformed as error:
            reason = error.reason
        self.asked[vector] += 1
        over = sent.planned.again or self.asked[vector] >= MOST_ASKED
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
        self.asked[vector] += 1
        self.silent.append(vector)
        # A list does not fail because the model cannot be asked at all.
        over = self.asked[vector] >= MOST_ASKED and not reply.is_final
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
        """Wait as long as the endpoint asks, and longer each round in which nothing replies."""
        asked = max((one.retry_after or 0.0 for one in replies), default=0.0)
        backoff = 0.0
        if self.silent_rounds:
            backoff = PAUSE * 2 ** min(self.silent_rounds - 1, 10)
            backoff *= 0.5 + random.random()  # noqa: S311  # so that workers do not ask in step
        end = time.monotonic() + min(max(asked, backoff), LONGEST_PAUSE)
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(STEP, left))
            report(self.run)
