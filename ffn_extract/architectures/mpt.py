"""MPT: no biases, not even in its LayerNorm."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="mpt",
    prefixes=("transformer.", ""),
    ffns=(
        FFN(
            key=Matrix("blocks.{layer}.ffn.up_proj.weight", "row"),
            value=Matrix("blocks.{layer}.ffn.down_proj.weight", "col"),
            d_ff_keys=(),
            d_ff_factor=4,
        ),
    ),
    embedding="wte.weight",
    heads=("lm_head.weight",),
    tied_by_default=True,
    norm=NormNames("layer", gain=("norm_f.weight",), epsilon_key="layer_norm_epsilon"),
    value_module="blocks.{layer}.ffn.down_proj",
    layers_keys=("n_layers",),
    d_model_keys=("d_model",),
    default_activation="gelu",
)
