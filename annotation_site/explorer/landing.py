"""The explorer's first page: every model with lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.corpus.models import Extraction, LanguageModel
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.explorer.judged import lists_annotated

PER_PAGE = 25


@dataclass(frozen=True)
class ExploredModel:
    """An extraction with the numbers of its lists, of which `annotated` have annotations that the
    reader may count.
    """

    extraction: Extraction
    lists: int
    annotated: int

    @property
    def model(self) -> LanguageModel:
        """The model that it is of."""
        return cast("LanguageModel", self.extraction.model)  # a ready extraction has one


@dataclass(frozen=True)
class Landing:
    """One page of the models."""

    page: "Page[Extraction]"
    models: list[ExploredModel]


def landing_page(user: User, number: str | None) -> Landing:
    """The models with lists, newest extraction first; hidden lists are in no number."""
    found: QuerySet[Extraction] = extractions_ready()
    page = Paginator(found, PER_PAGE).get_page(number)
    models = _with_numbers(list(page), user)
    return Landing(page, models)


def _with_numbers(extractions: Sequence[Extraction], user: User) -> list[ExploredModel]:
    hidden = hidden_from(user)
    annotated = lists_annotated(list(extractions), user=user, hidden=hidden)
    return [
        ExploredModel(one, _lists(one) - hidden.within(one).count(), annotated.get(one.pk, 0))
        for one in extractions
    ]


def _lists(extraction: Extraction) -> int:
    """As many lists as the bundle says, where it does: counting a million takes long."""
    told = extraction.counts.get("vectors")
    return told if isinstance(told, int) else extraction.vectors.count()
