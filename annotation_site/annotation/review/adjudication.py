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
from annotation_site.annotation.lists.page import assignments_of, list_page
from annotation_site.annotation.lists.tokens import ListToken, list_tokens
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
    others: list[ListToken]
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
    shared: list[ListToken]


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
    # A name drawn from the list's random id: the same at every visit, and tells nothing.
    ordered = sorted(rows, key=lambda row: _place(study, row))
    answers = dict(zip(_letters(len(ordered)), ordered, strict=True))
    patterns = {
        (letter, pattern.number): (pattern, _ranks(pattern))
        for letter, row in answers.items()
        for pattern in sorted(row.patterns.all(), key=lambda p: p.number)
    }
    tokens = list_tokens(item.vector)
    groups = _groups({key: ranks for key, (_, ranks) in patterns.items()}, len(tokens))
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


def _place(study: Study, answer: Assignment) -> str:
    return hashlib.sha256(f"{study.order_key}:{answer.public_id}".encode()).hexdigest()


def _letters(count: int) -> list[str]:
    """A, B, …, Z, A2, B2, …"""
    rounds, size = divmod(count, len(ascii_uppercase))
    full = [f"{c}{n + 1 if n else ''}" for n in range(rounds + 1) for c in ascii_uppercase]
    return full[: rounds * len(ascii_uppercase) + size]


def _ranks(pattern: Pattern) -> tuple[int, ...]:
    return tuple(sorted(member.rank for member in pattern.members.all()))


Key = tuple[str, int]
"""A pattern: its answer's letter and its number."""


def _groups(patterns: Mapping[Key, tuple[int, ...]], length: int) -> list[list[Key]]:
    """Patterns that belong together, at most one of each answer.

    Of two answers these are the pairs of the agreement measures' matching; of more, matched pairs
    are joined from the best on as long as nobody is in a group twice.
    """
    group_of = {key: [key] for key in patterns}
    for one, other in _matched_pairs(patterns, length):
        first, second = group_of[one], group_of[other]
        if not {letter for letter, _ in first} & {letter for letter, _ in second}:
            first.extend(second)
            group_of.update(dict.fromkeys(second, first))
    groups = list({id(group): sorted(group) for group in group_of.values()}.values())
    return sorted(groups, key=lambda group: (-len(group), patterns[group[0]]))


def _matched_pairs(
    patterns: Mapping[Key, tuple[int, ...]], length: int
) -> Iterable[tuple[Key, Key]]:
    """Every two answers' matched patterns, largest overlap first."""
    # Imported on first use: no other page of the web process needs dataframes.
    import pandas as pd

    from annotation_site.analysis.agreement.lists import matched_patterns
    from annotation_site.analysis.annotation_frames import AnnotationFrames

    letters = sorted({letter for letter, _ in patterns})
    members = [
        (letter, number, rank, "", False)
        for (letter, number), ranks in patterns.items()
        for rank in ranks
    ]
    labels = AnnotationFrames(
        lists=pd.DataFrame(
            {"list_id": [0], "model": [""], "kind": ["value"], "layer": [0], "length": [length]}
        ),
        annotations=pd.DataFrame({"annotation_id": letters, "list_id": 0, "annotator": letters}),
        members=pd.DataFrame(
            members, columns=["annotation_id", "pattern", "rank", "category", "stopwords"]
        ).astype({"pattern": int, "rank": int, "stopwords": bool}),
    )
    if len(letters) < FEWEST_ANNOTATIONS:
        return []
    found = matched_patterns(labels, list_id=0, min_tokens=1)
    found = found[found["jaccard"] > 0].sort_values("jaccard", ascending=False, kind="stable")
    sides = [
        list(zip(found[side].astype(str), found[f"{side}_pattern"].astype(int), strict=True))
        for side in ("first", "second")
    ]
    return list(zip(*sides, strict=True))


def _match(
    match: int,
    group: Sequence[Key],
    patterns: Mapping[Key, tuple[Pattern, tuple[int, ...]]],
    letters: Sequence[str],
    tokens: Sequence[ListToken],
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
