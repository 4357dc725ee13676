"""GPT-2. Its Conv1D stores matrices transposed: values are rows, keys are columns."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="gpt2",
    prefixes=("transformer.", ""),
    ffns=(
        FFN(
            key=Matrix("h.{layer}.mlp.c_fc.weight", "col"),
            value=Matrix("h.{layer}.mlp.c_proj.weight", "row"),
            d_ff_keys=("n_inner",),
            d_ff_factor=4,
        ),
    ),
    embedding="wte.weight",
    heads=("lm_head.weight",),
    tied_by_default=True,
    norm=NormNames(
        "layer", gain=("ln_f.weight",), bias=("ln_f.bias",), epsilon_key="layer_norm_epsilon"
    ),
    value_module="h.{layer}.mlp.c_proj",
    layers_keys=("n_layer",),
    d_model_keys=("n_embd",),
    activation_key="activation_function",
)
