"""The lists people disagree on most: their first tokens, and people's patterns side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.utils.translation import gettext

from annotation_site.analysis import written
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Study
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.values import Row
from annotation_site.results.snapshots import selectors

FIRST, FIRST_PREFIXES = 8, 3
"""Tokens, and prefixes, of a list that its line shows."""
DOT = " · "  # between prefixes, which hold spaces and commas


@dataclass(frozen=True)
class Couple:
    """Two people's matched patterns of a list, or one without a partner."""

    first: str
    second: str
    overlap: str
    shared: str
    only_first: str
    only_second: str


@dataclass(frozen=True)
class Pair:
    """Two people's patterns of a list."""

    first: str
    second: str
    couples: Sequence[Couple]


@dataclass(frozen=True)
class Dispute:
    """A list with low agreement, its patterns side by side."""

    list_id: int
    beginning: str
    where: str
    overlap: str
    annotations: int
    pairs: Sequence[Pair]


def disputes(study: Study, rows: Mapping[str, Sequence[Row]], behind: Behind) -> list[Dispute]:
    """The lists with matched patterns, lowest agreement first: three queries."""
    matched = rows["side_by_side"]
    ids = list(dict.fromkeys(row["list_id"] for row in matched))
    tokens = selectors.entries_of(study, ids)
    descriptions = selectors.descriptions_of(study, ids)
    is_prefix = nouns_of(study.list_source).is_prefix
    first, between = (FIRST_PREFIXES, DOT) if is_prefix else (FIRST, " ")
    by_list = {key: list(own) for key, own in groupby(matched, key=lambda row: row["list_id"])}
    return [
        Dispute(
            row["list_id"],
            between.join([*tokens.get(row["list_id"], [])[:first], "…"]),
            behind.group(row),
            written.decimal(row["mean_matched_jaccard"]),
            row["annotations"],
            [
                Pair(
                    behind.named(one_person),
                    behind.named(other),
                    [_couple(one, tokens, descriptions, DOT if is_prefix else ", ") for one in own],
                )
                for (one_person, other), own in groupby(
                    by_list[row["list_id"]], key=lambda one: (one["first"], one["second"])
                )
            ],
        )
        for row in rows["disagreement"]
        if row["list_id"] in by_list
    ]


def _couple(
    row: Row,
    tokens: Mapping[int, Sequence[str]],
    descriptions: Mapping[tuple[int, str, int], str],
    between: str,
) -> Couple:
    def called(side: str) -> str:
        pattern = row[f"{side}_pattern"]
        if pattern is None:
            return gettext("no such pattern")
        key = (row["list_id"], row[side], pattern)
        return descriptions.get(key, gettext("pattern %(n)s") % {"n": pattern})

    def said(ranks: str) -> str:
        known = tokens.get(row["list_id"], ())
        found = (known[rank - 1] for rank in map(int, ranks.split()) if rank <= len(known))
        return between.join(found)

    shared, first, second = (said(row[key]) for key in ("shared", "only_first", "only_second"))
    overlap = written.decimal(row["jaccard"])
    return Couple(called("first"), called("second"), overlap, shared, first, second)
