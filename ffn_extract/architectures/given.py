"""A family that somebody describes on the command line instead of in a file of this folder."""

from collections.abc import Mapping
from typing import Any

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, Orientation


def given_architecture(
    config: Mapping[str, Any], *, value: str, key: str, unembedding: str, orientation: Orientation
) -> Architecture:
    """An architecture from whole tensor names, `{layer}` in those of the FFN's two matrices.

    Layers are counted in the file and sizes are the tensors' own. The key matrix is stored the
    other way round than the value matrix, as linear layers and Conv1D both do. No norm is known, so
    only the projection raw is possible.
    """
    model_type = config.get("model_type")
    return Architecture(
        model_type=model_type if isinstance(model_type, str) and model_type else "unknown",
        prefixes=("",),
        ffns=(
            FFN(
                key=Matrix(key, "col" if orientation == "row" else "row"),
                value=Matrix(value, orientation),
                d_ff_keys=(),
            ),
        ),
        embedding=unembedding,
        norm=None,
        value_module=value.removesuffix(".weight"),
        layers_keys=(),
        d_model_keys=(),
    )
