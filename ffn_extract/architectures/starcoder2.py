"""StarCoder2: GPT-2's names for the FFN, LLaMA's for the rest; values are columns."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="starcoder2",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.mlp.c_fc.weight", "row"),
            value=Matrix("layers.{layer}.mlp.c_proj.weight", "col"),
        ),
    ),
    embedding="embed_tokens.weight",
    heads=("lm_head.weight",),
    tied_by_default=True,
    norm=NormNames("layer", gain=("norm.weight",), bias=("norm.bias",), epsilon_key="norm_epsilon"),
    value_module="layers.{layer}.mlp.c_proj",
)
