"""Quantisation as config.json declares it, and the formats that are read. No torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from ffn_extract.errors import CheckpointError


@dataclass(frozen=True)
class Form:
    """A format: its variants that are read, its numbers, and packages that give the same."""

    title: str
    read: str
    numbers: str
    checked_with: tuple[str, ...]


FORMS = {
    "awq": Form(
        "AWQ", "gemm, 4 bits", "(code − zero point) · scale, exact", ("autoawq",)
    ),
    "bitsandbytes": Form(
        "bitsandbytes",
        "LLM.int8, nf4 and fp4, with and without double quantisation",
        "code · scale (int8: · 1/127), before rounding to the model's type",
        ("bitsandbytes",),
    ),
    "compressed-tensors": Form(
        "compressed-tensors",
        "pack-quantized with 4 or 8 bits, int-, float- and naive-quantized int8 and fp8",
        "(code − zero point) · scale",
        ("compressed-tensors",),
    ),
    "fp8": Form(
        "fp8", "weight_scale_inv for blocks or the whole matrix", "code · scale", ("transformers",)
    ),
    "gptq": Form(
        "GPTQ",
        "gptq and gptq_v2, 4 or 8 bits, with and without desc_act",
        "(code − zero point) · scale, exact",
        ("auto_gptq", "gptqmodel"),
    ),
    "mxfp4": Form(
        "MXFP4", "stacks of experts (gpt-oss)", "code · 2^exponent, exact",
        ("torchao", "transformers"),
    ),
}  # fmt: skip
"""The formats that are read, by quant_method in config.json."""
READ = {method: form.title for method, form in FORMS.items()}
_BESIDE = re.compile(
    r"(qzeros|scales|g_idx|SCB|weight_format|weight_(scale|zero_point|shape)\w*"
    r"|weight\.\w+(\.\w+)?|(input|output|activation)_\w+)$"
)
"""Ends of the names of scales and zero points."""
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
    return str(declared(config).get("quant_method")) in READ


def count_parameters(shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]) -> int:
    """How many numbers a quantised model has, without its scales and zero points."""
    per_word = 32 // _bits(declared(config))
    total = 0
    for name, shape in shapes.items():
        if name.endswith(("qweight", "weight_packed")):
            total += per_word * prod(shape)
        elif name.endswith("_blocks") or f"{name}.absmax" in shapes:  # two in a byte
            total += 2 * prod(shape)
        elif not _BESIDE.search(name):
            total += prod(shape)
    return total


def _bits(settings: Mapping[str, Any]) -> int:
    """Bits of a packed number; 4 where config.json does not say 8."""
    said = str(settings.get("config_groups")) if "config_groups" in settings else ""
    return 8 if settings.get("bits") == 8 or "'num_bits': 8" in said else 4


def refusal(title: str, name: str, why: str) -> CheckpointError:
    """Why a quantised tensor is not read, as an error with the way out."""
    return CheckpointError(f"The weights are stored quantised ({title}): {name} {why}. {WAY_OUT}")
