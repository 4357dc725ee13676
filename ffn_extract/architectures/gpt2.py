"""GPT-2. Its Conv1D stores matrices transposed: values are rows, keys are columns."""

from ffn_extract.architectures.declaration import Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="gpt2",
    prefixes=("transformer.", ""),
    key=Matrix("h.{layer}.mlp.c_fc.weight", "col"),
    value=Matrix("h.{layer}.mlp.c_proj.weight", "row"),
    embedding="wte.weight",
    heads=("lm_head.weight",),
    norm=NormNames(
        "layer", gain=("ln_f.weight",), bias=("ln_f.bias",), epsilon_key="layer_norm_epsilon"
    ),
    value_module="h.{layer}.mlp.c_proj",
    layers_key="n_layer",
    d_model_key="n_embd",
    d_ff_key="n_inner",
    d_ff_factor=4,
    activation_key="activation_function",
)
