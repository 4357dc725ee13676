"""Table of `compare-norm`."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """The overlap of one kind's lists in one layer: mean, deviation and extremes over vectors."""

    layer: int
    kind: str
    vectors: int
    mean_iou: float
    std_iou: float
    min_iou: float
    max_iou: float


def table_csv(rows: Sequence[Row]) -> str:
    """The table as CSV with a header, a line per layer and kind."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Row.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()
