"""Detect quantised weights by their tensors, not by config.json."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from ffn_extract.architectures.companions import require_unquantised
from ffn_extract.checkpoints.tensor_files import FLOAT_TYPES, TensorFiles
from ffn_extract.gguf_format.head import READABLE
from ffn_extract.quantised_formats.files import DequantisedFiles

_log = logging.getLogger(__name__)
_READ = FLOAT_TYPES | READABLE


def require_plain(files: TensorFiles, name: str, config: Mapping[str, Any]) -> None:
    """Refuse a quantised tensor, stored whole or in parts.

    Raises ArchitectureError with the format's name.
    """
    stored_as = files.dtype(name) if name in files.names else None
    plain = stored_as in _READ
    require_unquantised(name, files.names, config, None if plain else stored_as)


def require_readable(files: TensorFiles, name: str, config: Mapping[str, Any]) -> None:
    """Refuse a tensor whose type is no plain float; cheap, so every used tensor is checked."""
    if name in files.names and files.dtype(name) not in _READ:
        require_plain(files, name, config)


def report_plain(files: TensorFiles, used: Iterable[str], config: Mapping[str, Any]) -> None:
    """Log once that config.json declares a quantisation that the tensors do not have."""
    said = config.get("quantization_config")
    if not isinstance(said, Mapping) or isinstance(files, DequantisedFiles):
        return
    types = sorted({files.dtype(name) for name in used})
    _log.warning(
        "config.json has a quantization_config (%s), but the tensors used are plain %s without "
        "scales. They are read unchanged.",
        said.get("quant_method", "no method named"),
        " and ".join(types),
    )
