"""Token lists as rows of a table, for notebooks: `pandas.DataFrame(rows)` takes them."""

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ffn_extract.bundle import Bundle, open_bundle
from ffn_extract.inspection import entries
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract


def top_tokens(
    model: str | os.PathLike[str], vectors: Iterable[str | tuple[int, int]], **options: Any
) -> list[dict[str, Any]]:
    """The highest-scoring tokens of chosen value vectors; nothing is written to disk.

    Parameters
    ----------
    model
        A folder with a model's files, or a hub id such as "gpt2".
    vectors
        Each "LAYER:INDEX" or (layer, index), both counted from 0.
    options
        Other options of `ExtractOptions`, such as `top_k` (30 by default).

    Returns
    -------
    One dictionary for each vector and rank, so n vectors × top_k rows: `layer`, `index`, `rank`
    (from 1), `token` as people read it, and `score`, the dot product of the token's row of the
    unembedding and the vector.

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do, also for a vector that the model does not have.

    Examples
    --------
    >>> from ffn_extract import top_tokens
    >>> rows = top_tokens(model, ["0:7", (1, 5)], top_k=3)
    >>> len(rows)
    6
    >>> list(rows[0])
    ['layer', 'index', 'rank', 'token', 'score']
    >>> [(row["layer"], row["index"], row["rank"]) for row in rows[2:4]]
    [(0, 7, 3), (1, 5, 1)]
    """
    wanted = {"glosses": (), **options, "kinds": ("value",), "vectors": list(vectors)}
    with TemporaryDirectory() as folder:
        out = Path(folder) / "bundle"
        extract(model, out, ExtractOptions.from_json(wanted))
        columns = ("layer", "index", "rank", "token", "score")
        return [
            {column: entry[column] for column in columns}
            for entry in list_entries(open_bundle(out))
            if entry["side"] == "top"
        ]


def list_entries(bundle: Bundle) -> list[dict[str, Any]]:
    """Every entry of every list of a bundle.

    Returns
    -------
    One dictionary for each vector, side and rank, in the bundle's order: `kind` ("value",
    "random", "update" …), `layer`, `index`, `norm`, `side` ("top" or "bottom"), `rank` (from 1),
    `token_id`, `token`, `score`, `gloss`, `gloss_source`, and of an update `context`,
    `context_position` and `context_token`. `norm` and `score` are None for shuffled tokens.

    Examples
    --------
    >>> from ffn_extract import ExtractOptions, extract, list_entries, open_bundle
    >>> options = ExtractOptions(kinds=("value", "random"), per_layer=2, top_k=3, glosses=())
    >>> manifest = extract(model, folder / "bundle", options)
    >>> manifest.counts.vectors  # of 2 layers, 2 value vectors and 2 random ones each
    8
    >>> rows = list_entries(open_bundle(folder / "bundle"))
    >>> len(rows)  # 8 lists of 3 tokens at the top and 3 at the bottom
    48
    >>> {row["kind"] for row in rows} == {"value", "random"}
    True
    """
    tokens = {row.token_id: row for rows in bundle.iter_tokens() for row in rows}
    rows = (row for rows in bundle.iter_vectors() for row in rows)
    return list(entries(rows, tokens, glosses=True))
