"""Row of the table of the measurement `norm`."""

from dataclasses import dataclass


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
