"""One person's answer against a list's reference answer."""

from collections.abc import Iterable, Sequence

import pandas as pd

from annotation_site.analysis.agreement.encoding import encode
from annotation_site.analysis.labels import Labels

Patterns = Iterable[Sequence[int]]


def reference_score(
    answer: Patterns, reference: Patterns, *, length: int, min_tokens: int
) -> float:
    r"""Mean matched Jaccard overlap of an answer with a reference answer.

    Parameters
    ----------
    answer, reference
        The ranks (1-based) of each pattern's members.
    length
        Number of tokens of the list.
    min_tokens
        Patterns with fewer members do not count, on either side.

    Returns
    -------
    float
        :math:`\sum J / (|A| + |B| - \text{matched})`, between 0 and 1, with the matching of
        `annotation_site.analysis.agreement.matching.match`. Where neither side has a pattern that
        counts, they agree that there is none: 1. (As a measure of agreement it is undefined
        there; a person who is being trained has then done what was asked.)

    References
    ----------
    Jaccard (1912), The distribution of the flora in the alpine zone.
    """
    members = [
        (side, number, rank, "", False)
        for side, patterns in enumerate((answer, reference))
        for number, ranks in enumerate(patterns)
        for rank in ranks
    ]
    labels = Labels(
        lists=pd.DataFrame(
            {"list_id": [0], "model": [""], "kind": ["value"], "layer": [0], "length": [length]}
        ),
        annotations=pd.DataFrame(
            {"annotation_id": [0, 1], "list_id": [0, 0], "annotator": ["answer", "reference"]}
        ),
        members=pd.DataFrame(
            members, columns=["annotation_id", "pattern", "rank", "category", "stopwords"]
        ).astype({"annotation_id": int, "pattern": int, "rank": int, "stopwords": bool}),
    )
    found = encode(labels, min_tokens=min_tokens)[None].matching
    matched = int(found.chosen.sum())
    patterns = int(found.patterns.sum())
    if not patterns:
        return 1.0
    return float(found.summed(found.candidates.jaccard).sum()) / (patterns - matched)
