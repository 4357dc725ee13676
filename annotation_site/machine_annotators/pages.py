"""Rows and words of the pages of a study's language models."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Left, Length
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from annotation_site.accounts.models import User
from annotation_site.analysis import written
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.annotation.models import Item, Study
from annotation_site.corpus.models import Vector
from annotation_site.machine_annotators.answerers import Configured
from annotation_site.machine_annotators.forecasts import Forecast
from annotation_site.machine_annotators.models import (
    MachineAnnotation,
    MachineExchange,
    MachineRun,
)
from annotation_site.machine_annotators.selectors import (
    exchanges_of,
    ready_runs,
    runs_of_study,
)
from annotation_site.machine_annotators.services import may_change

State = MachineRun.State
SHOWN = 20_000  # characters of a reply, or of a message, on a page
CONTINUABLE = (State.STOPPED, State.FAILED, State.CANCELLED)
BADGES = {
    State.RUNNING: "badge-running",
    State.READY: "badge-done",
    State.STOPPED: "badge-warning",
    State.FAILED: "badge-failed",
}


def money(amount: Decimal | None, currency: str) -> str:
    """A cost: 1234.5 → 1,234.50 USD; small ones with as many places as they need."""
    if amount is None:
        return written.MISSING
    rough = f"{amount:,.2f}"
    exact = rough if Decimal(rough.replace(",", "")) == amount else f"{amount:,f}".rstrip("0")
    return f"{exact} {currency}".strip()


@dataclass(frozen=True)
class RunRow:
    """A run as the page of a study's language models shows it."""

    run: MachineRun
    may_change: bool
    has_exchanges: bool

    @property
    def badge(self) -> str:
        return BADGES.get(State(self.run.state), "")

    @property
    def can_continue(self) -> bool:
        return self.may_change and self.run.state in CONTINUABLE and not self.run.restored

    @property
    def lists(self) -> str:
        """How many lists are done: "12 of 60"."""
        return gettext("%(done)s of %(total)s") % {
            "done": f"{self.run.done:,}",
            "total": f"{self.run.total:,}",
        }

    @property
    def failed(self) -> str:
        """How many of the lists that are done failed, with their share."""
        share = self.run.failed / self.run.done if self.run.done else None
        return f"{self.run.failed:,} ({written.share(share)})" if share else f"{self.run.failed:,}"

    @property
    def requests(self) -> str:
        return self._of(self.run.requests, self.run.most_requests)

    @property
    def tokens(self) -> str:
        return self._of(self.run.input_tokens + self.run.output_tokens, self.run.most_tokens)

    @property
    def has_price(self) -> bool:
        return self.run.price_input is not None or self.run.price_output is not None

    @property
    def cost(self) -> str:
        if self.run.most_cost is None:
            return money(self.run.cost, self.run.currency)
        return gettext("%(n)s, at most %(most)s") % {
            "n": money(self.run.cost, ""),
            "most": money(self.run.most_cost, self.run.currency),
        }

    def _of(self, number: int, most: int) -> str:
        return gettext("%(n)s, at most %(most)s") % {"n": f"{number:,}", "most": f"{most:,}"}


def run_rows(study: Study, person: User) -> list[RunRow]:
    """The runs of a study, newest first. One query."""
    kept = MachineExchange.objects.filter(run=OuterRef("pk"))
    runs = runs_of_study(study).select_related("requested_by").annotate(kept=Exists(kept))
    return [RunRow(run, may_change(run, person), run.kept) for run in runs]


def run_rows_key(rows: Sequence[RunRow], *shown: object) -> str:
    """A digest of what the page shows, so that a status is sent only where it is new."""
    names = (
        "public_id", "state", "done", "failed", "total", "requests", "input_tokens",
        "output_tokens", "cost", "model_version", "error",
    )  # fmt: skip
    runs = [(row.has_exchanges, *(str(getattr(row.run, name)) for name in names)) for row in rows]
    return hashlib.sha256(repr((runs, shown)).encode()).hexdigest()[:16]


def price_words(price_input: Decimal | None, price_output: Decimal | None, currency: str) -> str:
    """The prices of a million tokens in words; empty where none is set."""
    if price_input is None and price_output is None:
        return ""
    return gettext("%(input)s for input and %(output)s for output, per million tokens") % {
        "input": money(price_input or Decimal(0), currency),
        "output": money(price_output or Decimal(0), currency),
    }


@dataclass(frozen=True)
class ShownForecast:
    """What a run would send and spend at most, with the limits that it would get."""

    forecast: Forecast
    model: Configured
    asked: Mapping[str, Any]
    limits: Mapping[str, Any]

    @property
    def key(self) -> str:
        """A digest of all that is shown, so that nobody starts what they have not seen."""
        parts = [asdict(self.forecast), dict(self.asked), dict(self.limits), self.model.model,
                 self.model.endpoint_host, self.prices]  # fmt: skip
        said = json.dumps(parts, default=str, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    @property
    def covers(self) -> str:
        return str(MachineRun.Covers(self.asked["covers"]).label)

    @property
    def messages(self) -> list["ShownText"]:
        return [
            ShownText(message["role"], message["content"], len(message["content"]))
            for message in self.forecast.messages_of_first
        ]

    @property
    def tokens(self) -> int:
        return self.forecast.input_tokens + self.forecast.output_tokens

    @property
    def cost(self) -> str:
        """The cost at most; empty without a price."""
        cost = self.forecast.cost
        return "" if cost is None else money(cost, self.model.currency)

    @property
    def most_cost(self) -> str:
        most = self.limits["most_cost"]
        return "" if most is None else money(most, self.model.currency)

    @property
    def prices(self) -> str:
        one = self.model
        return price_words(one.price_input, one.price_output, one.currency)

    @property
    def may_stop(self) -> bool:
        """Whether a limit is below what all lists can need."""
        most_cost, cost = self.limits["most_cost"], self.forecast.cost
        return (
            self.limits["most_requests"] < self.forecast.requests
            or self.limits["most_tokens"] < self.tokens
            or (most_cost is not None and cost is not None and most_cost < cost)
        )


@dataclass(frozen=True)
class ShownText:
    """A message or a reply on a page: its beginning, where it is very long."""

    role: str
    start: str
    length: int

    @property
    def left(self) -> int:
        """The number of characters that are not shown."""
        return max(0, self.length - len(self.start))


def shown_text(role: str, text: str) -> ShownText:
    """A text cut to what a page shows."""
    return ShownText(role, text[:SHOWN], len(text))


@dataclass(frozen=True)
class ExchangeRow:
    """A request and its reply as a page shows them; `item` is the list of the study, if it is one.

    A vector that is no list of the study is named by its place.
    """

    exchange: MachineExchange
    item: int | None
    reply: ShownText | None
    cost: str
    days_left: int

    @property
    def vector(self) -> Vector:
        return self.exchange.vector

    @property
    def messages(self) -> list[ShownText]:
        """The messages: system, user, and after a malformed reply that one with the reason."""
        found = self.exchange.messages
        return [shown_text(str(one.get("role")), str(one.get("content"))) for one in found]

    @property
    def badge(self) -> str:
        states = MachineExchange.State
        return {states.REPLIED: "badge-done", states.SENT: "badge-running"}.get(
            states(self.exchange.state), "badge-failed"
        )

    @property
    def deleted(self) -> str:
        """When the exchange is deleted, in words."""
        if self.days_left < 1:
            return gettext("deleted within a day")
        return ngettext(
            "deleted in %(n)s day", "deleted in %(n)s days", self.days_left
        ) % {"n": self.days_left}  # fmt: skip


def exchanges_shown(run: MachineRun, person: User) -> QuerySet[MachineExchange]:
    """The exchanges of a run that a person may read, list by list, without whole replies.

    A run of every value vector reaches lists that are not the study's. Those that the person
    annotates elsewhere are left out: nobody reads about a list before annotating it.
    """
    found = exchanges_of(run)
    own = Item.objects.filter(study=run.study_id).values("vector")
    if run.covers == MachineRun.Covers.VECTORS and (hidden := hidden_from(person)):
        vectors = Vector.objects.filter(pk__in=found.exclude(vector__in=own).values("vector"))
        seen = hidden.left_out_of(vectors)
        found = found.filter(vector__in=own) | found.filter(vector__in=seen.values("pk"))
    return (
        found.order_by("vector", "number")
        .defer("reply")
        .annotate(reply_start=Left("reply", SHOWN), reply_length=Length("reply"))
        .select_related("vector__extraction__model")
    )


def exchange_rows(
    run: MachineRun, exchanges: Sequence[Any], keep_days: int, now: datetime | None = None
) -> list[ExchangeRow]:
    """The rows of a page of `exchanges_shown`."""
    vectors = [one.vector_id for one in exchanges]
    items = dict(
        Item.objects.filter(study=run.study_id, use=Item.Use.STUDY, vector__in=vectors).values_list(
            "vector", "pk"
        )
    )
    now = now or timezone.now()
    return [
        ExchangeRow(
            one,
            items.get(one.vector_id),
            ShownText("", one.reply_start, one.reply_length) if one.reply_length else None,
            money(one.cost, run.currency),
            max(0, (one.sent_at + timedelta(days=keep_days) - now).days),
        )
        for one in exchanges
    ]


@dataclass(frozen=True)
class SaidByRun:
    """A ready run's annotation of one list: patterns, none, or why replies failed."""

    run: MachineRun
    patterns: Sequence[Mapping[str, Any]]
    failure: str
    has_exchanges: bool


def said_of_list(study: Study, vector: Vector) -> list[SaidByRun]:
    """The annotations of one list by the study's ready runs, in the order of their names.

    Two queries. They are a machine's: never among people's.
    """
    runs = {run.pk: run for run in ready_runs(study).order_by("name")}
    if not runs:
        return []
    kept = MachineExchange.objects.filter(run=OuterRef("run"), vector=OuterRef("vector"))
    rows = MachineAnnotation.objects.filter(run__in=runs, vector=vector).annotate(
        kept=Exists(kept), name=F("run__name")
    )
    return [
        SaidByRun(
            runs[row.run_id],
            (row.annotation or {}).get("patterns", ()),
            row.failure if row.annotation is None else "",
            row.kept,
        )
        for row in rows.order_by("name")
    ]
