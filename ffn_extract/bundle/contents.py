"""The content files of a bundle: their names, columns and rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ffn_extract.bundle.columns import (
    PREFIXES_SCHEMA,
    STATISTICS_SCHEMA,
    TOKENS_SCHEMA,
    TOKENS_SCHEMA_1,
    VECTORS_SCHEMA,
)
from ffn_extract.bundle.rows import (
    OPTIONAL_FILES,
    PREFIXES_FILE,
    STATISTICS_FILE,
    TOKENS_FILE,
    VECTORS_FILE,
    Row,
    TriggerPrefixRow,
    ValueStatisticsRow,
    VectorRow,
    token_row,
)


@dataclass(frozen=True)
class Content:
    """A content file; `row` makes a row from the values of its columns."""

    file: str
    schema: pa.Schema
    row: Callable[[Sequence[Any]], Row]
    schema_1: pa.Schema | None = None

    @property
    def optional(self) -> bool:
        """Whether a bundle may be without it."""
        return self.file in OPTIONAL_FILES

    def columns(self, version: int) -> pa.Schema:
        """The columns in a version of the format."""
        return self.schema_1 if version == 1 and self.schema_1 is not None else self.schema


CONTENTS = {
    "tokens": Content(TOKENS_FILE, TOKENS_SCHEMA, token_row, schema_1=TOKENS_SCHEMA_1),
    "vectors": Content(VECTORS_FILE, VECTORS_SCHEMA, lambda values: VectorRow(*values)),
    "value_statistics": Content(
        STATISTICS_FILE, STATISTICS_SCHEMA, lambda values: ValueStatisticsRow(*values)
    ),
    "trigger_prefixes": Content(
        PREFIXES_FILE, PREFIXES_SCHEMA, lambda values: TriggerPrefixRow(*values)
    ),
}
"""By the name of their number of rows in the manifest, in the order in which they are checked."""
