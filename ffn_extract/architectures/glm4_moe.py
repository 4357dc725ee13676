"""GLM-4.5 and later: DeepSeek-V3's form of experts."""

from dataclasses import replace

from ffn_extract.architectures import deepseek_v3
from ffn_extract.architectures.declaration import NormNames

ARCHITECTURE = replace(
    deepseek_v3.ARCHITECTURE,
    model_type="glm4_moe",
    norm=NormNames("rms", gain=("norm.weight",), epsilon_key="rms_norm_eps", default_epsilon=1e-5),
)
