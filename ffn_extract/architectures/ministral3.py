"""Ministral 3, and the text part of Mistral 3: LLaMA's layers."""

from dataclasses import replace

from ffn_extract.architectures import mistral
from ffn_extract.architectures.declaration import NormNames

ARCHITECTURE = replace(
    mistral.ARCHITECTURE,
    model_type="ministral3",
    norm=NormNames("rms", gain=("norm.weight",), epsilon_key="rms_norm_eps", default_epsilon=1e-5),
)
