"""OLMoE: experts, each a gated FFN, in every layer."""

from dataclasses import replace

from ffn_extract.architectures import qwen3_moe
from ffn_extract.architectures.declaration import NormNames

ARCHITECTURE = replace(
    qwen3_moe.ARCHITECTURE,
    model_type="olmoe",
    ffns=(replace(qwen3_moe.ARCHITECTURE.ffns[0], d_ff_keys=("intermediate_size",)),),
    norm=NormNames("rms", gain=("norm.weight",), epsilon_key="rms_norm_eps", default_epsilon=1e-5),
)
