"""Tell quantised weights from plain ones, by the tensors and not by what config.json says."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from ffn_extract.architectures.companions import quantisation_of
from ffn_extract.errors import ArchitectureError
from ffn_extract.tensor_files import FLOAT_TYPES, TensorFiles

_log = logging.getLogger(__name__)

WAY_OUT = (
    "Only float32, float16, bfloat16 and float64 weights can be read: give the model as it was "
    "before it was quantised, or load it with transformers, call dequantize(), save it with "
    "save_pretrained, and give that folder."
)


def require_plain(files: TensorFiles, name: str, config: Mapping[str, Any]) -> None:
    """Refuse a tensor that is stored quantised, whether it is there or its parts are.

    Raises ArchitectureError with the format's name.
    """
    found = quantisation_of(name, files.names)
    plain = name not in files.names or files.dtype(name) in FLOAT_TYPES
    if found is None and plain:
        return
    said = config.get("quantization_config")
    method = said.get("quant_method") if isinstance(said, Mapping) else None
    title = found[0] if found else files.dtype(name)
    by_config = f"; config.json names {method}" if method else ""
    what = f"as {files.dtype(name)}" if name in files.names else "in parts"
    beside = f", with {found[1]}" if found else ""
    raise ArchitectureError(
        f"The weights are stored quantised ({title}{by_config}): {name} is there {what}{beside}. "
        f"{WAY_OUT}"
    )


def require_readable(files: TensorFiles, name: str, config: Mapping[str, Any]) -> None:
    """Refuse a tensor whose type is no plain float: cheap, so every tensor used is asked."""
    if name in files.names and files.dtype(name) not in FLOAT_TYPES:
        require_plain(files, name, config)


def report_plain(files: TensorFiles, used: Iterable[str], config: Mapping[str, Any]) -> None:
    """Say it once when config.json speaks of a quantisation that the tensors do not have."""
    said = config.get("quantization_config")
    if not isinstance(said, Mapping):
        return
    types = sorted({files.dtype(name) for name in used})
    _log.warning(
        "config.json has a quantization_config (%s), but the tensors used are plain %s without "
        "scales: they are read as they are.",
        said.get("quant_method", "no method named"),
        " and ".join(types),
    )
