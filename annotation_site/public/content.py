"""The lists of a study's public page: where each comes from, and its one annotation.

People's names, codes, times and comments are never read here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch
from django.utils.translation import gettext as _

from annotation_site.analysis.majority import GivenPattern, majority_patterns
from annotation_site.annotation.lists.entries import entries_of_lists
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Assignment, Item, Pattern, PatternMember, Study
from annotation_site.exports.table import Column, Row, Table, marked
from annotation_site.results.pages.values import kind_name
from annotation_site.results.tables.model_names import model_names

CHUNK = 500  # lists that are read at once
PER_PAGE = 100  # lists
ADJUDICATED, MAJORITY, NONE = "adjudicated", "majority", "none"
Purpose = Assignment.Purpose


@dataclass(frozen=True)
class PublicPattern:
    """A pattern with its entries; `counts`: it has the study's minimum of them."""

    description: str
    category: str
    stopwords: bool
    ranks: tuple[int, ...]
    entries: list[str]
    counts: bool


@dataclass(frozen=True)
class PublicList:
    """A list under its number on the public page, with what is said of it and by which rule.

    `people` is the number of annotations that count, whatever the rule.
    """

    number: int
    model: str
    kind: str
    layer: int
    index: int
    entries: list[str]
    rule: str  # ADJUDICATED, MAJORITY or NONE
    people: int
    patterns: list[PublicPattern]

    @property
    def page(self) -> int:
        """The page of lists on which it stands, from 1."""
        return (self.number - 1) // PER_PAGE + 1

    @property
    def kind_name(self) -> str:
        return kind_name(self.kind)

    @property
    def marked(self) -> list[tuple[str, list[int]]]:
        """Each entry with the numbers of the patterns that hold it."""
        numbers = defaultdict(list)
        for n, pattern in enumerate(self.patterns, 1):
            for rank in pattern.ranks:
                numbers[rank].append(n)
        return [(entry, numbers[rank]) for rank, entry in enumerate(self.entries, 1)]


def lists_of(study: Study) -> Iterator[PublicList]:
    """The study's own lists, in the order of model, kind, layer and index.

    Read in pieces, so that its memory does not grow with the study.
    """
    names = model_names(study)
    kinds = {kind: n for n, kind in enumerate(study.kinds)}
    places = study.items.filter(use=Item.Use.STUDY).values_list(
        "pk", "vector__extraction_id", "vector__kind", "vector__layer", "vector__index"
    )
    ordered = sorted(
        places, key=lambda row: (names[row[1]], row[1], kinds.get(row[2], 99), *row[2:])
    )
    keys = [row[0] for row in ordered]
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        items = {item.pk: item for item in Item.objects.filter(pk__in=chunk).select_related(
            "vector"
        )}  # fmt: skip
        entries = entries_of_lists([item.vector for item in items.values()], study.list_source)
        finals, given = _annotations(chunk)
        for number, pk in enumerate(chunk, start + 1):
            vector = items[pk].vector
            shown = [entry.text for entry in entries[vector.pk]]
            rule, patterns = _said(study, finals.get(pk), given[pk])
            yield PublicList(
                number=number,
                model=names[vector.extraction_id],
                kind=vector.kind,
                layer=vector.layer,
                index=vector.index,
                entries=shown,
                rule=rule,
                people=len(given[pk]),
                patterns=[
                    PublicPattern(
                        one.description,
                        one.category,
                        one.stopwords,
                        one.ranks,
                        [shown[rank - 1] for rank in one.ranks if rank <= len(shown)],
                        len(one.ranks) >= study.min_tokens,
                    )
                    for one in patterns
                ],
            )


def _annotations(
    items: Sequence[int],
) -> tuple[dict[int, list[GivenPattern]], dict[int, list[list[GivenPattern]]]]:
    """Of each list the adjudicated annotation, and those of people that count."""
    patterns = Pattern.objects.order_by("number").prefetch_related(
        Prefetch("members", queryset=PatternMember.objects.order_by("rank"))
    )
    rows = (
        Assignment.objects.filter(
            item__in=items,
            state=Assignment.State.SUBMITTED,
            purpose__in=(Purpose.ANNOTATION, Purpose.ADJUDICATION),
        )
        .only("item", "purpose", "surplus", "unblinded")
        .prefetch_related(Prefetch("patterns", queryset=patterns))
    )
    finals: dict[int, list[GivenPattern]] = {}
    given: defaultdict[int, list[list[GivenPattern]]] = defaultdict(list)
    for row in rows:
        said = [
            GivenPattern(
                tuple(member.rank for member in one.members.all()),
                one.category,
                one.description.strip(),
                one.stopwords,
            )
            for one in row.patterns.all()
        ]
        if row.purpose == Purpose.ADJUDICATION:
            finals[row.item_id] = said
        elif not row.surplus and not row.unblinded:
            given[row.item_id].append(said)
    return finals, given


def _said(
    study: Study, final: list[GivenPattern] | None, given: list[list[GivenPattern]]
) -> tuple[str, list[GivenPattern]]:
    if final is not None:
        return ADJUDICATED, final
    if given:
        return MAJORITY, majority_patterns(given, study.categories)
    return NONE, []


def rule_words(study: Study) -> str:
    """The sentences that say which annotation stands for a list."""
    return _(
        "Each list has one annotation here. Where a researcher has adjudicated the list, it is the "
        "adjudicated annotation. Otherwise it is what more than half of the list’s annotators "
        "found: patterns of different people are matched by the %(entries)s they share; a matched "
        "pattern stands here if more than half of the people have it, with the %(entries)s that "
        "more than half of them put into it, its most frequent category, and the description of "
        "the person whose pattern is nearest to it. One annotator alone is a majority."
    ) % {"entries": nouns_of(study.list_source).many}


def rule_counts(lists: Sequence[PublicList]) -> dict[str, int]:
    """How many lists have an annotation by which rule."""
    found = Counter(one.rule for one in lists)
    return {rule: found[rule] for rule in (ADJUDICATED, MAJORITY, NONE)}


def list_record(one: PublicList) -> dict[str, Any]:
    """A list as JSON, for programs and for the search in the reader's browser."""
    return {
        "number": one.number,
        "page": one.page,
        "model": one.model,
        "kind": one.kind,
        "layer": one.layer,
        "index": one.index,
        "entries": one.entries,
        "rule": one.rule,
        "people": one.people,
        "patterns": [
            {
                "description": pattern.description,
                "category": pattern.category,
                "stopwords": pattern.stopwords,
                "counts": pattern.counts,
                "ranks": list(pattern.ranks),
                "entries": pattern.entries,
            }
            for pattern in one.patterns
        ],
    }


def patterns_table(study: Study, lists: Sequence[PublicList]) -> Table:
    """A row per pattern; a list without one has a row with an empty pattern."""
    columns = (
        Column("list", "number"),
        Column("model", "text"),
        Column("kind", "text"),
        Column("layer", "number"),
        Column("index", "number"),
        Column("rule", "text"),
        Column("people", "number"),
        Column("pattern", "number"),
        Column("description", "text"),
        Column("category", "text"),
        Column("stopwords", "number"),
        Column("counts", "number"),
        Column("ranks", "text"),
        Column("entries", "text"),
    )
    rows: list[Row] = []
    for one in lists:
        place = (one.number, one.model, one.kind, one.layer, one.index, one.rule, one.people)
        for n, pattern in enumerate(one.patterns, 1):
            said = (n, pattern.description, pattern.category)
            flags = (int(pattern.stopwords), int(pattern.counts))
            ranks = " ".join(map(str, pattern.ranks))
            rows.append((*place, *said, *flags, ranks, _joined(pattern.entries)))
        if not one.patterns:
            rows.append((*place, None, "", "", None, None, "", ""))
    return marked(Table("patterns", columns, rows), study.made_up)


def entries_table(study: Study, lists: Sequence[PublicList]) -> Table:
    """A row per entry of each list, with the numbers of its patterns."""
    columns = (
        Column("list", "number"),
        Column("rank", "number"),
        Column("entry", "text"),
        Column("patterns", "text"),
    )
    rows = [
        (one.number, rank, entry, " ".join(map(str, numbers)))
        for one in lists
        for rank, (entry, numbers) in enumerate(one.marked, 1)
    ]
    return marked(Table("entries", columns, rows), study.made_up)


def _joined(entries: Sequence[str]) -> str:
    return " | ".join(entries)
