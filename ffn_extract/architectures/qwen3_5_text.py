"""Qwen3.5, text only: Qwen3's FFN behind two kinds of attention; gains are 1 + w."""

from dataclasses import replace

from ffn_extract.architectures import qwen3
from ffn_extract.architectures.declaration import NormNames

ARCHITECTURE = replace(
    qwen3.ARCHITECTURE,
    model_type="qwen3_5_text",
    norm=NormNames(
        "rms",
        gain=("norm.weight",),
        epsilon_key="rms_norm_eps",
        default_epsilon=1e-6,
        gain_offset=1.0,
    ),
)
