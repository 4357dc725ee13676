"""What config.json says of a model's quantisation. No torch."""

from collections.abc import Mapping
from typing import Any

from ffn_extract.errors import CheckpointError

READ = {
    "awq": "AWQ", "bitsandbytes": "bitsandbytes", "compressed-tensors": "compressed-tensors",
    "fp8": "fp8", "gptq": "GPTQ", "mxfp4": "MXFP4",
}  # fmt: skip
"""The formats that are read: quant_method in config.json, and a title."""
WAY_OUT = (
    "Give the model as it was before it was quantised, or load it with transformers, call "
    "dequantize(), save it with save_pretrained, and give that folder."
)


def declared(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of the quantisation; empty without any.

    A model in parts can have them in its text part, and older files under another name.
    """
    for part in (config, config.get("text_config")):
        for key in ("quantization_config", "compression_config"):
            found = part.get(key) if isinstance(part, Mapping) else None
            if isinstance(found, Mapping):
                return found
    return {}


def is_read(config: Mapping[str, Any]) -> bool:
    """Whether config.json declares a format that is read."""
    return declared(config).get("quant_method") in READ


def refusal(title: str, name: str, why: str) -> CheckpointError:
    """Why a quantised tensor is not read, as an error with the way out."""
    return CheckpointError(f"The weights are stored quantised ({title}): {name} {why}. {WAY_OUT}")
