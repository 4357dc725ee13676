"""Llama 4, text only: experts stored together, with a shared expert; other layers are dense.

The router's weight multiplies what an expert reads, so a coefficient includes it. The shared
expert's vectors are numbered after those of the routed experts.
"""

from dataclasses import replace

from ffn_extract.architectures import llama
from ffn_extract.architectures.declaration import FFN, Matrix, NormNames

ARCHITECTURE = replace(
    llama.ARCHITECTURE,
    model_type="llama4_text",
    ffns=(
        FFN(
            key=Matrix("layers.{layer}.feed_forward.experts.gate_up_proj", "col", "first half"),
            up=Matrix("layers.{layer}.feed_forward.experts.gate_up_proj", "col", "second half"),
            value=Matrix("layers.{layer}.feed_forward.experts.down_proj", "row"),
            experts_keys=("num_local_experts",),
            routed="input",
            then=FFN(
                key=Matrix("layers.{layer}.feed_forward.shared_expert.gate_proj.weight", "row"),
                up=Matrix("layers.{layer}.feed_forward.shared_expert.up_proj.weight", "row"),
                value=Matrix("layers.{layer}.feed_forward.shared_expert.down_proj.weight", "col"),
            ),
        ),
        FFN(
            key=Matrix("layers.{layer}.feed_forward.gate_proj.weight", "row"),
            up=Matrix("layers.{layer}.feed_forward.up_proj.weight", "row"),
            value=Matrix("layers.{layer}.feed_forward.down_proj.weight", "col"),
            d_ff_keys=("intermediate_size_mlp",),
        ),
    ),
    norm=NormNames("rms", gain=("norm.weight",), epsilon_key="rms_norm_eps", default_epsilon=1e-5),
    value_module="layers.{layer}.feed_forward",
)
