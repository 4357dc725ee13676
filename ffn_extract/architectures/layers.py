"""Find the layers with an FFN in the file, and the model's number of layers."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ffn_extract.architectures.declaration import Architecture
from ffn_extract.architectures.naming import matrices_of, name_on_disk, pattern_of
from ffn_extract.architectures.settings import size_of
from ffn_extract.errors import ArchitectureError
from ffn_extract.limits import MOST_LAYERS
from ffn_extract.tensor_names import ranges

LAYER_COUNTS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers",
    "decoder_layers", "encoder_layers",
)  # fmt: skip
"""Names of the number of layers in the config.json of any family."""

_ON_REQUEST = "--allow-fewer-layers reads"


@dataclass(frozen=True)
class Layers:
    """The layers to read, by their true numbers, of the model's `total`."""

    read: tuple[int, ...]
    total: int


def find_layers(
    family: Architecture,
    settings: Mapping[str, Any],
    names: Collection[str],
    prefix: str,
    *,
    allow_fewer: bool,
) -> Layers:
    """Compare config.json with the file: a layer is read when it has an FFN of the family.

    A layer is in the file when it has any tensor; an FFN without a layer's number is layer 0's.
    Where the family is described by hand, config.json may count layers under any of `LAYER_COUNTS`.

    Raises ArchitectureError when the counts differ or layers lack the FFN, unless `allow_fewer`;
    and when no layer has it.
    """
    said = _said(family, settings)
    with_ffn, in_file = _numbers(family, names, prefix)
    stored = max(in_file, default=-1) + 1
    if stored > MOST_LAYERS:
        raise ArchitectureError(
            f"A tensor's name gives it to layer {stored - 1:,}; a model of at most {MOST_LAYERS:,} "
            "layers can be read."
        )
    total = max([stored, *said]) if family.layers_keys or stored not in said else stored
    read = tuple(sorted(layer for layer in with_ffn if layer < max(said or {total})))
    mark = family.ffns[0].mark
    first = name_on_disk(prefix, mark, 0)
    if not read:
        raise ArchitectureError(
            f"The weights have no {first}, which a {family.model_type} model of {total} layers "
            "needs."
        )
    if len(read) == total or allow_fewer:
        return Layers(read, total)
    if said and stored > max(said):
        raise ArchitectureError(
            f"config.json says {_counted(max(said))}, but the weights have {stored}. Correct "
            f"config.json, or give the model that it describes; {_ON_REQUEST} the first "
            f"{_counted(max(said))} alone."
        )
    gap = next(layer for layer in range(total) if layer not in read)
    raise ArchitectureError(
        f"The weights have no {name_on_disk(prefix, mark, gap)}, which a "
        f"{family.model_type} model of {total} layers needs: {len(read)} of {total} layers "
        f"have the FFN's tensors (layer {ranges(read)}). Give the whole model; {_ON_REQUEST} those "
        "layers alone."
    )


def _said(family: Architecture, settings: Mapping[str, Any]) -> set[int]:
    if family.layers_keys:
        return {size_of(settings, family.layers_keys, MOST_LAYERS)}
    counts = (settings.get(key) for key in LAYER_COUNTS)
    return {n for n in counts if type(n) is int and 0 < n <= MOST_LAYERS}


def _numbers(
    family: Architecture, names: Collection[str], prefix: str
) -> tuple[set[int], set[int]]:
    """Numbers of the layers with a matrix of the FFN, and of those with any tensor."""
    with_ffn: set[int] = set()
    in_file: set[int] = set()
    for matrix in matrices_of(family.ffns):
        whole = re.compile(re.escape(prefix) + pattern_of(matrix))
        before, _, after = matrix.name.partition("{layer}")
        # The number is a part of the name by itself; else only whole names tell.
        own = after.startswith(".") and (not before or before.endswith("."))
        any_tensor = re.compile(rf"{re.escape(prefix + before)}(\d{{1,6}})\.")
        for name in names:
            if match := whole.fullmatch(name):
                with_ffn.add(int(match.groupdict().get("layer", 0)))
            if own and (match := any_tensor.match(name)):
                in_file.add(int(match[1]))
    return with_ffn, in_file | with_ffn


def _counted(layers: int) -> str:
    return f"{layers} layer" if layers == 1 else f"{layers} layers"
