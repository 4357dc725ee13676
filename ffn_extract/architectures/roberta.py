"""RoBERTa: BERT's encoder under another prefix."""

from ffn_extract.architectures.declaration import (
    FFN,
    Architecture,
    MaskedHead,
    Matrix,
    NormNames,
)

ARCHITECTURE = Architecture(
    model_type="roberta",
    prefixes=("roberta.", ""),
    ffns=(
        FFN(
            key=Matrix("encoder.layer.{layer}.intermediate.dense.weight", "row"),
            # Not attention.output.dense, which ends in the same words.
            value=Matrix("encoder.layer.{layer}.output.dense.weight", "col"),
        ),
    ),
    embedding="embeddings.word_embeddings.weight",
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
        default_epsilon=1e-12,
    ),
    value_module="encoder.layer.{layer}.output.dense",
    masked_head=MaskedHead(
        dense="lm_head.dense.weight",
        gain=("lm_head.layer_norm.weight", "lm_head.layer_norm.gamma"),
        decoder="lm_head.decoder.weight",
    ),
    form="encoder",
)
