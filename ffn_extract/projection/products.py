"""Products of the first pass in PyTorch, by the library that is fast on this processor."""

import torch

from ffn_extract.projection.native.processors import is_by_amd


def product(vectors: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Scores e·v of vectors, shape (n, d), with rows, shape (m, d): shape (n, m), in their type.

    MKL, which PyTorch takes for float32, is slow on processors by AMD; there oneDNN multiplies. The
    order of additions differs, for which the bounds of `arithmetic` hold in any case. Within
    `summed_in_float32` oneDNN, too, keeps to float32.
    """
    if _by_onednn(vectors):
        scores: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            vectors, rows, None, "none", [], ""
        )
        return scores
    return vectors @ rows.T


def _by_onednn(vectors: torch.Tensor) -> bool:
    return (
        vectors.device.type == "cpu"
        and vectors.dtype == torch.float32
        and is_by_amd()
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and vectors.numel() > 0
    )
