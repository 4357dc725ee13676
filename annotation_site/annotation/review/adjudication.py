"""Adjudication: annotations of one list side by side. Reads only.

Blind: the annotations are A, B and so on, in an order that is random for each list and stays.
Names, times and the list's origin are not in what this module returns. The adjudicated annotation
itself is written on the annotation page, by its services, as a record of its own.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from django.db.models import Count, QuerySet
from django.urls import reverse

from annotation_site.accounts.models import User
from annotation_site.analysis.side_by_side import Key, MarkedPattern, pattern_groups
from annotation_site.annotation.lists.entries import ListEntry, list_entries
from annotation_site.annotation.lists.page import assignments_of, list_page
from annotation_site.annotation.models import Assignment, Item, Pattern, Study

State = Assignment.State
Purpose = Assignment.Purpose
FEWEST_ANNOTATIONS = 2
KEYED_LETTERS = "ABCDEFGHI"  # J, K, U and W are commands of the annotation page
MOST_KEYS = 9  # a digit for each pattern


@dataclass(frozen=True)
class SidePattern:
    """One pattern of annotation `letter`; `others` are its tokens that the row does not share."""

    letter: str
    number: int
    description: str
    category: str
    stopwords: bool
    ranks: tuple[int, ...]
    others: list[ListEntry]
    counts: bool  # has the study's minimum of tokens
    key: str  # the digit that takes it; "" beyond 9


@dataclass(frozen=True)
class Match:
    """Matching patterns of different people, in the order of the letters.

    None stands for an answer without such a pattern; `shared` are the tokens of all the others.
    `number` is the same for all of them: the mark that their tokens have in the list's rows.
    """

    number: int
    sides: list[tuple[str, SidePattern | None]]
    shared: list[ListEntry]


@dataclass(frozen=True)
class SideBySide:
    """All annotations of a list. `annotations` is their JSON by letter, for the page's script."""

    letters: list[str]
    matches: list[Match]
    without: list[str]  # answers that say "no pattern"
    annotations: dict[str, dict[str, Any]]

    @property
    def keyed_letters(self) -> list[tuple[str, str]]:
        """Each letter with the key that takes its annotation; "" where a command has the key."""
        return [(letter, letter if letter in KEYED_LETTERS else "") for letter in self.letters]

    @property
    def marks(self) -> list[dict[str, Any]]:
        """Each pattern's marks: {letter, number of its match, counts, ranks}."""
        return [
            {
                "letter": letter,
                "number": match.number,
                "counts": side.counts,
                "ranks": list(side.ranks),
            }
            for match in self.matches
            for letter, side in match.sides
            if side
        ]


def adjudicated_annotations_of(user: User) -> QuerySet[Assignment]:
    """The person's own adjudicated annotations in studies that they run."""
    return assignments_of(user).filter(
        purpose=Purpose.ADJUDICATION,
        item__use=Item.Use.STUDY,
        membership__role="researcher",
    )


def counted_annotations(study: Study) -> QuerySet[Assignment]:
    """The annotations that can be adjudicated: those that results use."""
    return Assignment.objects.filter(
        item__study=study,
        item__use=Item.Use.STUDY,
        purpose=Purpose.ANNOTATION,
        state=State.SUBMITTED,
        surplus=False,
        unblinded=False,
    )


def adjudicable_lists(study: Study) -> QuerySet[Any]:
    """The ids, as `item`, of lists with at least two annotations that count."""
    answered = counted_annotations(study).order_by().values("item").annotate(n=Count("pk"))
    return answered.filter(n__gte=FEWEST_ANNOTATIONS)


def adjudication_page(assignment: Assignment) -> dict[str, Any]:
    """The annotation page's JSON for adjudication; "back" is the adjudication queue."""
    page = list_page(assignment)
    study = assignment.item.study
    decided = Assignment.objects.filter(
        item__study=study,
        item__use=Item.Use.STUDY,
        purpose=Purpose.ADJUDICATION,
        state=State.SUBMITTED,
    ).exclude(pk=assignment.pk)
    position = decided.count() + 1
    total = max(position, adjudicable_lists(study).count())
    page["list"] |= {"position": position, "total": total, "left": total - position + 1}
    page["urls"] |= {
        "page": reverse("annotation:adjudication", args=[assignment.public_id]),
        "previous": reverse("results:adjudication", args=[study.slug]),
        "skip": None,
    }
    return page


def side_by_side(item: Item) -> SideBySide:
    """All annotations of a list as A, B and so on, their patterns matched."""
    study = item.study
    rows = counted_annotations(study).filter(item=item).prefetch_related("patterns__members")
    answers = dict(by_letter(study, rows))
    patterns = {
        (letter, pattern.number): (pattern, _ranks(pattern))
        for letter, row in answers.items()
        for pattern in sorted(row.patterns.all(), key=lambda p: p.number)
    }
    tokens = list_entries(item.vector, study.list_source)
    groups = pattern_groups(
        {key: MarkedPattern(ranks, pattern.category) for key, (pattern, ranks) in patterns.items()}
    )
    keys = [key for group in groups for key in group][:MOST_KEYS]
    key_of = {key: str(n) for n, key in enumerate(keys, 1)}
    return SideBySide(
        letters=list(answers),
        matches=[
            _match(number, group, patterns, list(answers), tokens, study.min_tokens, key_of)
            for number, group in enumerate(groups, 1)
        ],
        without=[letter for letter, row in answers.items() if not row.patterns.all()],
        annotations={
            letter: _content([patterns[key][0] for key in patterns if key[0] == letter])
            for letter in answers
        },
    )


def by_letter(study: Study, answers: Iterable[Assignment]) -> list[tuple[str, Assignment]]:
    """The annotations of a list as A, B and so on, in the order of the letters.

    The order is drawn from their random ids: the same at every visit, and it tells nothing.
    """
    ordered = sorted(answers, key=lambda answer: _place(study, answer))
    return list(zip(letters(len(ordered)), ordered, strict=True))


def _place(study: Study, answer: Assignment) -> str:
    return hashlib.sha256(f"{study.order_key}:{answer.public_id}".encode()).hexdigest()


def letters(count: int) -> list[str]:
    """A, B, …, Z, A2, B2, …"""
    rounds, size = divmod(count, len(ascii_uppercase))
    full = [f"{c}{n + 1 if n else ''}" for n in range(rounds + 1) for c in ascii_uppercase]
    return full[: rounds * len(ascii_uppercase) + size]


def _ranks(pattern: Pattern) -> tuple[int, ...]:
    return tuple(sorted(member.rank for member in pattern.members.all()))


def _match(
    match: int,
    group: Sequence[Key],
    patterns: Mapping[Key, tuple[Pattern, tuple[int, ...]]],
    letters: Sequence[str],
    tokens: Sequence[ListEntry],
    min_tokens: int,
    key_of: Mapping[Key, str],
) -> Match:
    shared = set.intersection(*(set(patterns[key][1]) for key in group))
    sides: dict[str, SidePattern] = {}
    for letter, number in group:
        pattern, ranks = patterns[letter, number]
        sides[letter] = SidePattern(
            letter=letter,
            number=number,
            description=pattern.description,
            category=pattern.category,
            stopwords=pattern.stopwords,
            ranks=ranks,
            others=[token for token in tokens if token.rank in set(ranks) - shared],
            counts=len(ranks) >= min_tokens,
            key=key_of.get((letter, number), ""),
        )
    return Match(
        number=match,
        sides=[(letter, sides.get(letter)) for letter in letters],
        shared=[token for token in tokens if token.rank in shared],
    )


def _content(patterns: Sequence[Pattern]) -> dict[str, Any]:
    """An annotation for the editor, with new numbers and without its comment."""
    return {
        "patterns": [
            {
                "number": number,
                "description": pattern.description,
                "category": pattern.category,
                "stopwords": pattern.stopwords,
                "ranks": list(_ranks(pattern)),
            }
            for number, pattern in enumerate(patterns, 1)
        ],
        "no_pattern": not patterns,
        "comment": "",
    }
