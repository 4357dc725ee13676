"""Two annotations of one list side by side, for reading only. Pure; no measure uses it."""

from collections.abc import Sequence
from dataclasses import dataclass

from annotation_site.annotation.lists.annotation_format import AnnotatedPattern, Annotation
from annotation_site.annotation.lists.entries import ListEntry


@dataclass(frozen=True)
class Pair:
    """A pattern of the other annotation with the person's pattern that shares most tokens, or
    alone.
    """

    theirs: AnnotatedPattern | None
    yours: AnnotatedPattern | None
    both: list[ListEntry]
    only_theirs: list[ListEntry]
    only_yours: list[ListEntry]


@dataclass(frozen=True)
class Row:
    """A token with its patterns in each of the two annotations."""

    token: ListEntry
    theirs: list[AnnotatedPattern]
    yours: list[AnnotatedPattern]
    agrees: bool

    @property
    def theirs_numbers(self) -> str:
        return ", ".join(str(pattern.number) for pattern in self.theirs)

    @property
    def yours_numbers(self) -> str:
        return ", ".join(str(pattern.number) for pattern in self.yours)


@dataclass(frozen=True)
class Comparison:
    """Comparison of two annotations. `too_small` are patterns of the other that do not count."""

    pairs: list[Pair]
    too_small: list[AnnotatedPattern]
    rows: list[Row]
    agreeing: int
    length: int
    min_tokens: int


def annotations_compare(
    tokens: Sequence[ListEntry], theirs: Annotation, yours: Annotation | None, *, min_tokens: int
) -> Comparison:
    """Compare a person's annotation with another one; without the first, show only the other."""
    pairs = _pairs(tokens, theirs.patterns, yours.patterns if yours else ())
    partner = {pair.yours.number: pair.theirs for pair in pairs if pair.yours}
    rows = []
    for token in tokens:
        one, other = _patterns_of(theirs, token), _patterns_of(yours, token)
        meant = [partner[pattern.number] for pattern in other]
        agrees = len(meant) == len(one) and all(pattern in meant for pattern in one)
        rows.append(Row(token, one, other, agrees))
    return Comparison(
        pairs=pairs,
        too_small=[p for p in theirs.patterns if len(p.ranks) < min_tokens],
        rows=rows,
        agreeing=sum(row.agrees for row in rows),
        length=len(tokens),
        min_tokens=min_tokens,
    )


def _pairs(
    tokens: Sequence[ListEntry],
    theirs: Sequence[AnnotatedPattern],
    yours: Sequence[AnnotatedPattern],
) -> list[Pair]:
    """One to one, those that share most tokens first."""
    shared = [(len({*a.ranks} & {*b.ranks}), a.number, b.number) for a in theirs for b in yours]
    matched: dict[int, int] = {}
    for n, a, b in sorted(shared, key=lambda s: (-s[0], *s[1:])):
        if n and a not in matched and b not in matched.values():
            matched[a] = b
    mine = {pattern.number: pattern for pattern in yours}
    pairs = [
        _pair(tokens, a, mine.pop(matched[a.number]) if a.number in matched else None)
        for a in theirs
    ]
    return pairs + [_pair(tokens, None, alone) for alone in mine.values()]


def _pair(
    tokens: Sequence[ListEntry], theirs: AnnotatedPattern | None, yours: AnnotatedPattern | None
) -> Pair:
    a = set(theirs.ranks) if theirs else set()
    b = set(yours.ranks) if yours else set()
    both, only_a, only_b = (
        [token for token in tokens if token.rank in ranks] for ranks in (a & b, a - b, b - a)
    )
    return Pair(theirs, yours, both, only_a, only_b)


def _patterns_of(answer: Annotation | None, token: ListEntry) -> list[AnnotatedPattern]:
    return [p for p in (answer.patterns if answer else ()) if token.rank in p.ranks]
