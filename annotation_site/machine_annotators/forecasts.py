"""Forecast of a run: what it would send and cost at most, with the exact messages of one list.

For more than LOOKED_AT lists, about so much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext

from annotation_site.annotation.lists.entries import entries_of_lists
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Vector
from annotation_site.errors import Invalid
from annotation_site.machine_annotators.asking import most_tokens_of
from annotation_site.machine_annotators.limits import MILLIONTH
from annotation_site.machine_annotators.messages import asked_again, list_messages
from annotation_site.machine_annotators.prompts import guidelines_current, prompt_current
from annotation_site.machine_annotators.selectors import (
    in_order,
    rules_of,
    task_of,
    vectors_covered,
)
from annotation_site.machine_annotators.services import require_configured

LOOKED_AT = 300  # lists whose messages are written; of more, their longest stands for the others
REASON = "x" * 300  # the longest reason why a reply is malformed
LONGEST = "\U00010348" * 5_000  # a malformed reply that is sent back: its beginning


@dataclass(frozen=True)
class Forecast:
    """A run's lists, and at most so many requests, tokens and cost.

    At most: every first reply is as long as it may be, malformed, and asked again. `once` has the
    numbers where none is. Tokens sent are an upper bound too, a token for each byte. `cost` is None
    without prices. Requests without a reply come on top. Of a run with more lists than `looked_at`
    tokens and cost are no bound: the longest list of those that were looked at, which chance chose,
    stands for the others.
    """

    model: str
    endpoint: str  # empty for a local model
    lists: int
    requests: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    currency: str
    messages_of_first: list[dict[str, str]]
    looked_at: int  # lists whose messages were written
    once: "Forecast | None" = None

    @property
    def tokens(self) -> int:
        """Tokens sent and received."""
        return self.input_tokens + self.output_tokens

    @property
    def is_bound(self) -> bool:
        """Whether tokens and cost cannot be more: every list was looked at."""
        return self.looked_at >= self.lists


def run_forecast(study: Study, covers: str, *, most_reply_tokens: int | None = None) -> Forecast:
    """Forecast what a run would send and cost at most, were it requested now.

    Raises Invalid as `run_request` where no language model is set up, for a study without lists,
    and where not every value vector is here.
    """
    found = require_configured()
    reply = found.most_reply_tokens
    if most_reply_tokens is not None:
        reply = max(0, min(most_reply_tokens, reply))
    vectors = vectors_covered(study, covers)
    pks = list(vectors.values_list("pk", flat=True))
    if not pks:
        raise Invalid(gettext("The study has no lists yet. Draw its lists first."))
    looked_at = in_order(study, "forecast", pks)[:LOOKED_AT]
    messages = first_messages(study, looked_at)
    sizes = [most_tokens_of(one) for one in messages]
    again = most_tokens_of(asked_again(messages[0], LONGEST, REASON)) - sizes[0]
    sent = sum(sizes) + max(sizes) * (len(pks) - len(sizes))

    def forecast(requests: int, sent: int, received: int, once: Forecast | None) -> Forecast:
        cost = None
        if found.price_input is not None or found.price_output is not None:
            price = sent * (found.price_input or 0) + received * (found.price_output or 0)
            cost = (Decimal(price) / 1_000_000).quantize(MILLIONTH, rounding="ROUND_CEILING")
        return Forecast(
            model=found.model,
            endpoint=found.endpoint_host,
            lists=len(pks),
            requests=requests,
            input_tokens=sent,
            output_tokens=received,
            cost=cost,
            currency=found.currency if cost is not None else "",
            messages_of_first=messages[0],
            looked_at=len(sizes),
            once=once,
        )

    lists = len(pks)
    once = forecast(lists, sent, lists * reply, None)
    return forecast(2 * lists, 2 * sent + lists * again, 2 * lists * reply, once)


def first_messages(study: Study, vectors: Sequence[int]) -> list[list[dict[str, str]]]:
    """The messages of a run that is requested now, for each of the vectors' lists."""
    rules = rules_of(study)
    task = task_of(rules, prompt=prompt_current(study)[1], guidelines=guidelines_current(study)[1])
    found = Vector.objects.in_bulk(vectors)
    entries = entries_of_lists(found.values(), rules["list_source"], rules["gloss_rule"])
    return [list_messages(task, entries[pk]) for pk in vectors if pk in entries]
