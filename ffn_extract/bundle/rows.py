"""The rows of a bundle as Python values; `columns` has their columns in Parquet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ffn_extract.bundle.manifest import MANIFEST_FILE
from ffn_extract.glosses.gloss import Sense

VECTORS_FILE = "vectors.parquet"
TOKENS_FILE = "tokens.parquet"
STATISTICS_FILE = "value_statistics.parquet"
PREFIXES_FILE = "trigger_prefixes.parquet"
OPTIONAL_FILES = frozenset({STATISTICS_FILE, PREFIXES_FILE})
BUNDLE_FILES = frozenset({MANIFEST_FILE, TOKENS_FILE, VECTORS_FILE})
"""The files of every bundle."""
TOKEN_COLUMNS_1 = 6
"""How many columns a token has in version 1: the first ones."""

LONGEST_TEXTS = {
    "kind": 20,
    "text": 1_000,
    "display": 1_000,
    "gloss": 4_000,
    "gloss_source": 100,
    "gloss_lemma": 1_000,
    "gloss_part": 20,
    "senses.gloss": 2_000,
    "senses.lemma": 500,
    "senses.part": 20,
    "context": 10_000,
    "context_token": 1_000,
    "side": 20,
    "prefix": 4_000,
}
"""The longest text of each column, in bytes of UTF-8."""
CUT = "…"
CUT_AT_START = frozenset({"prefix"})
"""The columns of which the end matters most."""
PARTS_OF_SPEECH = ("noun", "verb", "adjective", "adverb")
MOST_SENSES = 4
SIDES = ("positive", "negative")
MOST_PREFIXES = 50
"""Trigger prefixes of a key on each side."""
SHOWN_PREFIXES = 25
"""Those that people are shown; a key with fewer active prefixes has a shorter list."""


def fitting(text: str, column: str) -> str:
    """Cut a text that is longer than its column allows, with `CUT` where it was cut.

    Examples
    --------
    >>> fitting("a kind of animal" * 7, "gloss_source")[-12:]
    ' of animala…'
    >>> fitting("a kind of animal" * 300, "prefix")[:12]
    '…ind of anim'
    """
    most = LONGEST_TEXTS[column]
    if len(text) * 4 <= most or len(content := text.encode()) <= most:
        return text
    left = most - len(CUT.encode())
    if column in CUT_AT_START:
        return CUT + content[-left:].decode(errors="ignore")
    return content[:left].decode(errors="ignore") + CUT


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One vocabulary entry that occurs in a list.

    `text` is the tokenizer's exact string, `display` what a person sees. `gloss`, `gloss_source`
    and `gloss_lemma` are all given or all None. `gloss_part` is the gloss's part of speech if it
    is known, `senses` at most `MOST_SENSES` ranked meanings; both only with a gloss.
    """

    token_id: int
    text: str
    display: str
    gloss: str | None = None
    gloss_source: str | None = None
    gloss_lemma: str | None = None
    gloss_part: str | None = None
    senses: tuple[Sense, ...] = ()


def token_row(values: Sequence[Any]) -> TokenRow:
    """A row from the values of its columns, with senses as mappings of their fields or as rows."""
    if len(values) == TOKEN_COLUMNS_1:
        return TokenRow(*values)
    *plain, senses = values
    return TokenRow(*[*plain, tuple(map(_sense, senses or ()))])


def _sense(fields: Mapping[str, Any] | Sequence[Any]) -> Sense:
    return Sense(**fields) if isinstance(fields, Mapping) else Sense(*fields)


@dataclass(frozen=True, slots=True)
class VectorRow:
    """One vector with its lists; position in a list is rank - 1.

    `index` is the row of the value matrix for kind "value", of the key matrix for kind "key", the
    draw's number for the others. `norm` is the Euclidean norm of the vector as it stands in the
    model. Kind "shuffled" is a list without a vector: `norm` and `scores` are None. The bottom
    lists are None there and where coefficients are never negative; the context fields are None
    except for kind "update", where `context_position` counts the model's input tokens from 0 and
    `context_token` is the display form of the token there.
    """

    kind: str
    layer: int
    index: int
    norm: float | None
    token_ids: list[int]
    scores: list[float] | None
    bottom_token_ids: list[int] | None = None
    bottom_scores: list[float] | None = None
    context: str | None = None
    context_position: int | None = None
    context_token: str | None = None


@dataclass(frozen=True, slots=True)
class ValueStatisticsRow:
    """Numbers about one value vector, whether the bundle has its list or not.

    `kurtosis` (0 for a normal distribution) and `skew` are of its scores; None where all scores
    are equal. `key_cosine` is the cosine of the vector with its key; None where there is none.
    """

    layer: int
    index: int
    norm: float
    kurtosis: float | None
    skew: float | None
    key_cosine: float | None


@dataclass(frozen=True, slots=True)
class TriggerPrefixRow:
    """One of the prefixes that activate a key most, at its rank, from 1, on a side.

    `sentence` is the number of a sentence in its corpus, `position` that of the prefix's last
    token in the model's input, `token_id` that token; all are counted from 0. `coefficient` is the
    key's there. `copies` counts sentences that begin with the same tokens, this one among them.
    The signs are those of the coefficient's two factors in a gated FFN, elsewhere None.
    """

    kind: str
    layer: int
    index: int
    side: str
    rank: int
    sentence: int
    position: int
    prefix: str
    token_id: int
    coefficient: float
    copies: int = 1
    gate_sign: int | None = None
    up_sign: int | None = None


Row = VectorRow | TokenRow | ValueStatisticsRow | TriggerPrefixRow
