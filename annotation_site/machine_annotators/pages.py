"""Rows and words of the pages of a study's language models."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from django.db.models import Exists, F, OuterRef
from django.utils.translation import gettext

from annotation_site.accounts.models import User
from annotation_site.analysis import written
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.annotation.models import Item, Study
from annotation_site.corpus.models import Extraction, Vector
from annotation_site.machine_annotators.answerers import Configured
from annotation_site.machine_annotators.forecasts import (
    Forecast,
    first_messages,
    run_forecast,
)
from annotation_site.machine_annotators.limits import MILLIONTH, amount_shown
from annotation_site.machine_annotators.models import (
    MachineAnnotation,
    MachineExchange,
    MachineRun,
)
from annotation_site.machine_annotators.selectors import (
    BUDGET_DAYS,
    in_order,
    ready_runs,
    reserved,
    rules_of,
    runs_of_study,
    spent_lately,
    vectors_covered,
)

State = MachineRun.State
SHOWN = 20_000  # characters of a reply, or of a message, on a page
CONTINUABLE = (State.STOPPED, State.FAILED, State.CANCELLED)
BADGES = {
    State.RUNNING: "badge-running",
    State.READY: "badge-done",
    State.STOPPED: "badge-warning",
    State.FAILED: "badge-failed",
}


def money(amount: Decimal, currency: str) -> str:
    """A cost: 1234.5 → 1,234.50 USD; small ones with as many places as they need."""
    return f"{amount_shown(amount)} {currency}".strip()


@dataclass(frozen=True)
class RunRow:
    """A run as the page of a study's language models shows it."""

    run: MachineRun
    has_exchanges: bool
    has_new_lists: bool  # of the study, without a row of the run: it may have drawn them later

    @property
    def badge(self) -> str:
        return BADGES.get(State(self.run.state), "")

    @property
    def can_continue(self) -> bool:
        """Whether lists are left, and the run is not at work."""
        if self.run.restored:
            return False
        return self.run.state in CONTINUABLE or (self.run.is_ready and self.has_new_lists)

    @property
    def has_other_rules(self) -> bool:
        """Whether it is ready, but no table uses it: the study's rules changed since."""
        rules = self.run.rules
        return self.run.is_ready and bool(rules) and rules != rules_of(self.run.study)

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
        return self.run.most_cost is not None or self.run.cost > 0

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


def run_rows(study: Study) -> list[RunRow]:
    """The runs of a study, newest first. One query."""
    kept = MachineExchange.objects.filter(run=OuterRef("pk"))
    done = MachineAnnotation.objects.filter(run=OuterRef(OuterRef("pk")), vector=OuterRef("vector"))
    left = Item.objects.filter(
        ~Exists(done),
        study=study,
        use=Item.Use.STUDY,
        vector__extraction__state=Extraction.State.READY,
    )
    runs = list(runs_of_study(study).annotate(kept=Exists(kept), left=Exists(left)))
    for run in runs:
        run.study = study  # without a query
    return [RunRow(run, run.kept, run.left) for run in runs]


def run_rows_key(rows: Sequence[RunRow], *shown: object) -> str:
    """A digest of what the page shows, so that a status is sent only where it is new."""
    names = (
        "public_id", "state", "done", "failed", "total", "requests", "input_tokens",
        "output_tokens", "cost", "model_version", "versions_differ", "error",
    )  # fmt: skip
    runs = [
        (row.has_exchanges, row.can_continue, *(str(getattr(row.run, name)) for name in names))
        for row in rows
    ]
    return hashlib.sha256(repr((runs, shown)).encode()).hexdigest()[:16]


def price_words(price_input: Decimal | None, price_output: Decimal | None, currency: str) -> str:
    """The prices of a million tokens in words; empty where none is set."""
    if price_input is None or price_output is None:
        return ""
    return gettext("%(input)s for input and %(output)s for output, per million tokens") % {
        "input": money(price_input, currency),
        "output": money(price_output, currency),
    }


def forecast_for(
    study: Study, person: User, *, covers: str, most_reply_tokens: int | None = None
) -> Forecast:
    """The forecast of a run, with the messages of a list that the person may read.

    A run of every value vector can begin with a list that the person annotates elsewhere; then
    they see one of the study's own. Raises Invalid as `run_forecast`.
    """
    found = run_forecast(study, covers, most_reply_tokens=most_reply_tokens)
    if covers == MachineRun.Covers.LISTS or not hidden_from(person):
        return found
    own = vectors_covered(study, MachineRun.Covers.LISTS).values_list("pk", flat=True)
    first = in_order(study, "forecast", own)[:1]
    return replace(found, messages_of_first=first_messages(study, first)[0] if first else [])


def _json(value: Any) -> str:
    """Write a decimal number, the same with and without zeros at its end, for JSON."""
    return str(value.normalize()) if isinstance(value, Decimal) else str(value)


def limits_needed(forecast: Forecast) -> dict[str, Any]:
    """The limits under which a run can do all lists."""
    cost = None if forecast.cost is None else max(forecast.cost, MILLIONTH)
    return {
        "most_requests": forecast.requests, "most_tokens": forecast.tokens, "most_cost": cost
    }  # fmt: skip


@dataclass(frozen=True)
class ShownForecast:
    """A forecast as a page shows it, with the limits that the run would get."""

    forecast: Forecast
    model: Configured
    asked: Mapping[str, Any]
    limits: Mapping[str, Any]

    @property
    def key(self) -> str:
        """A digest of all that is shown, so that nobody starts what they have not seen."""
        parts = [asdict(self.forecast), dict(self.asked), dict(self.limits), self.model.model,
                 self.model.endpoint_host, self.prices]  # fmt: skip
        said = json.dumps(parts, default=_json, sort_keys=True)
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
    def cost(self) -> str:
        """The cost at most; empty without a price."""
        cost = self.forecast.cost
        return "" if cost is None else money(cost, self.model.currency)

    @property
    def once_cost(self) -> str:
        """The cost where no reply is malformed; empty without a price."""
        once = self.forecast.once
        return "" if once is None or once.cost is None else money(once.cost, self.model.currency)

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
            or self.limits["most_tokens"] < self.forecast.tokens
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


def model_words(model: Configured) -> dict[str, str]:
    """Prices of the model that is set up, and what is left of the site's budget; empty for none."""
    left = ""
    if model.budget is not None:
        spent = spent_lately(model.currency) + reserved(model.currency)
        left = gettext(
            "%(left)s of %(budget)s in %(days)s days are left, for all studies together"
        ) % {
            "left": money(max(model.budget - spent, Decimal(0)), ""),
            "budget": money(model.budget, model.currency),
            "days": BUDGET_DAYS,
        }
    prices = price_words(model.price_input, model.price_output, model.currency)
    return {"prices": prices, "budget": left}


@dataclass(frozen=True)
class SaidByRun:
    """A ready run's annotation of one list: patterns, none, or why replies failed.

    A pattern `counts` where it has the study's minimum of entries.
    """

    run: MachineRun
    patterns: Sequence[Mapping[str, Any]]
    failure: str
    has_exchanges: bool


def said_of_list(study: Study, vector: Vector) -> list[SaidByRun]:
    """The annotations of one list by the study's ready runs, in the order of their names.

    Three queries. They are a machine's: never among people's.
    """
    runs = {run.pk: run for run in ready_runs(study)}
    if not runs:
        return []
    kept = MachineExchange.objects.filter(run=OuterRef("run"), vector=OuterRef("vector"))
    rows = MachineAnnotation.objects.filter(run__in=runs, vector=vector).annotate(
        kept=Exists(kept), name=F("run__name")
    )
    return [
        SaidByRun(
            runs[row.run_id],
            [
                {**one, "counts": len(one["ranks"]) >= study.min_tokens}
                for one in (row.annotation or {}).get("patterns", ())
            ],
            row.failure if row.annotation is None else "",
            row.kept,
        )
        for row in rows.order_by("name")
    ]
