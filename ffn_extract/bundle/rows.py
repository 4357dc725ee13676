"""The rows of a bundle as Python values, and their columns in Parquet."""

from dataclasses import dataclass

import pyarrow as pa

VECTORS_FILE = "vectors.parquet"
TOKENS_FILE = "tokens.parquet"

LONGEST_TEXTS = {
    "kind": 20,
    "text": 1_000,
    "display": 1_000,
    "gloss": 4_000,
    "gloss_source": 100,
    "gloss_lemma": 1_000,
    "context": 10_000,
    "context_token": 1_000,
}
"""The longest text of each column, in bytes of UTF-8."""
CUT = "…"


def fitting(text: str, column: str) -> str:
    """Cut a text that is longer than its column allows, and end it with `CUT`.

    Examples
    --------
    >>> fitting("a kind of animal" * 7, "gloss_source")[-12:]
    ' of animala…'
    """
    most = LONGEST_TEXTS[column]
    if len(text) * 4 <= most or len(content := text.encode()) <= most:
        return text
    return content[: most - len(CUT.encode())].decode(errors="ignore") + CUT


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One vocabulary entry that occurs in a list.

    `text` is the tokenizer's exact string, `display` what a person sees. The three gloss fields
    are all given or all None.
    """

    token_id: int
    text: str
    display: str
    gloss: str | None = None
    gloss_source: str | None = None
    gloss_lemma: str | None = None


@dataclass(frozen=True, slots=True)
class VectorRow:
    """One vector with its lists; position in a list is rank - 1.

    `index` is the row of the value matrix for kind "value", the draw's number for the others.
    `norm` is the Euclidean norm of the vector as it stands in the model. The bottom lists are None
    where coefficients are never negative; the context fields are None except for kind "update",
    where `context_position` counts the model's input tokens from 0 and `context_token` is the
    display form of the token there.
    """

    kind: str
    layer: int
    index: int
    norm: float
    token_ids: list[int]
    scores: list[float]
    bottom_token_ids: list[int] | None = None
    bottom_scores: list[float] | None = None
    context: str | None = None
    context_position: int | None = None
    context_token: str | None = None


_IDS = pa.list_(pa.int32())
_SCORES = pa.list_(pa.float32())

VECTORS_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("layer", pa.int32()),
        ("index", pa.int32()),
        ("norm", pa.float32()),
        ("token_ids", _IDS),
        ("scores", _SCORES),
        ("bottom_token_ids", _IDS),
        ("bottom_scores", _SCORES),
        ("context", pa.string()),
        ("context_position", pa.int32()),
        ("context_token", pa.string()),
    ]
)

TOKENS_SCHEMA = pa.schema(
    [
        ("token_id", pa.int32()),
        ("text", pa.string()),
        ("display", pa.string()),
        ("gloss", pa.string()),
        ("gloss_source", pa.string()),
        ("gloss_lemma", pa.string()),
    ]
)
