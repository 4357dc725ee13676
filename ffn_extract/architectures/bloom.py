"""BLOOM. Published files have no prefix."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="bloom",
    prefixes=("transformer.", ""),
    ffns=(
        FFN(
            key=Matrix("h.{layer}.mlp.dense_h_to_4h.weight", "row"),
            value=Matrix("h.{layer}.mlp.dense_4h_to_h.weight", "col"),
            d_ff_keys=(),
            d_ff_factor=4,
        ),
    ),
    embedding="word_embeddings.weight",
    heads=("lm_head.weight",),
    tied_by_default=True,
    norm=NormNames(
        "layer", gain=("ln_f.weight",), bias=("ln_f.bias",), epsilon_key="layer_norm_epsilon"
    ),
    value_module="h.{layer}.mlp.dense_4h_to_h",
    layers_keys=("n_layer", "num_hidden_layers"),
    d_model_keys=("hidden_size", "n_embed"),
    default_activation="gelu_pytorch_tanh",
)
