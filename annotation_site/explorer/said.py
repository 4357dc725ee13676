"""Annotations of a neuron's list in all studies that the reader may see."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from annotation_site.accounts.models import User
from annotation_site.annotation.models import Assignment, Item, ListLook, Study
from annotation_site.annotation.review.adjudication import by_letter, letters
from annotation_site.annotation.review.looks import Adjudicating, adjudicating_of
from annotation_site.annotation.selectors import studies_of
from annotation_site.corpus.models import Vector
from annotation_site.explorer.places import IN_WORK
from annotation_site.results.pages.marks import (
    FINAL,
    Column,
    SideBySide,
    annotations_of,
    side_by_side,
    state_of,
)
from annotation_site.results.pseudonyms import pseudonyms_of

SHOWN = ("adjudicated", "counted")
NO_LONGER_ASKED = (Adjudicating.ANOTHER, Adjudicating.NOBODY)
"""Of those who have not looked at a list: people whose own adjudication a look could not touch."""


@dataclass(frozen=True)
class SaidInStudy:
    """Annotations of a list by the people of one study. `is_own`: the reader runs the study."""

    item: Item
    is_own: bool
    columns: list[Column]

    @property
    def study(self) -> Study:
        return self.item.study


@dataclass(frozen=True)
class Said:
    """Annotations of a list, study by study.

    `side` has all their columns. `ask_first` are lists of the reader's own studies that they could
    still adjudicate blind, of which nothing is shown. `is_held`: an unfinished study that the
    reader does not run holds the list, and nothing of it is shown.
    """

    studies: list[SaidInStudy] = field(default_factory=list)
    side: SideBySide = field(default_factory=SideBySide)
    ask_first: list[Item] = field(default_factory=list)
    is_held: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show, now or after a question."""
        return not (self.studies or self.ask_first or self.is_held)

    @property
    def looked_at(self) -> list[Item]:
        """Lists of the reader's own studies whose annotations are shown: each is a look."""
        return [one.item for one in self.studies if one.is_own]


def said_of(vector: Vector | None, *, source: str, user: User) -> Said:
    """The annotations of a vector's list of a kind that the reader may see.

    Only annotations that count and adjudicated ones; the page of a study's list has all of them.
    """
    if vector is None:
        return Said()
    held = Item.objects.filter(vector=vector, study__list_source=source)
    items = list(held.select_related("study").order_by("study__created_at", "study"))
    found = items_sorted_out(items, user)
    studies, side = _side_by_side(found.shown, found.runs)
    return Said(studies, side, found.ask_first, bool(found.held))


@dataclass(frozen=True)
class SortedOut:
    """Lists of studies by what their reader may see of their annotations: see `Said`.

    `runs` are the keys of the studies that the reader runs. `unseen` are those of `shown` in such
    studies that the reader has not looked at: showing them is a look.
    """

    shown: list[Item] = field(default_factory=list)
    ask_first: list[Item] = field(default_factory=list)
    held: list[Item] = field(default_factory=list)
    unseen: list[Item] = field(default_factory=list)
    runs: set[int] = field(default_factory=set)


def items_sorted_out(items: Sequence[Item], user: User) -> SortedOut:
    """Sort lists, with their studies, by what a reader may see of their annotations; four queries.

    The one rule of it. Lists of drafts, and training and pilot lists, are in none.
    """
    runs = set(
        studies_of(user)
        .filter(pk__in={item.study_id for item in items})
        .values_list("pk", flat=True)
    )
    own = [item for item in items if item.study_id in runs]
    looked = set(ListLook.objects.filter(item__in=own, user=user).values_list("item", flat=True))
    adjudicating = adjudicating_of(own, user=user)
    found = SortedOut(runs=runs)
    for item in items:
        state, is_own = item.study.state, item.study_id in runs
        if state in (Study.State.DRAFT, Study.State.DELETING):
            continue
        if not is_own and state in IN_WORK:
            found.held.append(item)
        elif item.use != Item.Use.STUDY:
            continue
        elif is_own and item.pk not in looked and adjudicating[item.pk] not in NO_LONGER_ASKED:
            found.ask_first.append(item)
        else:
            found.shown.append(item)
            if is_own and item.pk not in looked:
                found.unseen.append(item)
    return found


def _side_by_side(items: Sequence[Item], runs: set[int]) -> tuple[list[SaidInStudy], SideBySide]:
    """Columns of all studies with letters of their own: adjudicated ones, then people."""
    if not items:
        return [], SideBySide()
    rows: dict[int, list[Assignment]] = {item.pk: [] for item in items}
    for row in annotations_of(items):
        if state_of(row) in SHOWN and row.state == Assignment.State.SUBMITTED:
            rows[row.item_id].append(row)
    ordered = []
    for item in items:
        final = [row for row in rows[item.pk] if state_of(row) == "adjudicated"]
        counted = [row for row in rows[item.pk] if state_of(row) == "counted"]
        ordered.append([*final, *(row for _, row in by_letter(item.study, counted))])
    people = iter(letters(sum(map(len, ordered))))
    finals = (f"{FINAL}{n if n > 1 else ''}" for n in range(1, len(items) + 1))
    named = [
        [(next(finals if state_of(row) == "adjudicated" else people), row) for row in one]
        for one in ordered
    ]
    study_of = {item.pk: item.study for item in items}
    codes = {item.study_id: pseudonyms_of(item.study) for item in items if item.study_id in runs}

    def who(row: Assignment) -> tuple[str, str]:
        """Name and code for those who run the study; for everybody else, nothing."""
        own = codes.get(study_of[row.item_id].pk)
        user = row.membership.user
        return ("", "") if own is None else (str(user), own.get(user.pk, ""))

    side = side_by_side(
        [pair for one in named for pair in one],
        least=lambda row: study_of[row.item_id].min_tokens,
        who=who,
    )
    columns = iter(side.columns)
    studies = [
        SaidInStudy(item, item.study_id in runs, [next(columns) for _ in one])
        for item, one in zip(items, named, strict=True)
    ]
    return studies, side
