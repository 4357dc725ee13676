"""From d_model to the vocabulary: the unembedding's rows, and the maps in front of them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures.adaptive import find_bands
from ffn_extract.architectures.declaration import Architecture, MaskedHead, Matrix
from ffn_extract.architectures.linear import LinearMap, Rescaled
from ffn_extract.architectures.stored import (
    StoredBands,
    StoredRows,
    StoredVectors,
    read_vector,
    require_present,
)
from ffn_extract.errors import ArchitectureError
from ffn_extract.tensor_files import TensorFiles, first_present

Floats = NDArray[np.float64]


class Map(Protocol):
    """A linear map of vectors, made of the tensors `names`."""

    @property
    def names(self) -> list[str]: ...

    def __call__(self, vectors: Floats) -> Floats: ...


def find_unembedding(
    family: Architecture,
    files: TensorFiles,
    prefix: str,
    d_model: int | None,
    *,
    through_head: bool,
) -> tuple[StoredRows | StoredBands, Sequence[Map]]:
    """The unembedding's rows, and the maps that a vector goes through before it meets them.

    Without `d_model`, it is the width of the rows. `through_head` leads through a masked-LM head:
    its dense layer, then the part of its norm that `fold` keeps.

    Raises ArchitectureError when a tensor is missing or does not fit.
    """
    if family.adaptive and d_model is not None and not through_head:
        bands, maps = find_bands(files, family.model_type, d_model)
        return bands, [maps]
    head = family.masked_head if through_head else None
    if through_head and head is None:
        raise ArchitectureError(
            f"A {family.model_type} model has no masked-language-model head whose dense layer and "
            "norm are known; leave out --through-head."
        )
    heads = family.heads if head is None else (head.decoder,)
    rows = StoredRows(files, first_present(files, heads) or prefix + family.embedding)
    if len(files.shape(rows.name)) != 2:
        raise ArchitectureError(
            f"The unembedding {rows.name} has shape {files.shape(rows.name)}; it should be a "
            "matrix with a row for each token."
        )
    d_model = d_model or rows.shape[1]
    if head is not None:
        return rows, _head_maps(head, family.model_type, files, rows.shape[1], d_model)
    if rows.shape[1] == d_model:
        return rows, []
    return rows, [_project_out(family, files, prefix, rows, d_model)]


def masked_head_tensors(family: Architecture, files: TensorFiles) -> list[str]:
    """Names of the masked-LM head's tensors that the files have."""
    head = family.masked_head
    if head is None:
        return []
    gain = first_present(files, head.gain)
    names = (head.dense, gain, head.decoder)
    return [name for name in names if name is not None and name in files.names]


def _project_out(
    family: Architecture, files: TensorFiles, prefix: str, rows: StoredRows, d_model: int
) -> LinearMap:
    """What narrows d_model to the unembedding's rows."""
    width = rows.shape[1]
    matrix = family.project_out
    if matrix is None:
        raise ArchitectureError(
            f"The unembedding {rows.name} has shape {rows.shape}; its rows should have "
            f"d_model = {d_model} entries."
        )
    # Part of a head in some families, which has no prefix.
    found = first_present(files, [prefix + matrix.name, matrix.name]) or matrix.name
    stored = StoredVectors(files, matrix, found, width, d_model)
    stored.require(family.model_type, f"whose embeddings have {width} entries")
    return LinearMap(stored)


def _head_maps(
    head: MaskedHead, model_type: str, files: TensorFiles, width: int, d_model: int
) -> list[Map]:
    whose = "with a masked-language-model head"
    dense = StoredVectors(files, Matrix(head.dense, "row"), head.dense, width, d_model)
    dense.require(model_type, whose)
    gain = first_present(files, head.gain) or head.gain[0]
    require_present(files, gain, f"a {model_type} model {whose}")
    if files.shape(gain) != (width,):
        raise ArchitectureError(
            f"{gain} has shape {files.shape(gain)}; the head's norm should have {width} entries."
        )
    values = read_vector(files, gain).to(torch.float64).numpy()
    return [LinearMap(dense), Rescaled(gain, values)]
