"""DeBERTa v2 and v3: BERT's FFN behind another attention."""

from dataclasses import replace

from ffn_extract.architectures import bert
from ffn_extract.architectures.declaration import NormNames

ARCHITECTURE = replace(
    bert.ARCHITECTURE,
    model_type="deberta-v2",
    prefixes=("deberta.", ""),
    norm=NormNames(
        "layer",
        gain=(
            "encoder.layer.{layer}.output.LayerNorm.weight",
            "encoder.layer.{layer}.output.LayerNorm.gamma",
        ),
        bias=(
            "encoder.layer.{layer}.output.LayerNorm.bias",
            "encoder.layer.{layer}.output.LayerNorm.beta",
        ),
        default_epsilon=1e-7,
    ),
)
