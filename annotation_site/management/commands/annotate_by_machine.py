"""`manage.py annotate_by_machine STUDY`: let the site's language model annotate a study's lists."""

import time
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.annotation.models import Study
from annotation_site.errors import SiteError
from annotation_site.machine_annotators.forecasts import Forecast, run_forecast
from annotation_site.machine_annotators.limits import amount_shown
from annotation_site.machine_annotators.models import MachineRun
from annotation_site.machine_annotators.runs import machine_run_work
from annotation_site.machine_annotators.services import (
    require_configured,
    run_cancel,
    run_continue,
    run_request,
)
from annotation_site.machine_annotators.sweeps import machine_runs_sweep
from annotation_site.management.base import SiteCommand
from annotation_site.sentences import english

SECONDS = 0.5  # between two looks at what a worker does
State = MachineRun.State
LIMITS = ("most_requests", "most_tokens", "most_cost")


class Command(SiteCommand):
    _told = ""
    help = (
        "Let the language model of the site's settings annotate a study's lists, in this process "
        "unless a worker takes the run first. Stop it with Ctrl-C; --continue goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its address")
        parser.add_argument(
            "--vectors",
            action="store_true",
            help="annotate every value vector of the study's models, too",
        )
        parser.add_argument(
            "--forecast",
            action="store_true",
            help="print what a run would send and cost at most, with the messages of one list",
        )
        parser.add_argument(
            "--continue",
            dest="name",
            metavar="NAME",
            help="continue the study's run of this name, such as machine-smollm2",
        )
        parser.add_argument("--temperature", type=float, default=0.0, help="from 0 to 2; usually 0")
        parser.add_argument("--seed", type=int, default=0, help="a whole number; usually 0")
        parser.add_argument(
            "--reply-tokens",
            type=int,
            metavar="N",
            help="most tokens of one reply; LLM_REPLY_TOKENS otherwise",
        )
        parser.add_argument(
            "--most-requests", type=int, metavar="N", help="stop before more; the forecast's twice"
        )
        parser.add_argument(
            "--most-tokens", type=int, metavar="N", help="stop before more; the forecast's twice"
        )
        parser.add_argument(
            "--most-cost",
            type=amount,
            metavar="AMOUNT",
            help="stop before a higher cost; needed where the site's settings have prices",
        )

    def handle(
        self, *args: Any, study: str, forecast: bool, name: str | None, **given: Any
    ) -> None:
        found = Study.objects.filter(slug=study).first()
        if found is None:
            known = ", ".join(Study.objects.order_by("slug").values_list("slug", flat=True))
            raise CommandError(f"There is no study “{study}”. There are: {known or 'none'}.")
        covers = MachineRun.Covers.VECTORS if given["vectors"] else MachineRun.Covers.LISTS
        try:
            if forecast:
                tokens = given["reply_tokens"]
                self._write(run_forecast(found, covers, most_reply_tokens=tokens))
                return
            run = self._continued(found, name, given) if name else _requested(found, covers, given)
            self._work(run)
        except SiteError as error:
            raise CommandError(error.message) from error

    def _continued(self, study: Study, name: str, given: dict[str, Any]) -> MachineRun:
        run = study.machine_runs.filter(name=name).first()
        if run is None:
            known = ", ".join(study.machine_runs.order_by("name").values_list("name", flat=True))
            raise CommandError(f"The study has no run “{name}”. It has: {known or 'none'}.")
        limits = {limit: given[limit] for limit in LIMITS}
        return run_continue(run=run, by=None, **limits)

    def _work(self, run: MachineRun) -> None:
        """Do the run here, or wait for the worker that does so.

        Raises CommandError unless it is ready then.
        """
        self._tell(f"Run {run.name}: {run.total:,} lists with {run.model}")
        try:
            while run.is_unfinished:
                machine_run_work(run_id=run.pk, in_worker=False, tell=self._tell_progress)
                run.refresh_from_db()
                if run.is_unfinished:  # a worker was first
                    self._tell_progress(run)
                    time.sleep(SECONDS)
                    machine_runs_sweep()  # there may be no worker that sweeps
        except KeyboardInterrupt:
            run_cancel(run=run, by=None)
            again = f"--continue {run.name}"
            raise CommandError(
                f"Cancelled with {run.done:,} of {run.total:,} lists done. Go on with {again}."
            ) from None
        self._tell_progress(run)
        if not run.is_ready:
            reason = english(run.error) if run.error else "It was cancelled."
            raise CommandError(f"The run is not ready: {reason}")
        cost = f", {amount_shown(run.cost)} {run.currency}" if run.currency else ""
        self.stdout.write(
            f"Ready: {run.done:,} lists, of which {run.failed:,} failed. "
            + _spent(run.requests, run.input_tokens, run.output_tokens)
            + f"{cost}."
        )

    def _tell_progress(self, run: MachineRun) -> None:
        now = MachineRun.objects.filter(pk=run.pk).values("done", "failed", "total").first()
        if now:
            self._tell("{done:,} of {total:,} lists, {failed:,} failed".format(**now))

    def _tell(self, text: str) -> None:
        """Progress on stderr, each state once, so that stdout stays a program's."""
        if text != self._told:
            self.stderr.write(text, self.style.NOTICE)
            self._told = text

    def _write(self, forecast: Forecast) -> None:
        where = f"at {forecast.endpoint}" if forecast.endpoint else "on this machine"
        self.stdout.write(f"{forecast.lists:,} lists for {forecast.model} {where}.")
        most = "At most" if forecast.is_bound else "At most, about"
        for title, numbers in ((most, forecast), ("If no reply is malformed", forecast.once)):
            if numbers is not None:
                cost = ""
                if numbers.cost is not None:
                    cost = f", {amount_shown(numbers.cost)} {numbers.currency}"
                self.stdout.write(
                    f"{title}: "
                    + _spent(numbers.requests, numbers.input_tokens, numbers.output_tokens)
                    + f"{cost}."
                )
        if not forecast.is_bound:
            self.stdout.write(
                f"The longest of {forecast.looked_at:,} lists, chosen by chance, stands for those "
                "that were not looked at; a few can be longer."
            )
        self.stdout.write("Requests without a reply come on top. The messages of one list:\n")
        for message in forecast.messages_of_first:
            self.stdout.write(f"[{message['role']}]\n{message['content']}\n")


def _spent(requests: int, sent: int, received: int) -> str:
    return f"{requests:,} requests, {sent:,} tokens sent, {received:,} received"


def _requested(study: Study, covers: str, given: dict[str, Any]) -> MachineRun:
    """Request a run; limits that were not given are twice what the forecast says."""
    reply_tokens = given["reply_tokens"]
    if reply_tokens is None:
        reply_tokens = require_configured().most_reply_tokens
    forecast = run_forecast(study, covers, most_reply_tokens=reply_tokens)
    requests, tokens = given["most_requests"], given["most_tokens"]
    return run_request(
        study=study,
        by=None,
        covers=covers,
        temperature=given["temperature"],
        seed=given["seed"],
        most_reply_tokens=reply_tokens,
        most_requests=2 * forecast.requests if requests is None else requests,
        most_tokens=2 * forecast.tokens if tokens is None else tokens,
        most_cost=given["most_cost"],
    )


def amount(value: str) -> Decimal:
    try:
        return Decimal(value)
    except InvalidOperation:
        raise ValueError(value) from None
