"""One digest for a model's weights, whatever files they are stored in."""

import hashlib
from collections.abc import Iterable, Iterator

import torch

from ffn_extract.tensor_files import TensorFiles

WHOLE_BYTES = 16 << 20
WINDOWS = 256
WINDOW_BYTES = WHOLE_BYTES // WINDOWS


def weights_digest(files: TensorFiles, names: Iterable[str]) -> str:
    """sha256 over the name, type, shape and content of tensors, in the order of their names.

    Tensors above 16 MiB enter by 256 windows of whole rows (about 64 KiB each) spread evenly from
    the first row to the last: any training step changes them, and reading a checkpoint of many
    gigabytes stays a matter of a second. Sharding and file format make no difference.
    """
    digest = hashlib.sha256()
    for name in sorted(names):
        shape = files.shape(name)
        for number, window in enumerate(_windows(files, name)):
            if number == 0:
                digest.update(f"{name}\0{window.dtype}\0{shape}\0".encode())
            digest.update(window.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _windows(files: TensorFiles, name: str) -> Iterator[torch.Tensor]:
    n_rows = files.shape(name)[0]
    row = files.rows(name, 0, 1)
    row_bytes = max(1, row.numel() * row.element_size())
    if n_rows * row_bytes <= WHOLE_BYTES:
        yield files.rows(name, 0, n_rows)
        return
    size = max(1, WINDOW_BYTES // row_bytes)
    last = n_rows - size
    for start in sorted({last * i // (WINDOWS - 1) for i in range(WINDOWS)}):
        yield files.rows(name, start, start + size)
