"""GPT-J: attention and FFN in parallel. The head's bias is left out of the projection."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="gptj",
    prefixes=("transformer.", ""),
    ffns=(
        FFN(
            key=Matrix("h.{layer}.mlp.fc_in.weight", "row"),
            value=Matrix("h.{layer}.mlp.fc_out.weight", "col"),
            d_ff_keys=("n_inner",),
            d_ff_factor=4,
        ),
    ),
    embedding="wte.weight",
    heads=("lm_head.weight",),
    tied_by_default=False,
    norm=NormNames(
        "layer", gain=("ln_f.weight",), bias=("ln_f.bias",), epsilon_key="layer_norm_epsilon"
    ),
    value_module="h.{layer}.mlp.fc_out",
    layers_keys=("n_layer",),
    d_model_keys=("n_embd",),
    activation_key="activation_function",
)
