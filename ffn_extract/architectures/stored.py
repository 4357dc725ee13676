"""Matrices on disk, read row by row on request."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures.declaration import Matrix
from ffn_extract.checkpoints.tensor_files import TensorFiles
from ffn_extract.errors import ArchitectureError, CheckpointError

_BLOCK_ELEMENTS = 1 << 22  # of a tensor that is only looked through


@dataclass(frozen=True)
class StoredRows:
    """A matrix on disk whose rows are read on request, shape `shape`.

    Of a matrix that ends in rows of another meaning, the first `count` are its rows. Rows that
    `unnamed` marks, shape (rows,), are read as zeros.
    """

    files: TensorFiles
    name: str
    count: int | None = None
    unnamed: NDArray[np.bool_] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.files.shape(self.name)
        return rows if self.count is None else self.count, columns

    @property
    def names(self) -> list[str]:
        return [self.name]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows start..stop in stored precision. Raises CheckpointError if one is not finite."""
        rows = self.files.rows(self.name, start, stop)
        if self.unnamed is not None and self.unnamed[start:stop].any():
            rows = rows.clone()
            rows[torch.from_numpy(self.unnamed[start:stop])] = 0
        return require_finite(rows, self.name)


@dataclass(frozen=True)
class StoredBands:
    """Matrices on the diagonal of one matrix: rows of band after band, each with its own columns.

    Where a row has no entry, it is 0.
    """

    bands: tuple[StoredRows, ...]

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = zip(*(band.shape for band in self.bands), strict=True)
        return sum(rows), sum(columns)

    @property
    def names(self) -> list[str]:
        return [band.name for band in self.bands]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows start..stop in stored precision. Raises CheckpointError if one is not finite."""
        pieces: list[torch.Tensor] = []
        first = 0
        for band in self.bands:
            n_rows = band.shape[0]
            begin, end = (min(max(place - first, 0), n_rows) for place in (start, stop))
            pieces.append(band.rows(begin, end))
            first += n_rows
        diagonal: torch.Tensor = torch.block_diag(*pieces)  # type: ignore[no-untyped-call]
        return diagonal


@dataclass(frozen=True)
class StoredVectors:
    """One matrix of an FFN or of one expert: n vectors of shape (d_model,).

    `name` is the tensor's, and `expert` the place along its first axis where it holds all `experts`
    experts, else None.
    """

    files: TensorFiles
    matrix: Matrix
    name: str
    n: int
    d_model: int
    expert: int | None = None
    experts: int = 1

    @property
    def expected_shape(self) -> tuple[int, ...]:
        """The shape that the tensor must have."""
        along = self.n if self.matrix.part == "all" else 2 * self.n
        row = self.matrix.orientation == "row"
        shape = (along, self.d_model) if row else (self.d_model, along)
        return shape if self.expert is None else (self.experts, *shape)

    def require(self, model_type: str, which: str) -> None:
        """Raises ArchitectureError if the tensor is missing or has another shape.

        `which` describes the model in the sentence about a tensor that is not there.
        """
        require_present(self.files, self.name, f"a {model_type} model {which}")
        found = self.files.shape(self.name)
        if found != self.expected_shape:
            raise ArchitectureError(
                f"{self.name} has shape {found}; a {model_type} model with "
                f"d_model = {self.d_model} and d_ff = {self.n} has {self.expected_shape}."
            )

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Vectors start..stop in stored precision, shape (stop - start, d_model).

        Raises CheckpointError when one is not finite.
        """
        begin, end, step = self._places(start, stop)
        if self.matrix.orientation == "row":
            vectors = self.files.rows(self.name, begin, end, self.expert)
        else:
            vectors = self.files.columns(self.name, begin, end, self.expert).T
        return require_finite(vectors[::step], self.name)

    def require_finite(self) -> None:
        """Read the whole tensor in blocks. Raises CheckpointError at NaN or an infinite number."""
        n_rows, width = self.files.shape(self.name)[-2:]
        step = max(1, _BLOCK_ELEMENTS // max(1, width))
        for start in range(0, n_rows, step):
            stop = min(start + step, n_rows)
            require_finite(self.files.rows(self.name, start, stop, self.expert), self.name)

    def _places(self, start: int, stop: int) -> tuple[int, int, int]:
        """Where vectors start..stop stand in the stored matrix: first, end and step."""
        match self.matrix.part:
            case "second half":
                return self.n + start, self.n + stop, 1
            case "even":
                return 2 * start, 2 * stop, 2
            case "odd":
                return 2 * start + 1, 2 * stop, 2
        return start, stop, 1


def require_present(files: TensorFiles, name: str, model: str) -> None:
    """Raises ArchitectureError if the files have no such tensor; `model` names the model."""
    if name not in files.names:
        raise ArchitectureError(f"The weights have no {name}, which {model} needs.")


def read_vector(files: TensorFiles, name: str) -> torch.Tensor:
    """A tensor of one axis in stored precision. Raises CheckpointError if it is not finite."""
    (size,) = files.shape(name)
    return require_finite(files.rows(name, 0, size), name)


def require_finite(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """The tensor itself. Raises CheckpointError if it has NaN or an infinite number."""
    # Their ends tell: NaN passes on to both. Several times as fast as a look at every number.
    if tensor.numel() and not all(torch.isfinite(torch.stack(torch.aminmax(tensor)))):
        raise CheckpointError(
            f"{name} holds values that are not finite numbers (NaN or infinite). Copy "
            "the model again, or give another."
        )
    return tensor
