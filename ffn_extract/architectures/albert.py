"""ALBERT: one FFN that all layers share, read as layer 0's; it has no updates of one layer.

The embeddings are narrower than the layers, so vectors reach them through the masked-LM head's
dense layer, which a base model's file does not have.
"""

from ffn_extract.architectures.declaration import (
    FFN,
    Architecture,
    MaskedHead,
    Matrix,
    NormNames,
)

_SHARED = "encoder.albert_layer_groups.0.albert_layers.0."

ARCHITECTURE = Architecture(
    model_type="albert",
    prefixes=("albert.", ""),
    ffns=(
        FFN(
            key=Matrix(_SHARED + "ffn.weight", "row"),
            value=Matrix(_SHARED + "ffn_output.weight", "col"),
        ),
    ),
    embedding="embeddings.word_embeddings.weight",
    norm=NormNames(
        "layer",
        gain=(_SHARED + "full_layer_layer_norm.weight", _SHARED + "full_layer_layer_norm.gamma"),
        bias=(_SHARED + "full_layer_layer_norm.bias", _SHARED + "full_layer_layer_norm.beta"),
        default_epsilon=1e-12,
    ),
    value_module=None,
    project_out=Matrix("predictions.dense.weight", "row"),
    masked_head=MaskedHead(
        dense="predictions.dense.weight",
        gain=("predictions.LayerNorm.weight", "predictions.LayerNorm.gamma"),
        decoder="predictions.decoder.weight",
    ),
    layers_keys=("num_hidden_groups",),
    only=(("num_hidden_groups", 1), ("inner_group_num", 1)),
    form="encoder",
)
