"""The unembedding: its rows, and the maps before them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures.adaptive import find_bands
from ffn_extract.architectures.declaration import Architecture, MaskedHead, Matrix
from ffn_extract.architectures.heads import choose_unembedding
from ffn_extract.architectures.linear import LinearMap, Rescaled
from ffn_extract.architectures.naming import beside, first_of
from ffn_extract.architectures.stored import (
    StoredBands,
    StoredRows,
    StoredVectors,
    read_vector,
    require_present,
)
from ffn_extract.checkpoints.tensor_files import TensorFiles
from ffn_extract.errors import ArchitectureError

Floats = NDArray[np.float64]


class Map(Protocol):
    """A linear map of vectors, made of the tensors `names`."""

    @property
    def names(self) -> list[str]: ...

    def __call__(self, vectors: Floats) -> Floats: ...


@dataclass(frozen=True)
class Unembedding:
    """The unembedding's rows, the maps before them, and how they were chosen.

    `chosen` is a key of `ffn_extract.bundle.manifest.UNEMBEDDINGS`.
    """

    rows: StoredRows | StoredBands
    maps: Sequence[Map]
    chosen: str


def find_unembedding(
    family: Architecture,
    config: Mapping[str, Any],
    files: TensorFiles,
    prefix: str,
    d_model: int | None,
    *,
    through_head: bool,
    named: str | None = None,
) -> Unembedding:
    """Find the unembedding: `named`, else the file's head, else the embeddings if they are tied.

    Without `d_model`, it is the width of the rows. `through_head` leads through a masked-LM head:
    its dense layer, then the part of its norm that `fold` keeps.

    Raises ArchitectureError when a tensor is missing or does not fit, or when the model has a head
    of its own that the file lacks.
    """
    if family.adaptive and d_model is not None and not through_head:
        if named is not None:
            raise ArchitectureError(
                f"A {family.model_type} model's unembedding is in several tensors; leave out "
                "--unembedding-tensor."
            )
        bands, side_by_side = find_bands(files, family.model_type, d_model)
        return Unembedding(bands, [side_by_side], "adaptive")
    head = family.masked_head if through_head else None
    if through_head and head is None:
        raise ArchitectureError(
            f"A {family.model_type} model has no masked-language-model head whose dense layer and "
            "norm are known; leave out --through-head."
        )
    name, chosen = choose_unembedding(family, config, files.names, prefix, head=head, named=named)
    require_present(files, name, f"a {family.model_type} model")
    rows = StoredRows(files, name)
    if len(files.shape(rows.name)) != 2:
        raise ArchitectureError(
            f"The unembedding {rows.name} has shape {files.shape(rows.name)}; it should be a "
            "matrix with a row for each token."
        )
    d_model = d_model or rows.shape[1]
    if head is not None:
        maps = _head_maps(head, family.model_type, files, prefix, (rows.shape[1], d_model))
        return Unembedding(rows, maps, chosen)
    if rows.shape[1] == d_model:
        return Unembedding(rows, [], chosen)
    return Unembedding(rows, [_project_out(family, files, prefix, rows, d_model)], chosen)


def masked_head_tensors(family: Architecture, files: TensorFiles, prefix: str) -> list[str]:
    """Names of the masked-LM head's tensors that the files have."""
    head = family.masked_head
    if head is None:
        return []
    choices = ([head.dense], head.gain, [head.decoder])
    found = (_outside(files, prefix, names) for names in choices)
    return [name for name in found if name is not None]


def _outside(files: TensorFiles, prefix: str, names: Sequence[str]) -> str | None:
    """The first of the names that the files have, at the top or in any part of the prefix."""
    return first_of(files.names, (place for name in names for place in beside(prefix, name)))


def _project_out(
    family: Architecture, files: TensorFiles, prefix: str, rows: StoredRows, d_model: int
) -> LinearMap:
    """The matrix that narrows d_model to the unembedding's rows."""
    width = rows.shape[1]
    matrix = family.project_out
    if matrix is None:
        raise ArchitectureError(
            f"The unembedding {rows.name} has shape {rows.shape}; its rows should have "
            f"d_model = {d_model} entries."
        )
    # Part of a head in some families, which has no prefix.
    found = _outside(files, prefix, [matrix.name]) or matrix.name
    stored = StoredVectors(files, matrix, found, width, d_model)
    stored.require(family.model_type, f"whose embeddings have {width} entries")
    return LinearMap(stored)


def _head_maps(
    head: MaskedHead, model_type: str, files: TensorFiles, prefix: str, sizes: tuple[int, int]
) -> list[Map]:
    whose = "with a masked-language-model head"
    width, d_model = sizes
    name = _outside(files, prefix, [head.dense]) or head.dense
    dense = StoredVectors(files, Matrix(head.dense, "row"), name, width, d_model)
    dense.require(model_type, whose)
    gain = _outside(files, prefix, head.gain) or head.gain[0]
    require_present(files, gain, f"a {model_type} model {whose}")
    if files.shape(gain) != (width,):
        raise ArchitectureError(
            f"{gain} has shape {files.shape(gain)}; the head's norm should have {width} entries."
        )
    values = read_vector(files, gain).to(torch.float64).numpy()
    return [LinearMap(dense), Rescaled(gain, values)]
