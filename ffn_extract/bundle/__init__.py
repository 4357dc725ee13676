"""The bundle: the folder that carries an extraction to the site. Loads without torch.

`docs/bundle-format.md` specifies it. `write_bundle` makes one, `open_bundle` validates and reads
one; nothing else in the product touches the files.
"""

from ffn_extract.bundle.manifest import Counts, FileRecord, Manifest, ModelInfo, UnembeddingInfo
from ffn_extract.bundle.reading import (
    BUNDLE_FILES,
    OPTIONAL_FILES,
    Bundle,
    open_bundle,
    read_heads,
)
from ffn_extract.bundle.rows import TokenRow, TriggerPrefixRow, ValueStatisticsRow, VectorRow
from ffn_extract.bundle.writing import write_bundle
from ffn_extract.errors import BundleError

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
