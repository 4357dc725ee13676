"""Checks of tensors beside a tensor that change its meaning, by names alone. No torch.

A linear layer, an embedding or an expert has a weight and at most a bias. Whatever else carries its
name (a scale, a code, an adapter's matrix, a mask) takes part in the numbers that the model
computes with, so that reading the weight by itself would give another model's lists.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Any

from ffn_extract.errors import ArchitectureError
from ffn_extract.quantised_formats.declared import READ, WAY_OUT

_ADAPTER = re.compile(
    r"(?:.*\.)?(?:lora_\w+|base_layer|modules_to_save|ia3_l|hada_[wt]\w+|lokr_[wt]\w+|oft_\w+|boft_\w+"
    r"|vera_\w+|randlora_\w+|fourierft_\w+|hra_u|adapter_(?:down|up))(?:\..*)?"
)
"""Names that peft and the library adapters give to what they train."""
_PLAIN = frozenset({"weight", "bias", "_bias", "_extra_state"})
_QUANTISED = tuple(
    (title, re.compile(pattern))
    for title, pattern in (
        ("bitsandbytes 4-bit", r"weight\.(absmax|quant_map|nested_absmax|quant_state\..*)"),
        ("bitsandbytes 8-bit", r"SCB|weight_format|weight\.SCB"),
        ("GPTQ or AWQ", r"qweight|qzeros|g_idx"),
        ("AQLM", r"codes|codebooks"),
        ("HQQ", r"W_q|meta"),
        ("compressed-tensors", r"weight_packed|weight_shape|weight_zero_point|weight_g_idx"),
        ("fp8 with block scales", r"weight_scale_inv"),
        ("compressed-tensors, fp8 or BitNet", r"weight_scale|input_scale"),
        ("MXFP4", r"blocks|scales"),
        ("quanto", r"weight\._data|weight\._scale|input_scale|output_scale"),
        ("EETQ", r"weight_scales"),
    )
)
"""Formats, and what stands in a layer's names besides or instead of `weight`: scales and codes."""


def require_unadapted(names: frozenset[str]) -> None:
    """Refuse a file that holds an adapter's tensors. Raises ArchitectureError."""
    found = next((name for name in sorted(names) if _ADAPTER.fullmatch(name)), None)
    if found is not None:
        raise ArchitectureError(
            f"The weights hold an adapter that is not merged into them ({found}), which changes "
            "the model. Load it with peft, call merge_and_unload(), save the result with "
            "save_pretrained, and give that folder."
        )


def companions_of(name: str, names: frozenset[str]) -> list[str]:
    """The tensors of the same layer as `name`, besides a weight and a bias."""
    stem = name.removesuffix("weight")
    ordered = _ordered(names)
    places = range(bisect_left(ordered, stem), len(ordered))
    beside = takewhile(lambda other: other.startswith(stem), (ordered[i] for i in places))
    # Experts stored together have no `.weight`: their parts have names such as _blocks.
    own = "" if stem.endswith(".") else ("_", ".")
    return [
        other
        for other in beside
        if other != name and (rest := other[len(stem) :]) not in _PLAIN and rest.startswith(own)
    ]


def quantisation_of(name: str, names: frozenset[str]) -> tuple[str, str] | None:
    """The quantisation format of a tensor, and the tensor that shows it; else None."""
    companions = companions_of(name, names)
    stem = name.removesuffix("weight")
    for title, pattern in _QUANTISED if companions else ():
        for other in companions:
            if pattern.fullmatch(other[len(stem) :].removeprefix("_")):
                return title, other
    return None


def require_unquantised(
    name: str, names: frozenset[str], config: Mapping[str, Any], stored_as: str | None = None
) -> None:
    """Refuse a quantised tensor, stored whole or in parts.

    `stored_as` is its type, where that cannot be read. Raises ArchitectureError with the format's
    name.
    """
    found = quantisation_of(name, names)
    if found is None and stored_as is None:
        return
    said = config.get("quantization_config")
    method = said.get("quant_method") if isinstance(said, Mapping) else None
    title = found[0] if found else stored_as
    by_config = f"; config.json names {method}" if method else ""
    how = f" as {stored_as}" if stored_as else "" if name in names else " in parts"
    beside = f", with {found[1]}" if found else ""
    raise ArchitectureError(
        f"The weights are stored quantised ({title}{by_config}): {name} is there{how}{beside}. "
        f"The formats that are read, by quant_method in config.json, are {', '.join(READ)}. "
        f"{WAY_OUT}"
    )


def require_alone(name: str, names: frozenset[str]) -> None:
    """Refuse a tensor with an unknown companion that may change it.

    Raises ArchitectureError.
    """
    companions = companions_of(name, names)
    if companions:
        raise ArchitectureError(
            f"Beside {name} the weights have {companions[0]}, which may change it in an unknown "
            "way. Load the model in the program that saved it, merge such tensors into their "
            "matrix, and save the plain model."
        )


@lru_cache(maxsize=2)
def _ordered(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
