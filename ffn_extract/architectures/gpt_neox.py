"""GPT-NeoX and Pythia: attention and FFN in parallel by default, a head of their own."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="gpt_neox",
    prefixes=("gpt_neox.", ""),
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.mlp.dense_h_to_4h.weight", "row"),
            value=Matrix("layers.{layer}.mlp.dense_4h_to_h.weight", "col"),
        ),
    ),
    embedding="embed_in.weight",
    norm=NormNames("layer", gain=("final_layer_norm.weight",), bias=("final_layer_norm.bias",)),
    value_module="layers.{layer}.mlp.dense_4h_to_h",
    heads=("embed_out.weight", "lm_head.weight"),
    tied_by_default=False,
)
