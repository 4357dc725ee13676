"""Phi-3: a gated FFN whose gate and up matrices are the two halves of one tensor."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="phi3",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.mlp.gate_up_proj.weight", "row", "first half"),
            up=Matrix("layers.{layer}.mlp.gate_up_proj.weight", "row", "second half"),
            value=Matrix("layers.{layer}.mlp.down_proj.weight", "col"),
        ),
    ),
    embedding="embed_tokens.weight",
    heads=("lm_head.weight",),
    tied_by_default=False,
    norm=NormNames("rms", gain=("norm.weight",), epsilon_key="rms_norm_eps", default_epsilon=1e-5),
    value_module="layers.{layer}.mlp.down_proj",
)
