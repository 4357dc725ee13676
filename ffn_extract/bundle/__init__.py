"""The bundle: the folder that carries an extraction to the site. Loads without torch.

`docs/bundle-format.md` specifies it. `write_bundle` makes one, `open_bundle` validates and reads
one; nothing else in the product touches the files. What reads and writes is loaded when it is first
used: it takes pyarrow, and a web server or an idle worker asks for names of files alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ffn_extract.bundle.manifest import Counts, FileRecord, Manifest, ModelInfo, UnembeddingInfo
from ffn_extract.bundle.rows import (
    BUNDLE_FILES,
    OPTIONAL_FILES,
    TokenRow,
    TriggerPrefixRow,
    ValueStatisticsRow,
    VectorRow,
)
from ffn_extract.errors import BundleError

if TYPE_CHECKING:
    from ffn_extract.bundle.reading import Bundle, open_bundle, read_heads
    from ffn_extract.bundle.writing import write_bundle

__all__ = [
    "BUNDLE_FILES",
    "OPTIONAL_FILES",
    "Bundle",
    "BundleError",
    "Counts",
    "FileRecord",
    "Manifest",
    "ModelInfo",
    "TokenRow",
    "TriggerPrefixRow",
    "UnembeddingInfo",
    "ValueStatisticsRow",
    "VectorRow",
    "open_bundle",
    "read_heads",
    "write_bundle",
]

_MODULES = {
    "Bundle": "reading", "open_bundle": "reading", "read_heads": "reading",
    "write_bundle": "writing",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
