"""fairseq's adaptive softmax as one unembedding.

The vocabulary, sorted by frequency, is cut into bands; the rows of band b have their own width w_b,
and P_b, shape (w_b, d_model), brings a hidden state h to it. The scores of a band's words are
R_b·(P_b·h), R_b its rows: so E is R_b·P_b, band under band, shape (vocab, d_model). The first band
needs no P where its rows have d_model entries, even where the input side projects that band too.

E is never multiplied out. R_1, R_2, … on the diagonal of one matrix, times P_1·v, P_2·v, … under
each other, is E·v with the numbers as they are stored.

The model itself turns each band's scores into probabilities by a softmax of their own, times that
of the band's class; the rows for those classes belong to no word and are left out. The scores
compared over the whole vocabulary are therefore E·v, as in the paper, and not log-probabilities.

Source: Baevski and Auli (2019), Adaptive Input Representations for Neural Language Modeling; the
layout on disk is fairseq's modules adaptive_input and adaptive_softmax.
"""

import torch

from ffn_extract.architectures.declaration import Matrix
from ffn_extract.architectures.linear import LinearMap, SideBySide
from ffn_extract.architectures.stored import (
    StoredBands,
    StoredRows,
    StoredVectors,
    require_present,
)
from ffn_extract.checkpoints.tensor_files import TensorFiles, first_present

_INPUT = "decoder.embed_tokens.embeddings."
_HEAD = "decoder.adaptive_softmax.head."
_TAIL = "decoder.adaptive_softmax.tail."


def find_bands(files: TensorFiles, model_type: str, d_model: int) -> tuple[StoredBands, SideBySide]:
    """R and P of every band: the softmax's own where the file has one, else the input's.

    fairseq stores tied tensors under both names, so what the softmax's names hold is right either
    way. Raises ArchitectureError when a tensor is missing or does not fit.
    """
    separate = any(name.startswith((_HEAD, _TAIL)) for name in files.names)
    bands: list[StoredRows] = []
    maps: list[LinearMap | None] = []
    while (name := _rows_name(files, len(bands), separate)) is not None:
        rows = StoredRows(files, name)
        stored = _map_of(files, len(bands), rows.shape[1], d_model, separate)
        if stored is not None:
            stored.require(model_type, f"with a band of width {rows.shape[1]}")
        bands.append(rows)
        maps.append(None if stored is None else LinearMap(stored))
    if not bands:
        require_present(files, f"{_HEAD}word_proj.weight", f"a {model_type} model")
    if bands[0].name == f"{_HEAD}weight":
        # A head that is not tied has a row for each band after it.
        bands[0] = StoredRows(files, bands[0].name, bands[0].shape[0] - len(bands) + 1)
    return StoredBands(tuple(bands)), SideBySide(tuple(maps))


def _rows_name(files: TensorFiles, band: int, separate: bool) -> str | None:
    if not separate:
        return first_present(files, [f"{_INPUT}{band}.0.weight"])
    if band == 0:
        ends = ("word_proj.weight", "word_proj.1.weight", "weight")
        return first_present(files, [_HEAD + end for end in ends])
    return first_present(files, [f"{_TAIL}{band - 1}.2.weight"])


def _map_of(
    files: TensorFiles, band: int, width: int, d_model: int, separate: bool
) -> StoredVectors | None:
    if band == 0 and width == d_model:
        return None
    matrix = Matrix(f"{_INPUT}{band}.1.weight", "col")
    if band == 0:
        matrix = Matrix(f"{_HEAD}word_proj.0.weight", "row")
    elif separate:
        own = f"{_TAIL}{band - 1}.0.weight"
        matrix = Matrix(own, "col" if _is_the_inputs(files, own, matrix.name, width) else "row")
    return StoredVectors(files, matrix, matrix.name, width, d_model)


def _is_the_inputs(files: TensorFiles, own: str, tied: str, width: int) -> bool:
    """Whether the softmax's map is the input's, which is stored the other way round.

    The shape tells, unless it is square.
    """
    require_present(files, own, f"a model with a band of width {width}")
    shape = files.shape(own)
    if shape[0] != shape[-1]:
        return shape[-1] == width
    return (
        tied in files.names
        and files.shape(tied) == shape
        and torch.equal(files.rows(own, 0, width), files.rows(tied, 0, width))
    )
