"""Measures of a single annotation for pages, without dataframes, which load too slowly."""

from collections.abc import Iterable, Sequence


def coverage_of_annotation(
    patterns: Iterable[tuple[Sequence[int], bool]], *, length: int, min_tokens: int
) -> float:
    """The share of a list's tokens that one annotation puts into a concept, 0 to 1.

    Parameters
    ----------
    patterns
        Of each pattern its members' ranks and whether it is flagged as stopwords/punctuation.
    length
        Number of tokens of the list.
    min_tokens
        A pattern qualifies when it has at least this many members.

    Returns
    -------
    float
        ``coverage`` of `annotation_site.analysis.coverage.annotation_coverage`.
    """
    counted = {
        rank
        for ranks, is_flagged in patterns
        if len(ranks) >= min_tokens and not is_flagged
        for rank in ranks
    }
    return len(counted) / length
