"""GLM-4: gate and up are the halves of one tensor, and an RMSNorm stands after the FFN too."""

from dataclasses import replace

from ffn_extract.architectures import phi3
from ffn_extract.architectures.declaration import NormNames

ARCHITECTURE = replace(
    phi3.ARCHITECTURE,
    model_type="glm4",
    norm=NormNames(
        "rms", gain=("norm.weight",), epsilon_key="rms_norm_eps", default_epsilon=1.5625e-7
    ),
    after_ffn=NormNames("rms", gain=("layers.{layer}.post_mlp_layernorm.weight",)),
)
