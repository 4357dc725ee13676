"""Lookups over all value vectors of an extraction, in SQL for both databases.

PostgreSQL finds the lists that hold a token by its index. SQLite reads the extraction's lists once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from django.db import connection

from annotation_site.corpus.models import Extraction, Kind

Side = Literal["token_ids", "bottom_token_ids"]
TOP: Side = "token_ids"
BOTTOM: Side = "bottom_token_ids"


@dataclass(frozen=True)
class Held:
    """A value vector that holds a token at a rank, from 1, on one side."""

    pk: int
    layer: int
    index: int
    rank: int


def lists_holding(
    extraction: Extraction, token_id: int, side: Side, *, without: Collection[int] = ()
) -> list[Held]:
    """The value vectors with a token on a side, by layer, then best rank first, then index.

    `without` are keys of vectors to leave out.
    """
    if connection.vendor == "postgresql":
        source = f"jsonb_array_elements(v.{side}) WITH ORDINALITY AS held(value, rank)"
        chosen = f"v.{side} @> %s::jsonb AND held.value = %s::jsonb"
        values: list[int | str] = [f"[{token_id}]", f"{token_id}"]
        rank = "held.rank"
    else:
        source = f"json_each(v.{side}) AS held"
        # The digits are looked for first: most lists do not have them, and are not taken apart.
        chosen = f"instr(v.{side}, %s) > 0 AND held.value = %s"
        values = [f"{token_id}", token_id]
        rank = "held.key + 1"
    rows = _rows(
        f'SELECT v.id, v.layer, v."index", {rank} FROM corpus_vector v, {source} '  # noqa: S608
        f"WHERE v.extraction_id = %s AND v.kind = %s AND {chosen} "
        f'ORDER BY v.layer, 4, v."index"',
        [extraction.pk, Kind.VALUE.value, *values],
    )
    left_out = set(without)
    return [Held(*row) for row in rows if row[0] not in left_out]


def lists_sharing(
    extraction: Extraction,
    token_ids: Sequence[int],
    *,
    least: int,
    most: int,
    without: Collection[int] = (),
) -> list[tuple[int, int]]:
    """Keys of the value vectors with most of these top tokens, and how many each has.

    At most `most` with at least `least` of them; of equals the lower layer, then index. `without`
    are keys of vectors to leave out.
    """
    wanted = sorted(set(token_ids))
    if len(wanted) < least:
        return []
    of_extraction: list[int | str] = [extraction.pk, Kind.VALUE.value]
    if connection.vendor == "postgresql":
        one = (
            'SELECT id, layer, "index" FROM corpus_vector '
            "WHERE extraction_id = %s AND kind = %s AND token_ids @> %s::jsonb"
        )
        held = " UNION ALL ".join([one] * len(wanted))
        values: list[int | str] = [v for token in wanted for v in (*of_extraction, f"[{token}]")]
        counted = "COUNT(*)"
    else:
        numbers = ", ".join(str(int(token)) for token in wanted)
        held = (
            'SELECT v.id, v.layer, v."index", held.value '  # noqa: S608
            "FROM corpus_vector v, json_each(v.token_ids) AS held "
            f"WHERE v.extraction_id = %s AND v.kind = %s AND held.value IN ({numbers})"
        )
        values, counted = of_extraction, "COUNT(DISTINCT value)"
    hidden = ", ".join(str(int(pk)) for pk in without)
    left_out = f"WHERE id NOT IN ({hidden}) " if hidden else ""
    rows = _rows(
        f"SELECT id, {counted} AS shared FROM ({held}) AS found {left_out}"  # noqa: S608
        f'GROUP BY id, layer, "index" HAVING {counted} >= %s '
        f'ORDER BY shared DESC, layer, "index" LIMIT %s',
        [*values, least, most],
    )
    return [(pk, shared) for pk, shared in rows]


def _rows(sql: str, values: Sequence[int | str]) -> list[tuple[int, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()
