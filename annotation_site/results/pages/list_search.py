"""The lists of a study, searched, filtered and in an order; and their rows on *Lists*.

Overlaps come from the newest snapshot; nothing is computed here.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import or_
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from annotation_site.annotation.lists.entries import ListEntry, entries_of_lists, lists_with
from annotation_site.annotation.models import Assignment, Item, Membership, Pattern, Study
from annotation_site.annotation.monitoring.records import lists_by_id
from annotation_site.annotation.review.adjudication import FEWEST_ANNOTATIONS
from annotation_site.corpus.browsing import tokens_that_read
from annotation_site.corpus.models import Extraction, Vector
from annotation_site.results.pages.disagreement import Ranking
from annotation_site.results.tables.model_names import model_names

State = Assignment.State
Purpose = Assignment.Purpose
FIRST = 8  # entries of a list that its row shows
MOST_LETTERS = 200
MOST_WORDS = 10

ORDERS = {
    "annotations": _("fewest annotations first"),
    "overlap": _("least agreement first"),
    "skips": _("most skips first"),
    "number": _("by number"),
    "origin": _("by model, kind and layer"),
}
STATES = {
    "none": _("without an annotation"),
    "some": _("with some of its annotations"),
    "complete": _("with all its annotations"),
    "working": _("with somebody at work"),
    "skipped": _("skipped by somebody"),
    "to_adjudicate": _("to adjudicate"),
    "adjudicated": _("adjudicated"),
    "not_blind": _("adjudicated, not blind"),
}


@dataclass(frozen=True)
class ListFilters:
    """Which lists, and their order. Empty and None mean all.

    `entries` are words that a list's entries read, all of them, in any case; `*` at a word's end
    finds what begins so. `said` stands in somebody's description of a pattern. `person` is the
    public id of somebody who has submitted the list. The agreement is the overlap of two people's
    patterns, 0 to 1: from `agreement_from` on, and below `agreement_below`.
    """

    entries: str = ""
    said: str = ""
    model: str = ""
    kind: str = ""
    layer_from: int | None = None
    layer_to: int | None = None
    state: str = ""
    person: uuid.UUID | None = None
    agreement_from: float | None = None
    agreement_below: float | None = None
    order: str = "annotations"

    @property
    def query(self) -> str:
        """The filter as it stands in an address, without what excludes nothing."""
        given = ((one, getattr(self, one.name)) for one in fields(self))
        return urlencode([(one.name, value) for one, value in given if value != one.default])

    @property
    def is_filtered(self) -> bool:
        """Whether the filter can leave out lists."""
        return self != ListFilters(order=self.order)

    @property
    def words(self) -> list[str]:
        """The words of `entries`."""
        return self.entries.split()[:MOST_WORDS]


def lists_url(study: Study, **filters: Any) -> str:
    """The address of *Lists* with a filter; the names are those of `ListFilters`.

    A `layer` is short for the first and the last one.
    """
    if "layer" in filters:
        layer = filters.pop("layer")
        filters |= {"layer_from": layer, "layer_to": layer}
    query = ListFilters(**filters).query
    address = reverse("results:lists", args=[study.slug])
    return f"{address}?{query}" if query else address


def lists_found(study: Study, filters: ListFilters, ranking: Ranking | None) -> list[int]:
    """The ids of the study's own lists that pass the filter, in its order."""
    found = study.items.filter(use=Item.Use.STUDY)
    for narrow in (_of_origin, _with_entries, _with_descriptions, _in_state, _of_person):
        found = narrow(study, found, filters)
    ids = list(_ordered(found, filters.order).values_list("pk", flat=True))
    overlap = ranking.overlap if ranking else {}
    low, below = filters.agreement_from, filters.agreement_below
    if low is not None or below is not None:
        within = {
            pk
            for pk, value in overlap.items()
            if value is not None
            and (low is None or value >= low)
            and (below is None or value < below)
        }
        ids = [pk for pk in ids if pk in within]
    if filters.order != "overlap" or ranking is None:
        return ids
    known = set(ids)
    ranked = [pk for pk in overlap if pk in known]
    return ranked + [pk for pk in ids if pk not in overlap]


def _of_origin(study: Study, found: "QuerySet[Item]", filters: ListFilters) -> "QuerySet[Item]":
    if filters.kind:
        found = found.filter(vector__kind=filters.kind)
    if filters.layer_from is not None:
        found = found.filter(vector__layer__gte=filters.layer_from)
    if filters.layer_to is not None:
        found = found.filter(vector__layer__lte=filters.layer_to)
    if filters.model:
        named = [pk for pk, name in model_names(study).items() if name == filters.model]
        found = found.filter(vector__extraction__in=named)
    return found


def _with_entries(study: Study, found: "QuerySet[Item]", filters: ListFilters) -> "QuerySet[Item]":
    if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        for word in filters.words:
            vectors = Vector.objects.filter(pk__in=found.values("vector")).only("pk")
            found = found.filter(vector__in=lists_with(vectors, study.list_source, word))
        return found
    for ids in _wanted(study, filters):
        holds = [
            Q(vector__extraction=extraction, vector__token_ids__holds_any=sorted(tokens))
            for extraction, tokens in ids.items()
            if tokens
        ]
        found = found.filter(reduce(or_, holds)) if holds else found.none()
    return found


def _wanted(study: Study, filters: ListFilters) -> list[dict[int, set[int]]]:
    """For each word the token ids that read it, by extraction."""
    if not filters.words or study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        return []
    extractions = list(study.extractions.only("pk"))
    return [
        {
            extraction.pk: set(
                tokens_that_read(extraction, word).values_list("token_id", flat=True)
            )
            for extraction in extractions
        }
        for word in filters.words
    ]


def _with_descriptions(
    study: Study, found: "QuerySet[Item]", filters: ListFilters
) -> "QuerySet[Item]":
    if not filters.said:
        return found
    said = Pattern.objects.filter(
        assignment__item__study=study,
        assignment__state=State.SUBMITTED,
        description__icontains=filters.said,
    )
    return found.filter(pk__in=said.values("assignment__item"))


def _own(**which: Any) -> "QuerySet[Assignment]":
    return Assignment.objects.filter(item=OuterRef("pk"), **which)


def _counted() -> "QuerySet[Assignment]":
    """A list's annotations that count."""
    return _own(purpose=Purpose.ANNOTATION, state=State.SUBMITTED, surplus=False, unblinded=False)


def _number(rows: "QuerySet[Assignment]") -> Coalesce:
    counted = rows.order_by().values("item").annotate(n=Count("*")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def _in_state(study: Study, found: "QuerySet[Item]", filters: ListFilters) -> "QuerySet[Item]":
    state, most = filters.state, study.annotators_per_list
    final = _own(purpose=Purpose.ADJUDICATION, state=State.SUBMITTED)
    if state == "none":
        return found.filter(~Exists(_counted()))
    if state == "some":
        return found.alias(n=_number(_counted())).filter(n__gt=0, n__lt=most)
    if state == "complete":
        return found.alias(n=_number(_counted())).filter(n__gte=most)
    if state == "working":
        return found.filter(Exists(_own(purpose=Purpose.ANNOTATION, state=State.IN_PROGRESS)))
    if state == "skipped":
        return found.filter(Exists(_own(purpose=Purpose.ANNOTATION, state=State.SKIPPED)))
    if state == "to_adjudicate":
        enough = found.alias(n=_number(_counted())).filter(n__gte=FEWEST_ANNOTATIONS)
        return enough.filter(~Exists(final))
    if state == "adjudicated":
        return found.filter(Exists(final))
    if state == "not_blind":
        return found.filter(Exists(final.filter(looked_before=True)))
    return found


def _of_person(study: Study, found: "QuerySet[Item]", filters: ListFilters) -> "QuerySet[Item]":
    if filters.person is None:
        return found
    own = Assignment.objects.filter(
        membership__study=study,
        membership__user__public_id=filters.person,
        purpose=Purpose.ANNOTATION,
        state=State.SUBMITTED,
    )
    return found.filter(pk__in=own.values("item"))


def _ordered(found: "QuerySet[Item]", order: str) -> "QuerySet[Item]":
    if order == "number":
        return found.order_by("pk")
    if order == "origin":
        return found.order_by(
            "vector__extraction__model__name", "vector__extraction", "vector__kind",
            "vector__layer", "vector__index",
        )  # fmt: skip
    if order == "skips":
        skipped = _own(purpose=Purpose.ANNOTATION, state=State.SKIPPED)
        return found.annotate(n=_number(skipped)).order_by(F("n").desc(), "pk")
    return found.annotate(n=_number(_counted())).order_by("n", "pk")


@dataclass(frozen=True)
class FirstEntry:
    """One of a list's first entries on a row; `wanted` where the search found it."""

    rank: int
    display: str
    wanted: bool


def list_rows(
    study: Study, lists: Sequence[int], ranking: Ranking | None, filters: ListFilters | None = None
) -> list[dict[str, Any]]:
    """Some lists with first entries, origin, annotations, skips and agreement, in their order.

    `further` are found entries behind the first ones.
    """
    overlap = ranking.overlap if ranking else {}
    items = study.items.filter(pk__in=lists).select_related("vector")
    vectors = {
        item.pk: item.vector for item in items.defer("vector__scores", "vector__bottom_scores")
    }
    tokens = entries_of_lists(vectors.values(), study.list_source)
    wanted: dict[int, set[int]] = {}
    for ids in _wanted(study, filters) if filters else ():
        for extraction, found in ids.items():
            wanted.setdefault(extraction, set()).update(found)

    def entries(pk: int) -> list[FirstEntry]:
        vector = vectors[pk]
        shown: list[ListEntry] = tokens[vector.pk]
        if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
            words = [word.casefold() for word in filters.words] if filters else []
            return [
                FirstEntry(e.rank, e.brief, any(word in e.text.casefold() for word in words))
                for e in shown
            ]
        asked = wanted.get(vector.extraction_id, set())
        return [
            FirstEntry(token.rank, token.display, token_id in asked)
            for token, token_id in zip(shown, vector.token_ids, strict=True)
        ]

    rows = []
    for row in lists_by_id(study, [pk for pk in lists if pk in vectors]):
        every = entries(row["id"])
        rows.append(
            {
                **row,
                "overlap": overlap.get(row["id"]),
                "first": every[:FIRST],
                "further": [entry for entry in every[FIRST:] if entry.wanted],
                "length": len(every),
            }
        )
    return rows


def people_to_choose(study: Study) -> list[tuple[str, str]]:
    """Public id and name of everybody who can have annotated, by name."""
    people = study.memberships.filter(role=Membership.Role.ANNOTATOR).select_related("user")
    return [(str(m.user.public_id), str(m.user)) for m in people.order_by("user__username", "pk")]


def models_to_choose(study: Study) -> list[str]:
    """Names of the study's models; none where there is only one to choose."""
    if Extraction.objects.filter(pk__in=study.extractions.values("pk")).count() < 2:
        return []
    return sorted(model_names(study).values())
