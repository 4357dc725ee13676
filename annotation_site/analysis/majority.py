"""The majority annotation of a list: what more than half of its people say."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from annotation_site.analysis.side_by_side import MarkedPattern, pattern_groups


@dataclass(frozen=True)
class GivenPattern:
    """A pattern as a person gave it: the ranks of its members (from 1, ascending), and words."""

    ranks: tuple[int, ...]
    category: str
    description: str = ""
    stopwords: bool = False


def majority_patterns(
    annotations: Sequence[Sequence[GivenPattern]], categories: Sequence[str] = ()
) -> list[GivenPattern]:
    """The patterns that more than half of a list's people found, with the members they share.

    Parameters
    ----------
    annotations
        Per person the patterns, none for "no pattern here". The order of people does not matter.
    categories
        The study's categories in their order, which decides between equally frequent ones.

    Returns
    -------
    list
        Patterns in the order of their best ranks. One person alone is a majority; of two people it
        takes both.

    Notes
    -----
    Patterns of different people are the same pattern where `pattern_groups` puts them into one
    group. A group counts where more than half of the people have a pattern in it. Its members are
    the tokens that more than half of the people put into their pattern of the group; a group
    without any is left out. It has the most frequent category of its patterns, and the flag for
    stopwords where more than half of them have it. Descriptions are never mixed: it has that of
    the pattern whose members are nearest to its own (Jaccard), among those with a description;
    equally near ones are decided by the alphabet.

    Examples
    --------
    >>> one = [GivenPattern((1, 2, 3, 4), "semantic", "animals")]
    >>> two = [GivenPattern((2, 3, 4, 5), "semantic", "beasts")]
    >>> majority_patterns([one, two])[0].ranks
    (2, 3, 4)
    >>> majority_patterns([one, two, []])[0].ranks
    (2, 3, 4)
    >>> majority_patterns([one, []])
    []
    """
    given = {
        (str(person), number): pattern
        for person, patterns in enumerate(annotations)
        for number, pattern in enumerate(patterns)
        if pattern.ranks
    }
    if not given:
        return []
    marked = {key: MarkedPattern(one.ranks, one.category) for key, one in given.items()}
    found = []
    for group in pattern_groups(marked):
        pattern = _joined([given[key] for key in group], len(annotations), categories)
        if pattern is not None:
            found.append(pattern)
    return sorted(found, key=lambda one: (one.ranks, one.description))


def _joined(
    group: Sequence[GivenPattern], people: int, categories: Sequence[str]
) -> GivenPattern | None:
    """The majority of one group, or None where it has none."""
    if 2 * len(group) <= people:
        return None
    votes = Counter(rank for pattern in group for rank in pattern.ranks)
    ranks = tuple(sorted(rank for rank, n in votes.items() if 2 * n > people))
    if not ranks:
        return None
    frequent = Counter(pattern.category for pattern in group)
    places = {category: place for place, category in enumerate(categories)}
    category = min(frequent, key=lambda one: (-frequent[one], places.get(one, len(places)), one))
    described = sorted(
        (-_jaccard(pattern.ranks, ranks), pattern.description.casefold(), pattern.description)
        for pattern in group
        if pattern.description.strip()
    )
    return GivenPattern(
        ranks,
        category,
        described[0][2] if described else "",
        2 * sum(pattern.stopwords for pattern in group) > len(group),
    )


def _jaccard(first: Sequence[int], second: Sequence[int]) -> float:
    return len({*first} & {*second}) / len({*first} | {*second})
