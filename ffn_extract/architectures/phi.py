"""Phi-1 and Phi-2: attention and FFN in parallel. The head's bias is left out of the projection."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="phi",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.mlp.fc1.weight", "row"),
            value=Matrix("layers.{layer}.mlp.fc2.weight", "col"),
        ),
    ),
    embedding="embed_tokens.weight",
    heads=("lm_head.weight",),
    tied_by_default=False,
    norm=NormNames("layer", gain=("final_layernorm.weight",), bias=("final_layernorm.bias",)),
    value_module="layers.{layer}.mlp.fc2",
)
