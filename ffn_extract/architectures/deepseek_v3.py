"""DeepSeek-V3: experts and a shared expert; the first layers are dense.

The shared expert's vectors are numbered after those of the routed experts. A coefficient includes
the router's weight and its scaling.
"""

from dataclasses import replace

from ffn_extract.architectures import qwen3_moe
from ffn_extract.architectures.declaration import FFN, Matrix

_ROUTED, _DENSE = qwen3_moe.ARCHITECTURE.ffns

ARCHITECTURE = replace(
    qwen3_moe.ARCHITECTURE,
    model_type="deepseek_v3",
    ffns=(
        replace(
            _ROUTED,
            experts_keys=("n_routed_experts", "num_local_experts"),
            then=FFN(
                key=Matrix("layers.{layer}.mlp.shared_experts.gate_proj.weight", "row"),
                up=Matrix("layers.{layer}.mlp.shared_experts.up_proj.weight", "row"),
                value=Matrix("layers.{layer}.mlp.shared_experts.down_proj.weight", "col"),
                d_ff_keys=("moe_intermediate_size",),
                d_ff_times="n_shared_experts",
            ),
        ),
        _DENSE,
    ),
)
