"""BERT: an encoder, projected straight onto its word embeddings.

Each block ends with a norm of its own, which takes the place of a final norm. A masked-LM head's
extra dense layer is left out, unless --through-head asks for it.
"""

from ffn_extract.architectures.declaration import (
    FFN,
    Architecture,
    MaskedHead,
    Matrix,
    NormNames,
)

ARCHITECTURE = Architecture(
    model_type="bert",
    prefixes=("bert.", ""),
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
        dense="cls.predictions.transform.dense.weight",
        gain=(
            "cls.predictions.transform.LayerNorm.weight",
            "cls.predictions.transform.LayerNorm.gamma",
        ),
        decoder="cls.predictions.decoder.weight",
    ),
    form="encoder",
)
