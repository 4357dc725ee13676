"""Annotations as conditions and columns of the search. Reads only.

Annotations of closed and archived studies, and of those that the reader runs: no other study's can
change a byte of what the reader gets.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, F, Func, IntegerField, OuterRef, Q, QuerySet

from annotation_site.accounts.models import User
from annotation_site.annotation.models import (
    Assignment,
    Item,
    ListLook,
    Membership,
    Pattern,
    PatternMember,
    Study,
)
from annotation_site.annotation.selectors import studies_of

Purpose = Assignment.Purpose
SHOWN = 3  # descriptions of a list in a row
PLACE = ("vector__extraction", "vector__kind", "vector__layer", "vector__index")
Place = tuple[int, str, int, int]
"""An extraction's primary key, kind, layer and index."""


@dataclass(frozen=True)
class Description:
    """A description of a list: one wording and category, and how many people gave it."""

    text: str
    category: str
    people: int
    is_adjudicated: bool = False


@dataclass(frozen=True)
class VectorLabels:
    """The annotations of one list that the reader may see.

    `share` is the mean share of its top tokens in concepts, 0 to 1; None without an annotation of
    its top tokens that counts. `is_withheld`: some are not shown, because the reader can still
    adjudicate the list blind.
    """

    people: int = 0
    descriptions: list[Description] = field(default_factory=list)
    share: float | None = None
    is_withheld: bool = False
    is_made_up: bool = False

    @property
    def first(self) -> list[Description]:
        """The descriptions that a row shows."""
        return self.descriptions[:SHOWN]

    @property
    def further(self) -> int:
        """How many others there are."""
        return max(0, len(self.descriptions) - SHOWN)

    @property
    def categories(self) -> list[str]:
        """The categories of all of them, each once."""
        return list(dict.fromkeys(one.category for one in self.descriptions))


def studies_read(user: User) -> QuerySet[Study]:
    """The studies whose annotations the reader may see."""
    over = Q(state__in=(Study.State.CLOSED, Study.State.ARCHIVED))
    own = studies_of(user).order_by().values("pk")
    return Study.objects.exclude(state=Study.State.DELETING).filter(over | Q(pk__in=own))


def _counted(user: User) -> QuerySet[Assignment]:
    """Annotations that count, and adjudicated ones, of the studies' own lists."""
    counts = Q(purpose=Purpose.ANNOTATION, surplus=False, unblinded=False)
    return Assignment.objects.filter(
        counts | Q(purpose=Purpose.ADJUDICATION),
        state=Assignment.State.SUBMITTED,
        item__use=Item.Use.STUDY,
        item__study__in=studies_read(user).values("pk"),
    )


def _open_to(user: User) -> QuerySet[Assignment]:
    """Those of them that a search may tell of: not of lists that can still be adjudicated blind."""
    items = Item.objects.filter(use=Item.Use.STUDY, study__in=studies_read(user).values("pk"))
    return _counted(user).exclude(item__in=still_blind(items, user).values("pk"))


def places_labelled(
    user: User, extractions: Collection[int], *, words: Collection[str] = (), category: str = ""
) -> set[Place]:
    """Places of lists with an annotation.

    With words or a category: with a pattern that has the category, and whose description holds all
    words, in any case.
    """
    rows: QuerySet[Any]
    if words or category:
        rows = Pattern.objects.filter(assignment__in=_open_to(user).values("pk"))
        rows = rows.filter(**{f"assignment__item__{PLACE[0]}__in": extractions})
        if category:
            rows = rows.filter(category=category)
        if words:
            rows = rows.filter(reduce(and_, map(_says, words)))
        path = "assignment__item__"
    else:
        rows = _counted(user).filter(**{f"item__{PLACE[0]}__in": extractions})
        path = "item__"
    return set(rows.order_by().values_list(*(path + name for name in PLACE)).distinct())


def _says(word: str) -> Q:
    # SQLite ignores the case of ASCII letters alone.
    forms = {word, word.lower(), word.upper(), word.capitalize()}
    return reduce(or_, (Q(description__icontains=form) for form in sorted(forms)))


class _ListLength(Func):
    """The number of tokens of a list."""

    output_field = IntegerField()

    @property
    def function(self) -> str:  # type: ignore[override]
        """The database's own function."""
        return "jsonb_array_length" if connection.vendor == "postgresql" else "json_array_length"


def shares_in_concepts(
    user: User,
    *,
    extractions: Collection[int] | None = None,
    items: Collection[int] | None = None,
) -> dict[Place, float]:
    """The mean share of top tokens in concepts, 0 to 1, of each list with people's annotations.

    Patterns that have the study's minimum of tokens and no stopwords flag, as the headline coverage
    counts them: Geva et al. (2022), section 4.1. Of lists of extractions, or of items.
    """
    people = _open_to(user).filter(
        purpose=Purpose.ANNOTATION, item__study__list_source=Study.ListSource.TOP_TOKENS
    )
    if extractions is not None:
        people = people.filter(item__vector__extraction__in=extractions)
    if items is not None:
        people = people.filter(item__in=items)
    annotations: Counter[Place] = Counter()
    lengths: dict[Place, int] = {}
    columns = [f"item__{name}" for name in PLACE]
    counted = (
        people.order_by()
        .annotate(length=_ListLength("item__vector__token_ids"))
        .values_list(*columns, "length")
        .annotate(n=Count("pk"))
    )
    for of, kind, layer, index, length, n in counted:
        annotations[of, kind, layer, index] += n
        lengths[of, kind, layer, index] = length
    large = Pattern.objects.annotate(size=Count("members")).filter(
        assignment__in=people.values("pk"),
        stopwords=False,
        size__gte=F("assignment__item__study__min_tokens"),
    )
    covered: Counter[Place] = Counter()
    path = "pattern__assignment"
    in_concepts = (
        PatternMember.objects.filter(pattern__in=large.values("pk"))
        .order_by()
        .values_list(path, *(f"{path}__{name}" for name in columns))
        .annotate(n=Count("rank", distinct=True))
    )
    for _, of, kind, layer, index, n in in_concepts:
        covered[of, kind, layer, index] += n
    return {
        place: covered[place] / (n * lengths[place])
        for place, n in annotations.items()
        if lengths[place]
    }


def labels_of(user: User, vectors: Collection[int]) -> dict[int, VectorLabels]:
    """The annotations of vectors, by primary key; those without any are left out."""
    held = Item.objects.filter(
        vector__in=vectors, use=Item.Use.STUDY, study__in=studies_read(user).values("pk")
    )
    rows = list(held.values_list("pk", "vector", "study__made_up", *PLACE))
    vector_of = {pk: vector for pk, vector, *_ in rows}
    blind = set(still_blind(held, user).values_list("pk", flat=True))
    counted = _counted(user).filter(item__in=vector_of)
    withheld: set[int] = set()
    people: defaultdict[int, set[int]] = defaultdict(set)
    whose: dict[int, tuple[int, int | None]] = {}
    for pk, item, purpose, user_id in counted.values_list(
        "pk", "item", "purpose", "membership__user"
    ):
        vector = vector_of[item]
        if item in blind:
            withheld.add(vector)
            continue
        is_final = purpose == Purpose.ADJUDICATION
        whose[pk] = (vector, None if is_final else user_id)
        people[vector] |= set() if is_final else {user_id}
    said = _descriptions(whose)
    made_up = {vector for _, vector, is_made_up, *_ in rows if is_made_up}
    place_of = {vector: (of, kind, layer, n) for _, vector, _, of, kind, layer, n in rows}
    shares = shares_in_concepts(user, items=set(vector_of) - blind) if people else {}
    return {
        vector: VectorLabels(
            people=len(people[vector]),
            descriptions=said.get(vector, []),
            share=shares.get(place_of[vector]),
            is_withheld=vector in withheld,
            is_made_up=vector in made_up,
        )
        for vector in sorted({*people, *withheld})
    }


def _descriptions(whose: Mapping[int, tuple[int, int | None]]) -> dict[int, list[Description]]:
    """The descriptions by vector, of assignments by vector and person; None: adjudicated."""
    said: defaultdict[int, defaultdict[tuple[str, str], set[int | None]]] = defaultdict(
        lambda: defaultdict(set)
    )
    patterns = Pattern.objects.filter(assignment__in=whose).order_by("assignment", "number")
    for pk, text, category in patterns.values_list("assignment", "description", "category"):
        vector, person = whose[pk]
        said[vector][text, category].add(person)
    return {
        vector: [
            Description(text, category, len(by - {None}), None in by)
            for (text, category), by in sorted(
                of.items(), key=lambda one: (None not in one[1], -len(one[1]), one[0])
            )
        ]
        for vector, of in said.items()
    }


def still_blind(items: QuerySet[Item], user: User) -> QuerySet[Item]:
    """Those of the items that the reader could adjudicate blind, and has not looked at.

    As `said.said_of` asks before it shows one. One that somebody else has begun to adjudicate is
    among them too: they can leave, and a search records no look.
    """
    runs = Membership.objects.filter(
        user=user, role=Membership.Role.RESEARCHER, withdrawn_at=None
    ).values("study")
    if not user.is_researcher:
        return items.none()
    looked = ListLook.objects.filter(item=OuterRef("pk"), user=user)
    of_another = Assignment.objects.filter(
        version__gt=0, item=OuterRef("pk"), purpose=Purpose.ADJUDICATION
    ).exclude(membership__user=user)
    return items.filter(~Exists(looked), ~Exists(of_another), study__in=runs).exclude(
        study__state=Study.State.ARCHIVED
    )
