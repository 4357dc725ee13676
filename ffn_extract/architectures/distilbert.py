"""DistilBERT: BERT's encoder under names of its own."""

from ffn_extract.architectures.declaration import (
    FFN,
    Architecture,
    MaskedHead,
    Matrix,
    NormNames,
)

ARCHITECTURE = Architecture(
    model_type="distilbert",
    prefixes=("distilbert.", ""),
    ffns=(
        FFN(
            key=Matrix("transformer.layer.{layer}.ffn.lin1.weight", "row"),
            value=Matrix("transformer.layer.{layer}.ffn.lin2.weight", "col"),
            d_ff_keys=("hidden_dim",),
        ),
    ),
    embedding="embeddings.word_embeddings.weight",
    norm=NormNames(
        "layer",
        gain=(
            "transformer.layer.{layer}.output_layer_norm.weight",
            "transformer.layer.{layer}.output_layer_norm.gamma",
        ),
        bias=(
            "transformer.layer.{layer}.output_layer_norm.bias",
            "transformer.layer.{layer}.output_layer_norm.beta",
        ),
        default_epsilon=1e-12,
    ),
    value_module="transformer.layer.{layer}.ffn.lin2",
    layers_keys=("n_layers",),
    d_model_keys=("dim",),
    activation_key="activation",
    masked_head=MaskedHead(
        dense="vocab_transform.weight",
        gain=("vocab_layer_norm.weight", "vocab_layer_norm.gamma"),
        decoder="vocab_projector.weight",
    ),
    form="encoder",
)
