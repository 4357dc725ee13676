"""The columns of a bundle's files in Parquet. Apart from the rows, which load no pyarrow."""

import pyarrow as pa

from ffn_extract.bundle.rows import TOKEN_COLUMNS_1

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

_SENSE = pa.struct(
    [
        ("gloss", pa.string()),
        ("lemma", pa.string()),
        ("part", pa.string()),
        ("count", pa.int32()),
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
        ("gloss_part", pa.string()),
        ("senses", pa.list_(_SENSE)),
    ]
)
TOKENS_SCHEMA_1 = pa.schema([TOKENS_SCHEMA.field(i) for i in range(TOKEN_COLUMNS_1)])
"""The columns of version 1."""


STATISTICS_SCHEMA = pa.schema(
    [
        ("layer", pa.int32()),
        ("index", pa.int32()),
        ("norm", pa.float32()),
        ("kurtosis", pa.float32()),
        ("skew", pa.float32()),
        ("key_cosine", pa.float32()),
    ]
)

PREFIXES_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("layer", pa.int32()),
        ("index", pa.int32()),
        ("side", pa.string()),
        ("rank", pa.int32()),
        ("sentence", pa.int32()),
        ("position", pa.int32()),
        ("prefix", pa.string()),
        ("token_id", pa.int32()),
        ("coefficient", pa.float32()),
        ("copies", pa.int32()),
        ("gate_sign", pa.int8()),
        ("up_sign", pa.int8()),
    ]
)
