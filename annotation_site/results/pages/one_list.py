"""The page of one list of a study: entries, and everybody's patterns side by side.

For those who run the study: people by name, and where the list comes from.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext, gettext_lazy

from annotation_site.analysis.side_by_side import (
    CoupleAgreement,
    ListAgreement,
    couples,
    together,
)
from annotation_site.annotation.lists.entries import (
    ListEntry,
    both_ends,
    list_entries,
    list_scores,
)
from annotation_site.annotation.models import (
    Assignment,
    Item,
    Revision,
    Study,
)
from annotation_site.annotation.review.adjudication import by_letter, letters
from annotation_site.corpus.models import Kind, Vector
from annotation_site.machine_annotators.pages import SaidByRun, said_of_list
from annotation_site.results.pages.disagreement import Ranking
from annotation_site.results.pages.marks import (
    FINAL,
    Column,
    Entry,
    Mark,
    SideBySide,
    Version,
    annotations_of,
    entries_marked,
    side_by_side,
    state_of,
)
from annotation_site.results.pseudonyms import pseudonyms_of

State = Assignment.State
Purpose = Assignment.Purpose

KIND_OF_ONE = {
    Kind.VALUE: gettext_lazy("value vector"),
    Kind.RANDOM: gettext_lazy("random vector"),
    Kind.UPDATE: gettext_lazy("FFN update"),
    Kind.KEY: gettext_lazy("key vector"),
    Kind.RANDOM_KEY: gettext_lazy("random key vector"),
    Kind.RANDOM_COVARIANCE: gettext_lazy("random vector with covariance"),
    Kind.PERMUTED: gettext_lazy("permuted value vector"),
    Kind.SHUFFLED: gettext_lazy("shuffled tokens"),
}


@dataclass(frozen=True)
class Slot:
    """Somebody who holds a slot of the list, or has let one go, without an annotation."""

    name: str
    code: str
    state: str
    since: datetime.datetime | None


@dataclass(frozen=True)
class ListPage:
    """Everything that the page of a list shows."""

    item: Item
    kind: str
    context: tuple[str, str, str]  # before the token, the token, after it
    top: list[Entry]
    bottom: list[Entry]
    columns: list[Column]
    slots: list[Slot]
    free: int
    agreement: ListAgreement
    couples: list[CoupleAgreement]
    rank: int | None  # from the least agreement, from 1
    ranked: int
    legend: list[Mark] = field(default_factory=list)
    machines: list[SaidByRun] = field(default_factory=list)  # of language models, by name

    @property
    def counted(self) -> int:
        """Number of annotations that count."""
        return sum(column.counts for column in self.columns)

    @property
    def differing(self) -> int:
        """Number of entries on which people differ."""
        return sum(entry.differs for entry in self.top)

    @property
    def final(self) -> Column | None:
        """The adjudicated annotation."""
        return next((c for c in self.columns if c.state == "adjudicated"), None)

    @property
    def people(self) -> list[Column]:
        """All columns but the adjudicated one."""
        return [c for c in self.columns if c.state != "adjudicated"]

    @property
    def counted_letters(self) -> list[str]:
        """The letters of annotations that count."""
        return [column.letter for column in self.columns if column.counts]

    @property
    def matrix(self) -> list[tuple[str, list[float | None]]]:
        """Overlap of matched patterns of every two people, as the lower half of a square."""
        names = self.counted_letters
        found = {(one.first, one.second): one.patterns for one in self.couples}
        return [
            (name, [found.get((other, name)) for other in names[:n]])
            for n, name in enumerate(names)
            if n
        ]


def list_of(item: Item, ranking: Ranking | None) -> ListPage:
    """The page of a list, read in eight queries (nine with two ends, one more with
    runs of language models)."""
    study, vector = item.study, item.vector
    rows = list(annotations_of([item]))
    codes = pseudonyms_of(study)
    named = _lettered(item, rows)
    tokens, bottom = _both_ends(item)
    side = side_by_side(
        named,
        least=lambda row: study.min_tokens,
        who=lambda row: (str(row.membership.user), codes.get(row.membership.user_id, "")),
        versions=_versions(rows, tokens),
    )
    people = [column.letter for column in side.columns if column.counts]
    found = couples(
        {key: pattern for key, pattern in side.marked.items() if key[0] in people},
        people,
        length=len(tokens),
        min_tokens=study.min_tokens,
    )
    order = list(ranking.overlap) if ranking else []
    held = sum(
        row.purpose == Purpose.ANNOTATION and row.state in Assignment.LIVE and not row.surplus
        for row in rows
    )
    scores = list_scores(vector, study.list_source)
    low = (vector.bottom_scores or ()) if bottom else ()
    largest = max(map(abs, (*(scores or ()), *low)), default=0)
    return ListPage(
        item=item,
        kind=str(KIND_OF_ONE[Kind(vector.kind)]),
        context=_context(vector),
        top=entries_marked(tokens, scores, largest, side),
        bottom=entries_marked(bottom, vector.bottom_scores, largest, SideBySide()),
        columns=side.columns,
        slots=_slots(rows, codes),
        free=max(0, study.annotators_per_list - held),
        agreement=together(found),
        couples=found,
        rank=order.index(item.pk) + 1 if item.pk in order else None,
        ranked=len(order),
        legend=side.legend,
        machines=said_of_list(study, vector),
    )


def _lettered(item: Item, rows: Sequence[Assignment]) -> list[tuple[str, Assignment]]:
    """The letter of each column: the adjudicated annotation, then people.

    Annotations that count have the letters that they have in adjudication.
    """
    final = [r for r in rows if r.purpose == Purpose.ADJUDICATION and r.state == State.SUBMITTED]
    counted = by_letter(item.study, [r for r in rows if state_of(r) == "counted"])
    order = ("unblinded", "surplus", "repeat", "skipped")
    others = sorted(
        (r for r in rows if state_of(r) in order), key=lambda r: (order.index(state_of(r)), r.pk)
    )
    after = letters(len(counted) + len(others))[len(counted) :]
    return [(FINAL, r) for r in final] + counted + list(zip(after, others, strict=True))


def _both_ends(item: Item) -> tuple[list[ListEntry], list[ListEntry]]:
    """The entries of both ends, with the glosses that the study shows; prefixes have one end."""
    study, vector = item.study, item.vector
    if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        return list_entries(vector, study.list_source), []
    return both_ends(vector, study.shown_gloss_rule)


def _versions(rows: Sequence[Assignment], tokens: Sequence[ListEntry]) -> dict[int, list[Version]]:
    """Earlier submissions by assignment, newest first."""
    several = {row.pk: row.version for row in rows if row.version > 1}
    found: dict[int, list[Version]] = {}
    revisions = Revision.objects.filter(assignment__in=several).order_by("-version")
    for revision in revisions if several else ():
        if revision.version == several[revision.assignment_id]:
            continue
        annotation = revision.snapshot.get("annotation") or {}
        patterns = [
            {**pattern, "entries": [tokens[rank - 1].display for rank in pattern["ranks"]]}
            for pattern in annotation.get("patterns", ())
        ]
        version = Version(
            revision.version,
            revision.created_at,
            revision.snapshot.get("skip_reason", ""),
            patterns,
            annotation.get("comment", ""),
        )
        found.setdefault(revision.assignment_id, []).append(version)
    return found


def _slots(rows: Sequence[Assignment], codes: Mapping[int, str]) -> list[Slot]:
    """People with the list but without a column, those at work first."""
    words = {
        State.IN_PROGRESS: gettext("at work"),
        State.WAITING: gettext("not opened yet"),
        State.EXPIRED: gettext("did not submit in time"),
        State.WITHDRAWN: gettext("left the study"),
    }
    order = list(words)
    waiting = [r for r in rows if r.purpose == Purpose.ANNOTATION and r.state in words]
    return [
        Slot(
            name="" if row.state == State.WITHDRAWN else str(row.membership.user),
            code="" if row.state == State.WITHDRAWN else codes.get(row.membership.user_id, ""),
            state=words[State(row.state)],
            since=row.opened_at,
        )
        for row in sorted(waiting, key=lambda r: (order.index(State(r.state)), r.pk))
    ]


def _context(vector: Vector) -> tuple[str, str, str]:
    """The text of an update, cut at its token where that stands there once."""
    text, token = vector.context, vector.context_token.strip("▁Ġ ·⋯")
    before, found, after = text.partition(token) if token else (text, "", "")
    return (before, found, after) if found and token not in after else (text, "", "")
