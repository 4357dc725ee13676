"""ELECTRA: BERT's encoder, whose embeddings are narrower in some sizes.

Where they are, vectors reach them only through the generator's dense layer, which a discriminator's
file does not have; where they are not, vectors are projected straight onto them, as BERT's.
"""

from ffn_extract.architectures.declaration import (
    FFN,
    Architecture,
    MaskedHead,
    Matrix,
    NormNames,
)

ARCHITECTURE = Architecture(
    model_type="electra",
    prefixes=("electra.", ""),
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
    project_out=Matrix("generator_predictions.dense.weight", "row"),
    masked_head=MaskedHead(
        dense="generator_predictions.dense.weight",
        gain=("generator_predictions.LayerNorm.weight", "generator_predictions.LayerNorm.gamma"),
        decoder="generator_lm_head.weight",
    ),
    form="encoder",
)
