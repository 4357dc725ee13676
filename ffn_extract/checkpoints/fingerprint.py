"""Fingerprint of a model's weights, independent of the files that store them."""

import hashlib
from collections.abc import Iterable, Iterator

import torch

from ffn_extract.checkpoints.tensor_files import TensorFiles

WHOLE_BYTES = 1 << 20
TOTAL_BYTES = 256 << 20
WINDOW_BYTES = 4 << 10


def fingerprint(files: TensorFiles, names: Iterable[str]) -> str:
    """Fingerprint: sha256 over name, type, shape and sampled content of tensors, in the order of
    their names.

    Tensors above 1 MiB, or above their equal share of 256 MiB where that is less, enter by windows
    of whole rows (about 4 KiB each, and as many as fill that size) spread evenly from the first
    row to the last: any training step changes them, and reading a checkpoint of many gigabytes
    takes no time that anybody would notice. Sharding and file format make no difference.
    """
    digest = hashlib.sha256()
    ordered = sorted(names)
    whole = min(WHOLE_BYTES, TOTAL_BYTES // max(1, len(ordered)))
    for name in ordered:
        shape = files.shape(name)
        for number, window in enumerate(_windows(files, name, whole)):
            if number == 0:
                digest.update(f"{name}\0{window.dtype}\0{shape}\0".encode())
            digest.update(window.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _windows(files: TensorFiles, name: str, whole: int) -> Iterator[torch.Tensor]:
    """Rows of a vector, of a matrix, or of the matrices of a stack one after the other."""
    *stack, n_rows = files.shape(name)[:-1] or files.shape(name)
    n_matrices = stack[0] if stack else 1
    row = files.rows(name, 0, 1, 0 if stack else None)
    row_bytes = max(1, row.numel() * row.element_size())
    if n_matrices * n_rows * row_bytes <= whole:
        yield files.rows(name, 0, n_matrices if stack else n_rows)
        return
    size = min(n_rows, max(1, WINDOW_BYTES // row_bytes))
    last = n_matrices * n_rows - size
    count = max(2, whole // WINDOW_BYTES)
    for start in sorted({last * i // (count - 1) for i in range(count)}):
        place, first = divmod(start, n_rows)
        first = min(first, n_rows - size)  # a window does not reach into the next matrix
        yield files.rows(name, first, first + size, place if stack else None)
