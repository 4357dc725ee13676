"""The entries of a list as people see them: a vector's top tokens, or a key's trigger prefixes.

This module alone knows where entries come from. Blinding: of a trigger prefix only its text is
read; its sentence, position, coefficient and signs stay in the database.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from annotation_site.analysis.paper import PREFIXES_SHOWN
from annotation_site.annotation.lists.glosses import TokenGlosses
from annotation_site.annotation.models import Study
from annotation_site.corpus.loading import CONTINUATION
from annotation_site.corpus.models import Token, TriggerPrefixes, Vector
from annotation_site.prepared import Prepared

BRIEF = 40  # characters of a prefix where a whole list stands on a line or two
Source = Study.ListSource
_SPACE, _WORD = "␣", re.compile(r"\w+$|\S$")
_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|([ntr\\]))")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


@dataclass(frozen=True)
class ListEntry:
    """One entry of a list, as people see it.

    `display` is a token; of a prefix it is the last token, and `before` the text to its left.
    `before` is None for a token.
    """

    rank: int
    display: str
    gloss: str = ""
    is_stopword: bool = False
    senses: list[tuple[str, str]] = field(default_factory=list)  # part of speech, gloss
    before: str | None = None

    @property
    def text(self) -> str:
        """The token, or the whole prefix."""
        return f"{self.before or ''}{self.display}"

    @property
    def brief(self) -> str:
        """The token, or the last words of the prefix."""
        if self.before is None or len(self.text) <= BRIEF:
            return self.text
        end = self.text[-BRIEF:]
        return f"… {end.partition(' ')[2] or end}"


def list_entries(vector: Vector, source: str, gloss_rule: str | None = None) -> list[ListEntry]:
    """The list's entries in the order of their ranks, with glosses by a rule, or without."""
    return entries_of_lists([vector], source, gloss_rule)[vector.pk]


def _tokens(*columns: str) -> Prepared[Token]:
    def build(extraction: int, ids: list[int]) -> "QuerySet[Token, Any]":
        found = Token.objects.filter(extraction_id=extraction, token_id__in=ids)
        return found.values_list("token_id", "display", "is_stopword", *columns)

    return Prepared(build)


def _stopwords(extraction: int, ids: list[int]) -> "QuerySet[Token, Any]":
    found = Token.objects.filter(extraction_id=extraction, token_id__in=ids, is_stopword=True)
    return found.values_list("token_id")


_TOKENS = {columns: _tokens(*columns) for columns in ((), TokenGlosses.COLUMNS)}
_STOPWORDS = Prepared(_stopwords)


def entries_of_lists(
    vectors: Iterable[Vector], source: str, gloss_rule: str | None = None
) -> dict[int, list[ListEntry]]:
    """The same of several lists, by vector; one query for each extraction they come from, and for
    prefixes one more.
    """
    vectors = list(vectors)
    if source == Source.TRIGGER_PREFIXES:
        return _prefixes(vectors)
    wanted: dict[int, set[int]] = defaultdict(set)
    for vector in vectors:
        wanted[vector.extraction_id] |= set(vector.token_ids)
    shown: dict[int, dict[int, ListEntry]] = {}
    columns = TokenGlosses.COLUMNS if gloss_rule else ()
    for extraction, ids in wanted.items():
        shown[extraction] = {}
        found = _TOKENS[columns].rows(extraction=extraction, ids=sorted(ids))
        for token_id, display, flag, *glosses in found:
            senses = TokenGlosses(*glosses).shown(gloss_rule) if gloss_rule else []
            gloss = senses[0][1] if senses else ""
            shown[extraction][token_id] = ListEntry(0, display, gloss, flag, senses)
    return {
        vector.pk: [
            replace(shown[vector.extraction_id][i], rank=rank)
            for rank, i in enumerate(vector.token_ids, 1)
        ]
        for vector in vectors
    }


def both_ends(vector: Vector, gloss_rule: str | None) -> tuple[list[ListEntry], list[ListEntry]]:
    """A vector's highest- and lowest-scoring tokens, in one query; the lowest can be none."""
    low = Vector(pk=0, extraction_id=vector.extraction_id, token_ids=vector.bottom_token_ids or [])
    found = entries_of_lists([vector, low], Source.TOP_TOKENS, gloss_rule)
    return found[vector.pk], found[0]


def stopword_ranks(vector: Vector, source: str, ranks: Iterable[int]) -> set[int]:
    """Those of the ranks at which the vector's list has a stop word or punctuation.

    None in a list of prefixes: they are texts, and their patterns have no such flag.
    """
    if source == Source.TRIGGER_PREFIXES:
        return set()
    rank_of = {vector.token_ids[rank - 1]: rank for rank in ranks}
    found = _STOPWORDS.rows(extraction=vector.extraction_id, ids=sorted(rank_of))
    return {rank_of[token_id] for (token_id,) in found}


def list_length(vector: Vector, source: str) -> int:
    """The number of entries of a list."""
    return list_lengths([vector], source)[vector.pk]


def list_lengths(vectors: Iterable[Vector], source: str) -> dict[int, int]:
    """The number of entries of several lists, by vector; one query for prefixes, else none."""
    vectors = list(vectors)
    if source == Source.TRIGGER_PREFIXES:
        stored = stored_prefixes(vector.pk for vector in vectors)
        return {vector.pk: len(stored[vector.pk]) for vector in vectors}
    return {vector.pk: len(vector.token_ids) for vector in vectors}


def list_scores(vector: Vector, source: str) -> list[float] | None:
    """The number behind each entry: a token's score, or a key's coefficient at the prefix's end.

    Not for annotators. None for shuffled tokens, which have no scores.
    """
    if source == Source.TRIGGER_PREFIXES:
        return [one["coefficient"] for one in stored_prefixes([vector.pk])[vector.pk]]
    scores: Any = vector.scores  # the field gives floats for the bytes that it stores
    return None if scores is None else list(scores)


def with_list(
    vectors: "QuerySet[Vector]", source: str, *, full_only: bool = False
) -> "QuerySet[Vector]":
    """Those of the vectors that have a list: of keys, those that are active somewhere.

    `full_only` leaves out keys with fewer trigger prefixes than a list shows.
    """
    if source != Source.TRIGGER_PREFIXES:
        return vectors
    found = _of_key()
    if full_only:
        found = found.filter(**{f"prefixes__{PREFIXES_SHOWN - 1}__isnull": False})
    return vectors.filter(Exists(found))


def lists_with(vectors: Iterable[Vector], source: str, text: str) -> set[int]:
    """The pks of those of the vectors whose list has `text` in an entry, in any case."""
    vectors = list(vectors)
    if source == Source.TRIGGER_PREFIXES:
        wanted = text.casefold()
        return {
            pk
            for pk, stored in stored_prefixes(vector.pk for vector in vectors).items()
            if any(wanted in one["prefix"].casefold() for one in stored)
        }
    extractions = {vector.extraction_id for vector in vectors}
    tokens = {(extraction, t) for extraction in extractions for t in _tokens_with(extraction, text)}
    return {
        vector.pk
        for vector in vectors
        if any((vector.extraction_id, token) in tokens for token in vector.token_ids)
    }


def _tokens_with(extraction: int, text: str) -> "QuerySet[Token, int]":
    # SQLite ignores the case of ASCII letters alone.
    forms = {text, text.lower(), text.upper(), text.capitalize()}
    spelled = reduce(or_, (Q(display__icontains=form) for form in sorted(forms)))
    found = Token.objects.filter(spelled, extraction_id=extraction)
    return found.values_list("token_id", flat=True)


def stored_prefixes(vectors: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """The trigger prefixes of some keys as they are stored, best first, by the vector's pk.

    Not for annotators; empty for a key that is never active.
    """
    keys = set(vectors)
    found: dict[int, list[dict[str, Any]]] = {}
    rows = Vector.objects.filter(pk__in=keys).annotate(
        found_prefixes=Subquery(_of_key().values("prefixes")[:1])
    )
    for pk, stored in rows.values_list("pk", "found_prefixes"):
        found[pk] = (stored or [])[:PREFIXES_SHOWN]
    return found


def _of_key() -> "QuerySet[TriggerPrefixes]":
    """The trigger prefixes of the outer query's vector."""
    return TriggerPrefixes.objects.filter(
        side=TriggerPrefixes.Side.POSITIVE,
        **{name: OuterRef(name) for name in ("extraction", "kind", "layer", "index")},
    )


def _prefixes(vectors: list[Vector]) -> dict[int, list[ListEntry]]:
    stored = stored_prefixes(vector.pk for vector in vectors)
    last: dict[int, set[int]] = defaultdict(set)
    for vector in vectors:
        last[vector.extraction_id] |= {one["token_id"] for one in stored[vector.pk]}
    displays: dict[int, dict[int, str]] = {
        extraction: dict(
            Token.objects.filter(extraction_id=extraction, token_id__in=ids).values_list(
                "token_id", "display"
            )
        )
        for extraction, ids in last.items()
    }
    return {
        vector.pk: [
            _prefix(rank, one["prefix"], displays[vector.extraction_id], one["token_id"])
            for rank, one in enumerate(stored[vector.pk], 1)
        ]
        for vector in vectors
    }


def _prefix(rank: int, text: str, displays: Mapping[int, str], token_id: int) -> ListEntry:
    before, last = cut_before_last_token(text, displays.get(token_id))
    return ListEntry(rank, last, before=before)


def cut_before_last_token(text: str, display: str | None) -> tuple[str, str]:
    """Cut a prefix before its last token.

    `display` is that token, as a bundle shows it; None where the bundle does not hold it. Then, and
    where the text does not end in it, the last word or sign of the text is taken for it.

    >>> cut_before_last_token("the walking", "⋯ing")
    ('the walk', 'ing')
    """
    if display is not None:
        token = token_spelled(display)
        if token.strip() and text.endswith(token):
            return text[: len(text) - len(token)], token
    found = _WORD.search(text)
    cut = found.start() if found else max(0, len(text) - 1)
    return text[:cut], text[cut:]


def token_spelled(display: str) -> str:
    """A token as a text spells it, without the sign of a word that goes on.

    >>> token_spelled("⋯ing"), token_spelled("␣(")
    ('ing', ' (')
    """
    return _ESCAPE.sub(
        lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPED[m[2]],
        display.removeprefix(CONTINUATION).replace(_SPACE, " "),
    )
