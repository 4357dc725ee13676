"""Qwen2-MoE: experts and a shared expert behind a sigmoid gate; some layers may be dense.

The shared expert's vectors are numbered after those of the routed experts.
"""

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames

ARCHITECTURE = Architecture(
    model_type="qwen2_moe",
    prefixes=("model.", ""),
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.mlp.experts.{expert}.gate_proj.weight", "row"),
            up=Matrix("layers.{layer}.mlp.experts.{expert}.up_proj.weight", "row"),
            value=Matrix("layers.{layer}.mlp.experts.{expert}.down_proj.weight", "col"),
            d_ff_keys=("moe_intermediate_size",),
            experts_keys=("num_experts", "num_local_experts"),
            then=FFN(
                key=Matrix("layers.{layer}.mlp.shared_expert.gate_proj.weight", "row"),
                up=Matrix("layers.{layer}.mlp.shared_expert.up_proj.weight", "row"),
                value=Matrix("layers.{layer}.mlp.shared_expert.down_proj.weight", "col"),
                d_ff_keys=("shared_expert_intermediate_size",),
                gate_module="layers.{layer}.mlp.shared_expert_gate",
            ),
        ),
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
    value_module="layers.{layer}.mlp",
)
