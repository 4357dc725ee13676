"""OLMo: a gated FFN; its LayerNorm has no parameters."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="olmo",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.mlp.gate_proj.weight", "row"),
            up=Matrix("layers.{layer}.mlp.up_proj.weight", "row"),
            value=Matrix("layers.{layer}.mlp.down_proj.weight", "col"),
        ),
    ),
    embedding="embed_tokens.weight",
    heads=("lm_head.weight",),
    tied_by_default=False,
    norm=NormNames("layer", gain=()),
    value_module="layers.{layer}.mlp.down_proj",
    norm_module="norm",
)
