"""Limits of runs of language models: what a person may ask for, and what is left of a budget."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from annotation_site.errors import Invalid
from annotation_site.machine_annotators.answerers import Configured
from annotation_site.machine_annotators.models import MachineRun, MachineSpending
from annotation_site.machine_annotators.selectors import BUDGET_DAYS, reserved, spent_lately
from annotation_site.sentences import Sentence

MOST_REQUESTS, MOST_TOKENS, MOST_COST = 1_000_000, 10**11, Decimal(1_000_000)
LEAST_REPLY_TOKENS = 16
MOST_SEED = 2**31 - 1
HOTTEST = 2.0  # temperature
MILLIONTH = Decimal("0.000001")

REQUESTS_USED = gettext_noop(
    "The run stopped at its limit of %(most)s requests. Continue it with a higher limit."
)
TOKENS_USED = gettext_noop(
    "The run stopped before a request that could exceed its limit of %(most)s tokens. Continue it "
    "with a higher limit."
)
COST_USED = gettext_noop(
    "The run stopped before a request that could exceed its cost limit of %(most)s %(currency)s. "
    "Continue it with a higher limit."
)


@dataclass(frozen=True)
class Limits:
    """Limits of a run: requests, tokens sent and received, and cost where there are prices."""

    requests: int
    tokens: int
    cost: Decimal | None


def limits_checked(
    found: Configured, *, most_requests: object, most_tokens: object, most_cost: object
) -> Limits:
    """The limits as a run stores them. Raises Invalid for one that is missing or out of bounds."""
    requests = whole_number(gettext("The limit of requests"), most_requests, 1, MOST_REQUESTS)
    tokens = whole_number(gettext("The limit of tokens"), most_tokens, 1, MOST_TOKENS)
    if found.price_input is None and found.price_output is None:
        return Limits(requests, tokens, None)
    if most_cost is None or most_cost == "":
        raise Invalid(
            gettext("The model “%(model)s” has a price. Give a limit of cost in %(currency)s, too.")
            % {"model": found.model, "currency": found.currency}
        )
    return Limits(requests, tokens, _amount(most_cost))


def whole_number(what: str, value: object, least: int, most: int) -> int:
    """Raises Invalid unless the value is a whole number between two bounds, both allowed."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(
            gettext("%(what)s must be a whole number from %(least)s to %(most)s.")
            % {"what": what, "least": f"{least:,}", "most": f"{most:,}"}
        )
    return value


def temperature_checked(value: object) -> float:
    """Raises Invalid unless the value is a number from 0 to HOTTEST."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or not 0 <= value <= HOTTEST:  # type: ignore[arg-type, operator]
        raise Invalid(
            gettext("The temperature must be a number from 0 to %(most)s.") % {"most": HOTTEST}
        )
    return float(value)  # type: ignore[arg-type]


def _amount(value: object) -> Decimal:
    try:
        amount = Decimal(str(value))
        good = amount.is_finite() and 0 < amount <= MOST_COST
        if good and amount == amount.quantize(MILLIONTH):
            return amount.quantize(MILLIONTH)
    except InvalidOperation:
        pass
    raise Invalid(
        gettext(
            "The limit of cost must be a number above 0 and at most %(most)s, with at most six "
            "decimal places."
        )
        % {"most": f"{MOST_COST:,}"}
    )


def require_budget(found: Configured, more: Decimal | None) -> None:
    """Raises Invalid where a run that may cost `more` could exceed the site's budget.

    Counted are the cost of the last BUDGET_DAYS days and what unfinished runs may still spend. Two
    requests at once wait for each other.
    """
    if found.budget is None or more is None:
        return
    MachineSpending.objects.get_or_create(day=timezone.now().date(), currency=found.currency)
    list(MachineSpending.objects.select_for_update().filter(currency=found.currency).order_by("pk"))
    left = found.budget - spent_lately(found.currency) - reserved(found.currency)
    if more > left:
        raise Invalid(
            gettext(
                "The site’s budget for language models is %(budget)s %(currency)s in %(days)s "
                "days, of which %(left)s are left after what runs have spent or may still spend. "
                "Choose a lower limit of cost, cancel a run that waits, or ask the admin."
            )
            % {
                "budget": amount_shown(found.budget),
                "currency": found.currency,
                "days": BUDGET_DAYS,
                "left": amount_shown(max(left, Decimal(0))),
            }
        )


def amount_shown(amount: Decimal) -> str:
    """An amount without the zeros at its end, with two decimal places at least."""
    text = f"{amount:,.6f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals:0<2}"


def cost_of(run: MachineRun, input_tokens: int, output_tokens: int) -> Decimal:
    """The cost of tokens at a run's prices, rounded up to a millionth; at most MOST_COST.

    No run is allowed more, and no database holds what an endpoint that lies can say.
    """
    price = Decimal(input_tokens) * (run.price_input or 0)
    price += Decimal(output_tokens) * (run.price_output or 0)
    return min((price / 1_000_000).quantize(MILLIONTH, rounding="ROUND_CEILING"), MOST_COST)


def limit_reached(run: MachineRun, input_tokens: int, output_tokens: int) -> Sentence | None:
    """The limit of a run that one more request with at most so many tokens could exceed."""
    if run.requests + 1 > run.most_requests:
        return Sentence(REQUESTS_USED, most=f"{run.most_requests:,}")
    tokens = run.input_tokens + run.output_tokens + input_tokens + output_tokens
    if tokens > run.most_tokens:
        return Sentence(TOKENS_USED, most=f"{run.most_tokens:,}")
    cost = run.cost + cost_of(run, input_tokens, output_tokens)
    if run.most_cost is not None and cost > run.most_cost:
        return Sentence(COST_USED, most=amount_shown(run.most_cost), currency=run.currency)
    return None


def spent_already(run: MachineRun, limits: Limits) -> Mapping[str, Any]:
    """The limits as fields of a run. Raises Invalid for one that the run has reached already."""
    spent = run.input_tokens + run.output_tokens
    if (
        limits.requests <= run.requests
        or limits.tokens <= spent
        or (limits.cost is not None and limits.cost <= run.cost)
    ):
        raise Invalid(
            gettext(
                "The run has used %(requests)s requests, %(tokens)s tokens and %(cost)s of cost. "
                "Give limits above that, which count from the run’s beginning."
            )
            % {
                "requests": f"{run.requests:,}",
                "tokens": f"{spent:,}",
                "cost": f"{amount_shown(run.cost)} {run.currency}".strip(),
            }
        )
    return {
        "most_requests": limits.requests,
        "most_tokens": limits.tokens,
        "most_cost": limits.cost,
    }
