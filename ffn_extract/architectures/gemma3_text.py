"""Gemma 3, text only: norms again after the FFN; gains are 1 + w."""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="gemma3_text",
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
    tied_by_default=True,
    norm=NormNames(
        "rms",
        gain=("norm.weight",),
        epsilon_key="rms_norm_eps",
        default_epsilon=1e-6,
        gain_offset=1.0,
    ),
    after_ffn=NormNames(
        "rms", gain=("layers.{layer}.post_feedforward_layernorm.weight",), gain_offset=1.0
    ),
    value_module="layers.{layer}.mlp.down_proj",
    activation_key="hidden_activation",
    default_activation="gelu_pytorch_tanh",
)
