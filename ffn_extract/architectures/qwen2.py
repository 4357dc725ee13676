"""Qwen2: a gated FFN and RMSNorm, stored as LLaMA stores them; small sizes tie the head."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="qwen2",
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
    norm=NormNames("rms", gain=("norm.weight",), epsilon_key="rms_norm_eps", default_epsilon=1e-6),
    value_module="layers.{layer}.mlp.down_proj",
)
