"""The tokens of a list, as people see them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from annotation_site.corpus.models import Token, Vector


@dataclass(frozen=True)
class ListToken:
    """One token of a list, as people see it."""

    rank: int
    display: str
    gloss: str
    is_stopword: bool


def list_tokens(vector: Vector) -> list[ListToken]:
    """The list's tokens in the order of their ranks."""
    return tokens_of_lists([vector])[vector.pk]


def tokens_of_lists(vectors: Iterable[Vector]) -> dict[int, list[ListToken]]:
    """The same of several lists, by vector; one query for each extraction they come from."""
    vectors = list(vectors)
    wanted: dict[int, set[int]] = defaultdict(set)
    for vector in vectors:
        wanted[vector.extraction_id] |= set(vector.token_ids)
    shown: dict[int, dict[int, tuple[str, str, bool]]] = {}
    for extraction, ids in wanted.items():
        found = Token.objects.filter(extraction_id=extraction, token_id__in=ids)
        rows = found.values_list("token_id", "display", "gloss", "is_stopword")
        shown[extraction] = {
            token_id: (display, gloss, flag) for token_id, display, gloss, flag in rows
        }
    return {
        vector.pk: [
            ListToken(rank, *shown[vector.extraction_id][i])
            for rank, i in enumerate(vector.token_ids, 1)
        ]
        for vector in vectors
    }


def stopword_ranks(vector: Vector, ranks: Iterable[int]) -> set[int]:
    """Those of the ranks at which the vector's list has a stop word or punctuation."""
    rank_of = {vector.token_ids[rank - 1]: rank for rank in ranks}
    found = Token.objects.filter(
        extraction_id=vector.extraction_id, token_id__in=rank_of, is_stopword=True
    )
    return {rank_of[token_id] for token_id in found.values_list("token_id", flat=True)}
