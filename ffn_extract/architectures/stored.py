"""Matrices on disk, of which only the vectors that are asked for are read."""

from dataclasses import dataclass

import torch

from ffn_extract.architectures.declaration import Matrix
from ffn_extract.errors import CheckpointError
from ffn_extract.tensor_files import TensorFiles


@dataclass(frozen=True)
class StoredRows:
    """A matrix on disk whose rows are read when they are asked for, shape `shape`."""

    files: TensorFiles
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.files.shape(self.name)
        return rows, columns

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows start..stop in stored precision. Raises CheckpointError when one is not finite."""
        return require_finite(self.files.rows(self.name, start, stop), self.name)


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

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Vectors start..stop in stored precision, shape (stop - start, d_model).

        Raises CheckpointError when one is not finite.
        """
        begin, end, step = self._places(start, stop)
        row = self.matrix.orientation == "row"
        if self.expert is not None:
            stored = self.files.rows(self.name, self.expert, self.expert + 1)[0]
            vectors = (stored if row else stored.T)[begin:end]
        elif row:
            vectors = self.files.rows(self.name, begin, end)
        else:
            vectors = self.files.columns(self.name, begin, end).T
        return require_finite(vectors[::step], self.name)

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


def require_finite(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """The tensor itself. Raises CheckpointError when it holds NaN or an infinite number."""
    if not bool(torch.isfinite(tensor).all()):
        raise CheckpointError(f"{name} holds values that are not finite numbers (NaN or infinite).")
    return tensor
