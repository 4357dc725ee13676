"""The tokens of a list, as people see them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from annotation_site.annotation.lists.glosses import TokenGlosses
from annotation_site.corpus.models import Token, Vector


@dataclass(frozen=True)
class ListToken:
    """One token of a list, as people see it."""

    rank: int
    display: str
    gloss: str
    is_stopword: bool
    senses: list[tuple[str, str]] = field(default_factory=list)  # part of speech, gloss


def list_tokens(vector: Vector, gloss_rule: str | None = None) -> list[ListToken]:
    """The list's tokens in the order of their ranks, with glosses by a study's rule, or without."""
    return tokens_of_lists([vector], gloss_rule)[vector.pk]


def tokens_of_lists(
    vectors: Iterable[Vector], gloss_rule: str | None = None
) -> dict[int, list[ListToken]]:
    """The same of several lists, by vector; one query for each extraction they come from."""
    vectors = list(vectors)
    wanted: dict[int, set[int]] = defaultdict(set)
    for vector in vectors:
        wanted[vector.extraction_id] |= set(vector.token_ids)
    shown: dict[int, dict[int, ListToken]] = {}
    columns = TokenGlosses.COLUMNS if gloss_rule else ()
    for extraction, ids in wanted.items():
        found = Token.objects.filter(extraction_id=extraction, token_id__in=ids)
        shown[extraction] = {}
        for token_id, display, flag, *glosses in found.values_list(
            "token_id", "display", "is_stopword", *columns
        ):
            senses = TokenGlosses(*glosses).shown(gloss_rule) if gloss_rule else []
            gloss = senses[0][1] if senses else ""
            shown[extraction][token_id] = ListToken(0, display, gloss, flag, senses)
    return {
        vector.pk: [
            replace(shown[vector.extraction_id][i], rank=rank)
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
