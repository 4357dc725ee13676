"""Read and change what a causal model's FFN layers do while it runs.

`Reader` gives x, m, o and x̃ of chosen layers and positions; `intervened` changes coefficients.
"""

from ffn_extract.tracing.batches import Batch, BatchPlan, batch_of
from ffn_extract.tracing.interventions import Intervention, intervened
from ffn_extract.tracing.reader import LayerReading, Reader

__all__ = [
    "Batch",
    "BatchPlan",
    "Intervention",
    "LayerReading",
    "Reader",
    "batch_of",
    "intervened",
]
