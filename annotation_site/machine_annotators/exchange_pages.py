"""Requests to language models and their replies, as pages and the API show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Left, Length
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.annotation.models import Item, Study
from annotation_site.corpus.models import Vector
from annotation_site.machine_annotators.models import MachineExchange, MachineRun
from annotation_site.machine_annotators.pages import SHOWN, ShownText, money, shown_text
from annotation_site.machine_annotators.selectors import exchanges_of


@dataclass(frozen=True)
class AskedExchanges:
    """The exchanges that an address asks for: of one state, of one of the study's lists."""

    state: str = ""
    list: int | None = None

    @classmethod
    def of(cls, sent: QueryDict) -> "AskedExchanges":
        """Read them from an address; a state or list that cannot be is left out."""
        state, number = sent.get("state", ""), sent.get("list", "")
        return cls(
            state if state in MachineExchange.State else "",
            int(number) if number.isdecimal() and number.isascii() and len(number) < 19 else None,
        )

    @property
    def query(self) -> str:
        return urlencode({k: v for k, v in (("state", self.state), ("list", self.list)) if v})

    def among(self, found: QuerySet[MachineExchange], study: Study) -> QuerySet[MachineExchange]:
        """Those of some exchanges of a study's run."""
        if self.state:
            found = found.filter(state=self.state)
        if self.list is not None:
            found = found.filter(vector__in=study.items.filter(pk=self.list).values("vector"))
        return found


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
        if not self.days_left:
            return gettext("about to be deleted")
        return ngettext(
            "deleted in %(n)s day", "deleted in %(n)s days", self.days_left
        ) % {"n": self.days_left}  # fmt: skip


def exchanges_readable(run: MachineRun, person: User) -> QuerySet[MachineExchange]:
    """The exchanges of a run that a person may read, list by list in the order of sending.

    That order tells nothing of where lists come from. A run of every value vector reaches lists
    that are not the study's. Those that the person annotates elsewhere are left out: nobody reads
    about a list before annotating it.
    """
    found = exchanges_of(run)
    own = Item.objects.filter(study=run.study_id).values("vector")
    if run.covers == MachineRun.Covers.VECTORS and (hidden := hidden_from(person)):
        vectors = Vector.objects.filter(pk__in=found.exclude(vector__in=own).values("vector"))
        seen = hidden.left_out_of(vectors)
        found = found.filter(Q(vector__in=own) | Q(vector__in=seen.values("pk")))
    first = MachineExchange.objects.filter(
        run=OuterRef("run"), vector=OuterRef("vector"), number=1
    ).values("pk")
    found = found.order_by(Coalesce(Subquery(first), F("pk")), "number")
    return found.select_related("vector__extraction__model")


def exchanges_shown(run: MachineRun, person: User) -> QuerySet[MachineExchange]:
    """Those of `exchanges_readable` with the beginning of each reply, and its length."""
    return (
        exchanges_readable(run, person)
        .defer("reply")
        .annotate(reply_start=Left("reply", SHOWN), reply_length=Length("reply"))
    )


def study_lists(run: MachineRun, exchanges: Sequence[Any]) -> dict[int, int]:
    """The number of the study's list by vector, of the exchanges that are about one."""
    vectors = [one.vector_id for one in exchanges]
    items = Item.objects.filter(study=run.study_id, use=Item.Use.STUDY, vector__in=vectors)
    return dict(items.values_list("vector", "pk"))


def deleted_at(exchange: MachineExchange) -> datetime:
    """When the sweep deletes an exchange at the earliest."""
    return exchange.sent_at + timedelta(days=settings.LLM_KEEP_DAYS)


def exchange_rows(
    run: MachineRun, exchanges: Sequence[Any], now: datetime | None = None
) -> list[ExchangeRow]:
    """The rows of a page of `exchanges_shown`."""
    items = study_lists(run, exchanges)
    now = now or timezone.now()
    return [
        ExchangeRow(
            one,
            items.get(one.vector_id),
            ShownText("", one.reply_start, one.reply_length) if one.reply_length else None,
            money(one.cost, run.currency),
            max(0, ceil((deleted_at(one) - now) / timedelta(days=1))),
        )
        for one in exchanges
    ]
